package dockerengine

import (
	"archive/tar"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/pkg/jsonmessage"
	control "github.com/moby/buildkit/api/services/control"
	"google.golang.org/protobuf/proto"
)

func write(t *testing.T, directory string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// packed lists the files of a build context, as the engine gets them.
func packed(t *testing.T, settings Object) (files []string, dockerfile string) {
	t.Helper()
	opened, err := openContext(settings)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.content.Close()
	reader := tar.NewReader(opened.content)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(files)
			return files, opened.dockerfile
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 {
			t.Errorf("%s belongs to %d:%d", header.Name, header.Uid, header.Gid)
		}
		if header.Typeflag == tar.TypeReg {
			files = append(files, header.Name)
		}
	}
}

func TestTheContextLacksWhatDockerignoreExcludes(t *testing.T) {
	directory := t.TempDir()
	write(t, directory, map[string]string{
		"Dockerfile": "FROM scratch", "keep": "", "drop/big": "", ".dockerignore": "drop\nDockerfile\n",
	})
	files, dockerfile := packed(t, Object{"context": directory})
	if !slices.Equal(files, []string{".dockerignore", "Dockerfile", "keep"}) || dockerfile != "Dockerfile" {
		t.Errorf("got %v, %s", files, dockerfile)
	}
}

func TestADockerfileOutsideTheContextTravelsWithIt(t *testing.T) {
	directory, outside := t.TempDir(), t.TempDir()
	write(t, directory, map[string]string{"keep": ""})
	write(t, outside, map[string]string{"My.Dockerfile": "FROM scratch"})
	files, dockerfile := packed(t, Object{"context": directory, "dockerfile": filepath.Join(outside, "My.Dockerfile")})
	if !slices.Contains(files, dockerfile) || !slices.Contains(files, "keep") {
		t.Errorf("got %v, %s", files, dockerfile)
	}
}

func TestADockerfileThatThePluginWouldTakeFromElsewhereIsRefused(t *testing.T) {
	directory, working := t.TempDir(), t.TempDir()
	write(t, directory, map[string]string{"Dockerfile": "FROM scratch"})
	write(t, working, map[string]string{"Dockerfile": "FROM other"})
	t.Chdir(working)
	if _, err := openContext(Object{"context": directory}); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("got %v", err)
	}
}

func TestAContextThatIsNotThereIsSaid(t *testing.T) {
	if _, err := openContext(Object{"context": "/nowhere"}); err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("got %v", err)
	}
}

func trace(t *testing.T, status *control.StatusResponse) jsonmessage.JSONMessage {
	t.Helper()
	encoded, err := proto.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(encoded)
	if err != nil {
		t.Fatal(err)
	}
	aux := json.RawMessage(text)
	return jsonmessage.JSONMessage{ID: traceID, Aux: &aux}
}

func TestAFailedBuildShowsTheOutputOfTheStepThatFailed(t *testing.T) {
	said := &buildLog{}
	said.take(trace(t, &control.StatusResponse{
		Vertexes: []*control.Vertex{{Digest: "1", Name: "RUN good"}, {Digest: "2", Name: "RUN bad", Error: "exit code: 3"}},
		Logs: []*control.VertexLog{
			{Vertex: "1", Msg: []byte("fine\n")}, {Vertex: "2", Msg: []byte("no such package\n")},
		},
	}))
	if tail := said.tail(); tail != "RUN bad\nno such package" {
		t.Errorf("got %q", tail)
	}
}

func TestAnErrorInTheEnginesStreamIsAnError(t *testing.T) {
	stream := `{"stream":"Step 1"}` + "\n" + `{"aux":{"ID":"sha256:1"}}` + "\n" + `{"errorDetail":{"message":"boom"},"error":"boom"}`
	id, err := readMessages(strings.NewReader(stream), nil)
	if err == nil || err.Error() != "boom" || id != "sha256:1" {
		t.Errorf("got %q, %v", id, err)
	}
	if _, err := readMessages(strings.NewReader(`{"stream":"half`), nil); err == nil {
		t.Error("a stream that broke off counts as success")
	}
}

func TestALoginIsFoundByTheRegistryOfTheImage(t *testing.T) {
	config := `{"auths":{"https://index.docker.io/v1/":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("u:p:q")) + `"}}}`
	e := &engine{settings: Object{"registry_auth": []any{
		Object{"address": "registry.site:5000", "username": "me", "password": "canary"},
		Object{"address": "https://registry.hub.docker.com", "config_file_content": config},
	}}}
	logins, err := e.credentials()
	if err != nil {
		t.Fatal(err)
	}
	if logins["registry.site:5000"].Username != "me" || logins[hubHost].Password != "p:q" {
		t.Errorf("got logins for %d registries", len(logins))
	}
	if login, err := e.encodedLogin("registry.site:5000/a/b:1", nil); err != nil || login == "" {
		t.Errorf("no login for the site's registry: %v", err)
	}
	if login, err := e.encodedLogin("elsewhere.site/a:1", nil); err != nil || login != "" {
		t.Errorf("a login leaks to another registry: %v", err)
	}
}

func TestTheDigestOfTheImagesOwnRepositoryIsShown(t *testing.T) {
	digests := []string{"other@sha256:" + strings.Repeat("1", 64), "a.site/b@sha256:" + strings.Repeat("2", 64)}
	if got := repoDigest("a.site/b:tag", digests); got != digests[1] {
		t.Errorf("got %q", got)
	}
	if got := repoDigest("never/pushed:1", digests); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestAContainersSettingsReachTheEngine(t *testing.T) {
	wanted, err := containerOptions(Object{
		"image": "i", "memory": int64(64), "memory_swap": int64(-1), "shm_size": int64(2), "cpus": "1.5", "gpus": "all",
		"restart": "on-failure", "max_retry_count": int64(3),
		"ports":   []any{Object{"internal": int64(80), "external": int64(8080), "ip": "127.0.0.1", "protocol": "udp"}},
		"volumes": []any{Object{"host_path": "/h", "container_path": "/c", "read_only": true}},
		"labels":  []any{Object{"label": "a", "value": "b"}},
		"devices": []any{Object{"host_path": "/dev/nvidia0"}},
		"healthcheck": []any{Object{
			"test": []any{"CMD", "true"}, "interval": "5s",
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	host := wanted.host
	checks := map[string]bool{
		"memory":      host.Memory == 64*megabyte && host.MemorySwap == -1 && host.ShmSize == 2*megabyte,
		"cpus":        host.NanoCPUs == 1_500_000_000,
		"gpus":        len(host.DeviceRequests) == 1 && host.DeviceRequests[0].Count == -1,
		"restart":     host.RestartPolicy.MaximumRetryCount == 3,
		"port":        host.PortBindings["80/udp"][0].HostPort == "8080",
		"bind":        slices.Equal(host.Binds, []string{"/h:/c:ro"}),
		"label":       wanted.config.Labels["a"] == "b",
		"device":      host.Devices[0].PathInContainer == "/dev/nvidia0",
		"healthcheck": wanted.config.Healthcheck.Interval.Seconds() == 5,
	}
	for name, right := range checks {
		if !right {
			t.Errorf("%s is wrong: %+v", name, host)
		}
	}
}

func TestWhatThePluginDoesNotKnowIsRefused(t *testing.T) {
	for what, config := range map[string]Object{"gpus": {"gpus": "device=0"}, "restart": {"restart": "sometimes"}} {
		if problems := checkContainer(config); len(problems) != 1 {
			t.Errorf("%s: got %v", what, problems)
		}
	}
	if problems := checkImage(Object{"name": "Upper/Case"}); len(problems) != 1 {
		t.Errorf("image name: got %v", problems)
	}
	build := []any{Object{"context": ".", "builder": "default"}}
	if problems := checkImage(Object{"name": "a", "build": build}); len(problems) != 1 {
		t.Errorf("builder: got %v", problems)
	}
}

func TestAnEngineThatDoesNotAnswerIsSaidUnlessNotToBeAsked(t *testing.T) {
	host := "unix://" + filepath.Join(t.TempDir(), "no.sock")
	e := &engine{}
	if err := e.configure(t.Context(), Object{"host": host}); err == nil || !strings.Contains(err.Error(), host) {
		t.Errorf("got %v", err)
	}
	if err := e.configure(t.Context(), Object{"host": host, "disable_docker_daemon_check": true}); err != nil {
		t.Errorf("got %v", err)
	}
}
