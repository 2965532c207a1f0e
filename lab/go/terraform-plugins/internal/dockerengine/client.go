// Package dockerengine is the engine behind the stand-in for kreuzwerker/docker: the Docker Engine API.
package dockerengine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/docker/cli/cli/connhelper"
	"github.com/docker/docker/client"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// Object is a block's plain value by attribute name.
type Object = tfvalue.Object

const pingTimeout = 15 * time.Second

// engine holds the provider's settings and one client.
type engine struct {
	mutex    sync.Mutex
	settings Object
	client   *client.Client
}

// configure asks the daemon for a sign of life, as the plugin does, unless told not to or not yet told where it is.
func (e *engine) configure(ctx context.Context, settings Object) error {
	e.mutex.Lock()
	e.settings, e.client = settings, nil
	e.mutex.Unlock()
	if !tfvalue.Known(settings) || tfvalue.Bool(settings, false, "disable_docker_daemon_check") {
		return nil
	}
	connected, err := e.connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if _, err := connected.Ping(ctx); err != nil {
		return &plugin.Problem{
			Path:    plugin.At("host"),
			Summary: "Error pinging Docker server",
			Detail: fmt.Sprintf("%s: %v\nMake sure that the engine runs and may be reached by this user, or set "+
				"disable_docker_daemon_check = true for a plan without one.", connected.DaemonHost(), err),
		}
	}
	return nil
}

func (e *engine) connect() (*client.Client, error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.client != nil {
		return e.client, nil
	}
	if !tfvalue.Known(e.settings) {
		return nil, errors.New("the provider's settings are not known yet: a plan that must ask the engine needs them")
	}
	options, err := e.options()
	if err != nil {
		return nil, err
	}
	connected, err := client.NewClientWithOpts(append(options, client.WithAPIVersionNegotiation())...)
	if err != nil {
		return nil, fmt.Errorf("the provider's settings are unusable: %w", err)
	}
	e.client = connected
	return connected, nil
}

func (e *engine) options() ([]client.Opt, error) {
	host := tfvalue.String(e.settings, "host")
	if host == "" {
		host = os.Getenv("DOCKER_HOST")
	}
	if strings.HasPrefix(host, "ssh://") {
		helper, err := connhelper.GetConnectionHelperWithSSHOpts(host, tfvalue.Strings(e.settings, "ssh_opts"))
		if err != nil {
			return nil, fmt.Errorf("host %q: %w", host, err)
		}
		return []client.Opt{client.WithHost(helper.Host), client.WithDialContext(helper.Dialer)}, nil
	}
	options := []client.Opt{client.FromEnv}
	if material, err := e.tlsMaterial(); err != nil {
		return nil, err
	} else if material != nil {
		options = []client.Opt{client.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: material}})}
	}
	if host != "" {
		options = append(options, client.WithHost(host))
	}
	return options, nil
}

// tlsMaterial reads certificates given as texts or in the folder cert_path; nil when there are none.
func (e *engine) tlsMaterial() (*tls.Config, error) {
	texts := map[string][]byte{}
	for setting, file := range map[string]string{"ca_material": "ca.pem", "cert_material": "cert.pem", "key_material": "key.pem"} {
		texts[setting] = []byte(tfvalue.String(e.settings, setting))
		if folder := tfvalue.String(e.settings, "cert_path"); folder != "" && len(texts[setting]) == 0 {
			content, err := os.ReadFile(folder + "/" + file)
			if err != nil {
				return nil, fmt.Errorf("cert_path: %w", err)
			}
			texts[setting] = content
		}
	}
	if len(texts["cert_material"]) == 0 {
		return nil, nil
	}
	pair, err := tls.X509KeyPair(texts["cert_material"], texts["key_material"])
	if err != nil {
		return nil, fmt.Errorf("cert_material and key_material are no certificate and its key: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if len(texts["ca_material"]) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(texts["ca_material"]) {
			return nil, errors.New("ca_material holds no PEM certificate")
		}
	}
	return config, nil
}
