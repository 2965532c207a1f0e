package dockerengine

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

const registryTimeout = 30 * time.Second

// registryImage is an image of the engine that is pushed to its registry.
func (e *engine) registryImage() plugin.Resource {
	return plugin.Resource{
		ForceNew: []string{"name", "triggers"},
		Create:   e.push,
		Update: func(_ context.Context, change plugin.Change) (Object, error) {
			return change.Prior, nil // only how to delete and how to log in can change in place
		},
		Read:   e.readPushed,
		Delete: e.deletePushed,
	}
}

func loginOf(value Object) *registry.AuthConfig {
	block := tfvalue.First(value["auth_config"])
	if block == nil {
		return nil
	}
	return &registry.AuthConfig{
		Username: tfvalue.String(block, "username"), Password: tfvalue.String(block, "password"),
		ServerAddress: tfvalue.String(block, "address"),
	}
}

func (e *engine) push(ctx context.Context, change plugin.Change) (Object, error) {
	connected, err := e.connect()
	if err != nil {
		return nil, err
	}
	name := tfvalue.String(change.Planned, "name")
	login, err := e.encodedLogin(name, loginOf(change.Planned))
	if err != nil {
		return nil, err
	}
	if login == "" {
		login = "e30=" // the engine insists on a header; this is an empty login
	}
	progress, err := connected.ImagePush(ctx, name, image.PushOptions{RegistryAuth: login})
	if err == nil {
		defer progress.Close()
		_, err = readMessages(progress, nil)
	}
	if err != nil {
		return nil, &plugin.Problem{Path: plugin.At("name"), Summary: "Error pushing docker image " + name, Detail: err.Error()}
	}
	digest, err := e.remoteDigest(ctx, change.Planned)
	if err != nil {
		return nil, err
	}
	return Object{"id": digest, "sha256_digest": digest}, nil
}

func (e *engine) remoteDigest(ctx context.Context, value Object) (string, error) {
	connected, err := e.connect()
	if err != nil {
		return "", err
	}
	name := tfvalue.String(value, "name")
	login, err := e.encodedLogin(name, loginOf(value))
	if err != nil {
		return "", err
	}
	found, err := connected.DistributionInspect(ctx, name, login)
	if err != nil {
		return "", err
	}
	return found.Descriptor.Digest.String(), nil
}

// readPushed notices an image that is gone from its registry, or was replaced there.
func (e *engine) readPushed(ctx context.Context, state Object) (Object, error) {
	digest, err := e.remoteDigest(ctx, state)
	if errdefs.IsNotFound(err) || (err != nil && strings.Contains(err.Error(), "manifest unknown")) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s from its registry: %w", tfvalue.String(state, "name"), err)
	}
	if digest != tfvalue.String(state, "sha256_digest") {
		return nil, nil
	}
	return state, nil
}

func (e *engine) deletePushed(ctx context.Context, state Object) error {
	if tfvalue.Bool(state, false, "keep_remotely") {
		return nil
	}
	name := tfvalue.String(state, "name")
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return err
	}
	logins, err := e.credentials()
	if err != nil {
		return err
	}
	login := logins[reference.Domain(named)]
	if override := loginOf(state); override != nil {
		login = *override
	}
	httpClient := &http.Client{Timeout: registryTimeout, Transport: &http.Transport{
		// The user's own choice, made for this one registry.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: tfvalue.Bool(state, false, "insecure_skip_verify")}, //nolint:gosec
	}}
	var last error
	for _, scheme := range []string{"https", "http"} {
		url := fmt.Sprintf("%s://%s/v2/%s/manifests/%s", scheme, reference.Domain(named), reference.Path(named),
			tfvalue.String(state, "sha256_digest"))
		request, err := http.NewRequestWithContext(ctx, http.MethodDelete, url, nil)
		if err != nil {
			return err
		}
		if login.Username != "" {
			request.SetBasicAuth(login.Username, login.Password)
		}
		answer, err := httpClient.Do(request)
		if err != nil {
			last = err
			continue
		}
		_ = answer.Body.Close()
		if answer.StatusCode < 300 || answer.StatusCode == http.StatusNotFound {
			return nil
		}
		last = fmt.Errorf("the registry answers %s", answer.Status)
		break
	}
	return &plugin.Problem{
		Summary: "Unable to remove the image " + name + " from its registry",
		Detail:  last.Error() + "\nMany registries do not allow it: set keep_remotely = true to leave the image there.",
	}
}
