package dockerengine

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"

	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

const hubHost = "docker.io"

// credentials are the provider's logins by registry host.
func (e *engine) credentials() (map[string]registry.AuthConfig, error) {
	logins := map[string]registry.AuthConfig{}
	for _, block := range tfvalue.Blocks(e.settings, "registry_auth") {
		host := registryHost(tfvalue.String(block, "address"))
		if tfvalue.Bool(block, false, "auth_disabled") {
			continue
		}
		if user := tfvalue.String(block, "username"); user != "" {
			logins[host] = registry.AuthConfig{
				Username: user, Password: tfvalue.String(block, "password"), ServerAddress: host,
			}
			continue
		}
		stored, err := storedLogin(block, host)
		if err != nil {
			return nil, err
		}
		logins[host] = stored
	}
	return logins, nil
}

// storedLogin reads a login from a Docker configuration file, or from its text.
func storedLogin(block Object, host string) (registry.AuthConfig, error) {
	content := []byte(tfvalue.String(block, "config_file_content"))
	source := "config_file_content"
	if len(content) == 0 {
		source = tfvalue.String(block, "config_file")
		if source == "" {
			source = "~/.docker/config.json"
		}
		path := source
		if below, inHome := strings.CutPrefix(source, "~/"); inHome {
			home, err := os.UserHomeDir()
			if err != nil {
				return registry.AuthConfig{}, err
			}
			path = filepath.Join(home, below)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return registry.AuthConfig{}, fmt.Errorf("registry_auth for %s: no username is set and %w", host, err)
		}
		content = text
	}
	var file struct {
		Auths map[string]struct {
			Auth string `json:"auth"`
		} `json:"auths"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return registry.AuthConfig{}, fmt.Errorf("registry_auth for %s: %s is no Docker configuration file", host, source)
	}
	for address, entry := range file.Auths {
		plain, err := base64.StdEncoding.DecodeString(entry.Auth)
		user, password, both := strings.Cut(string(plain), ":")
		if registryHost(address) == host && err == nil && both {
			return registry.AuthConfig{Username: user, Password: password, ServerAddress: host}, nil
		}
	}
	return registry.AuthConfig{}, fmt.Errorf("registry_auth for %s: %s has no login for it (credential helpers are not asked)", host, source)
}

// registryHost reduces an address to the host that image names use.
func registryHost(address string) string {
	_, rest, hasScheme := strings.Cut(address, "://")
	if !hasScheme {
		rest = address
	}
	host, _, _ := strings.Cut(rest, "/")
	switch host {
	case "index.docker.io", "registry.hub.docker.com", "registry-1.docker.io":
		return hubHost
	}
	return host
}

// encodedLogin is the login for an image's registry in the form that the engine takes; "" when there is none.
func (e *engine) encodedLogin(image string, override *registry.AuthConfig) (string, error) {
	if override != nil {
		return registry.EncodeAuthConfig(*override)
	}
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return "", fmt.Errorf("image name %q: %w", image, err)
	}
	logins, err := e.credentials()
	if err != nil {
		return "", err
	}
	login, found := logins[reference.Domain(named)]
	if !found {
		return "", nil
	}
	return registry.EncodeAuthConfig(login)
}
