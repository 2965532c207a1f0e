package dockerengine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/jsonmessage"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

func (e *engine) image() plugin.Resource {
	return plugin.Resource{
		ForceNew: []string{"build", "triggers", "pull_triggers", "platform"},
		Volatile: []string{"id", "image_id", "repo_digest"},
		Validate: checkImage,
		Plan:     planImage,
		Create:   e.createImage,
		Update: func(ctx context.Context, change plugin.Change) (Object, error) {
			return e.ensureImage(ctx, change.Planned)
		},
		Read:   e.readImage,
		Delete: e.deleteImage,
	}
}

func checkImage(config Object) []error {
	var problems []error
	if name := tfvalue.String(config, "name"); name != "" {
		if _, err := reference.ParseNormalizedNamed(name); err != nil {
			problems = append(problems, &plugin.Problem{
				Path: plugin.At("name"), Summary: fmt.Sprintf("name: %q is no image name", name), Detail: err.Error(),
			})
		}
	}
	return append(problems, checkBuild(config)...)
}

// planImage keeps what the engine says about an image while only settings of its removal change.
func planImage(_ context.Context, change plugin.Change) error {
	if change.Prior != nil && change.Prior["name"] == change.Planned["name"] {
		for _, name := range []string{"id", "image_id", "repo_digest"} {
			change.Planned[name] = change.Prior[name]
		}
	}
	return nil
}

func (e *engine) createImage(ctx context.Context, change plugin.Change) (Object, error) {
	if settings := tfvalue.First(change.Planned["build"]); settings != nil {
		if err := e.build(ctx, tfvalue.String(change.Planned, "name"), settings); err != nil {
			return nil, err
		}
	}
	return e.ensureImage(ctx, change.Planned)
}

// ensureImage finds the image on the engine, or pulls it.
func (e *engine) ensureImage(ctx context.Context, planned Object) (Object, error) {
	name := tfvalue.String(planned, "name")
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	found, err := connected.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		if err := e.pull(ctx, name, tfvalue.String(planned, "platform")); err != nil {
			return nil, err
		}
		found, err = connected.ImageInspect(ctx, name)
	}
	if err != nil {
		return nil, fmt.Errorf("unable to read Docker image %s: %w", name, err)
	}
	return observedImage(name, found), nil
}

func (e *engine) pull(ctx context.Context, name, platform string) error {
	connected, err := e.connect()
	if err != nil {
		return err
	}
	login, err := e.encodedLogin(name, nil)
	if err != nil {
		return err
	}
	progress, err := connected.ImagePull(ctx, name, image.PullOptions{RegistryAuth: login, Platform: platform})
	if err == nil {
		defer progress.Close()
		_, err = readMessages(progress, nil)
	}
	if err != nil {
		return &plugin.Problem{Path: plugin.At("name"), Summary: "Unable to find or pull image " + name, Detail: err.Error()}
	}
	return nil
}

// readMessages reads the engine's stream to its end; it returns the auxiliary messages' last image id.
func readMessages(stream io.Reader, onMessage func(jsonmessage.JSONMessage)) (imageID string, err error) {
	decoder := json.NewDecoder(stream)
	for {
		var message jsonmessage.JSONMessage
		if err := decoder.Decode(&message); errors.Is(err, io.EOF) {
			return imageID, nil
		} else if err != nil {
			return imageID, fmt.Errorf("the engine's answer broke off: %w", err)
		}
		if onMessage != nil {
			onMessage(message)
		}
		var result struct{ ID string }
		if message.Aux != nil && message.ID != traceID && json.Unmarshal(*message.Aux, &result) == nil && result.ID != "" {
			imageID = result.ID
		}
		if message.Error != nil {
			return imageID, errors.New(message.Error.Message)
		}
	}
}

func observedImage(name string, found image.InspectResponse) Object {
	return Object{"id": found.ID + name, "image_id": found.ID, "repo_digest": repoDigest(name, found.RepoDigests)}
}

// repoDigest is the image's digest in the repository that its name is of; "" for images that were never pulled or pushed.
func repoDigest(name string, digests []string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return ""
	}
	for _, digest := range digests {
		other, err := reference.ParseNormalizedNamed(digest)
		if err == nil && other.Name() == named.Name() {
			return digest
		}
	}
	return ""
}

func (e *engine) readImage(ctx context.Context, state Object) (Object, error) {
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	name := tfvalue.String(state, "name")
	found, err := connected.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("unable to read Docker image %s: %w", name, err)
	}
	return with(state, observedImage(name, found)), nil
}

func (e *engine) deleteImage(ctx context.Context, state Object) error {
	if tfvalue.Bool(state, false, "keep_locally") {
		return nil
	}
	connected, err := e.connect()
	if err != nil {
		return err
	}
	name := tfvalue.String(state, "name")
	_, err = connected.ImageRemove(ctx, name, image.RemoveOptions{
		Force: tfvalue.Bool(state, false, "force_remove"), PruneChildren: true,
	})
	if err != nil && !errdefs.IsNotFound(err) {
		return &plugin.Problem{
			Summary: "Unable to remove Docker image " + name,
			Detail:  strings.TrimSpace(err.Error()) + "\nSet keep_locally = true to leave it, or force_remove = true to insist.",
		}
	}
	return nil
}

// imageData is the data source docker_image: an image that is on the engine.
func (e *engine) imageData(ctx context.Context, config Object) (Object, error) {
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	name := tfvalue.String(config, "name")
	found, err := connected.ImageInspect(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("did not find docker image %q on the engine: %w", name, err)
	}
	return Object{"id": found.ID, "name": name, "repo_digest": repoDigest(name, found.RepoDigests)}, nil
}

// with is a copy of a state with some attributes replaced.
func with(state Object, changes Object) Object {
	copied, _ := tfvalue.Copy(state).(Object)
	for name, value := range changes {
		copied[name] = value
	}
	return copied
}
