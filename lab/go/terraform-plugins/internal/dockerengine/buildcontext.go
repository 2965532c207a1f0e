package dockerengine

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/go-archive"
	"github.com/moby/patternmatcher/ignorefile"

	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// outsideDockerfile is the name under which a Dockerfile that is not in the context travels.
const outsideDockerfile = ".dockerfile.edge-gpu-lab"

type buildContext struct {
	content    io.ReadCloser
	dockerfile string
}

// openContext packs the context directory, without what .dockerignore excludes.
func openContext(settings Object) (*buildContext, error) {
	directory, err := filepath.Abs(tfvalue.String(settings, "context"))
	if err != nil {
		return nil, err
	}
	if about, err := os.Stat(directory); err != nil {
		return nil, fmt.Errorf("context: %w", err)
	} else if !about.IsDir() {
		return nil, fmt.Errorf("context: %s is no directory", directory)
	}
	dockerfile, err := dockerfilePath(directory, settings)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dockerfile); err != nil {
		return nil, fmt.Errorf("dockerfile: %w", err)
	}
	excludes, err := ignorePatterns(directory, dockerfile)
	if err != nil {
		return nil, err
	}
	relative, err := filepath.Rel(directory, dockerfile)
	outside := err != nil || relative == ".." || strings.HasPrefix(relative, "../")
	if outside {
		relative = outsideDockerfile
	}
	content, err := archive.TarWithOptions(directory, &archive.TarOptions{
		ExcludePatterns: withoutBuildFiles(excludes, filepath.ToSlash(relative)),
		ChownOpts:       &archive.ChownOpts{UID: 0, GID: 0},
	})
	if err != nil {
		return nil, err
	}
	if outside {
		if content, err = withFile(content, dockerfile); err != nil {
			return nil, err
		}
	}
	return &buildContext{content: content, dockerfile: filepath.ToSlash(relative)}, nil
}

// ignorePatterns prefers <Dockerfile>.dockerignore to the context's .dockerignore, as BuildKit does.
func ignorePatterns(directory, dockerfile string) ([]string, error) {
	for _, path := range []string{dockerfile + ".dockerignore", filepath.Join(directory, ".dockerignore")} {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return ignorefile.ReadAll(file)
	}
	return nil, nil
}

// withFile puts one more file before the end of a tar stream.
func withFile(content io.ReadCloser, path string) (io.ReadCloser, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	reader, writer := io.Pipe()
	go func() {
		defer content.Close()
		output := tar.NewWriter(writer)
		header := &tar.Header{Name: outsideDockerfile, Mode: 0o600, Size: int64(len(text)), ModTime: time.Unix(0, 0)}
		err := output.WriteHeader(header)
		if err == nil {
			_, err = output.Write(text)
		}
		input := tar.NewReader(content)
		for err == nil {
			var next *tar.Header
			if next, err = input.Next(); err == nil {
				if err = output.WriteHeader(next); err == nil {
					_, err = io.Copy(output, input)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			err = output.Close()
		}
		_ = writer.CloseWithError(err)
	}()
	return reader, nil
}
