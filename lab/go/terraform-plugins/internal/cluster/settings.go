// Package cluster turns a provider's connection settings into a client configuration; the kubernetes and the helm
// plugin name these settings alike.
package cluster

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// RequestTimeout bounds every single request, so that an unreachable cluster is an error soon.
const RequestTimeout = 30 * time.Second

// environment are the variables that the plugins read where a setting is left out.
var environment = map[string]string{
	"host":                   "KUBE_HOST",
	"username":               "KUBE_USER",
	"password":               "KUBE_PASSWORD",
	"tls_server_name":        "KUBE_TLS_SERVER_NAME",
	"client_certificate":     "KUBE_CLIENT_CERT_DATA",
	"client_key":             "KUBE_CLIENT_KEY_DATA",
	"cluster_ca_certificate": "KUBE_CLUSTER_CA_CERT_DATA",
	"config_path":            "KUBE_CONFIG_PATH",
	"config_context":         "KUBE_CTX",
	"token":                  "KUBE_TOKEN",
	"proxy_url":              "KUBE_PROXY_URL",
}

// Settings are a provider's connection settings.
type Settings struct {
	values tfvalue.Object
}

// NewSettings takes the settings as Terraform gave them; unknown ones are allowed until a client is needed.
func NewSettings(values tfvalue.Object) Settings {
	return Settings{values: values}
}

// Unknown names the settings that are not known yet.
func (s Settings) Unknown() []string {
	var names []string
	for name, value := range s.values {
		if !tfvalue.Known(value) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (s Settings) text(name string) string {
	if text := tfvalue.String(s.values, name); text != "" {
		return text
	}
	return os.Getenv(environment[name])
}

// ClientConfig is the configuration in the form that kubectl's library has it; namespace is the default one, "" for
// the kubeconfig's own.
func (s Settings) ClientConfig(namespace string) (clientcmd.ClientConfig, error) {
	if unknown := s.Unknown(); len(unknown) > 0 {
		return nil, fmt.Errorf(
			"the provider's settings %s are not known yet: a plan that must read the cluster needs them; "+
				"use values that are known before apply, such as file(\"...\") of an existing file", strings.Join(unknown, ", "))
	}
	rules := &clientcmd.ClientConfigLoadingRules{}
	paths := tfvalue.Strings(s.values, "config_paths")
	if path := s.text("config_path"); path != "" {
		paths = []string{path}
	}
	for _, path := range paths {
		expanded, err := expandHome(path)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(expanded); err != nil {
			return nil, fmt.Errorf("config_path %q: no kubeconfig can be read there: %w", path, err)
		}
		rules.Precedence = append(rules.Precedence, expanded)
	}
	if len(rules.Precedence) == 0 && s.text("host") == "" {
		return nil, errors.New("the provider has no cluster: set host (with cluster_ca_certificate, client_certificate and " +
			"client_key, or token) or config_path")
	}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, s.overrides(namespace)), nil
}

func (s Settings) overrides(namespace string) *clientcmd.ConfigOverrides {
	overrides := &clientcmd.ConfigOverrides{CurrentContext: s.text("config_context"), Timeout: RequestTimeout.String()}
	overrides.Context.Namespace = namespace
	overrides.Context.AuthInfo = tfvalue.String(s.values, "config_context_auth_info")
	overrides.Context.Cluster = tfvalue.String(s.values, "config_context_cluster")
	overrides.ClusterInfo.Server = s.text("host")
	overrides.ClusterInfo.InsecureSkipTLSVerify = tfvalue.Bool(s.values, false, "insecure")
	overrides.ClusterInfo.TLSServerName = s.text("tls_server_name")
	overrides.ClusterInfo.CertificateAuthorityData = []byte(s.text("cluster_ca_certificate"))
	overrides.ClusterInfo.ProxyURL = s.text("proxy_url")
	overrides.AuthInfo.Username = s.text("username")
	overrides.AuthInfo.Password = s.text("password")
	overrides.AuthInfo.ClientCertificateData = []byte(s.text("client_certificate"))
	overrides.AuthInfo.ClientKeyData = []byte(s.text("client_key"))
	overrides.AuthInfo.Token = s.text("token")
	if exec := tfvalue.First(s.values["exec"]); exec != nil {
		overrides.AuthInfo.Exec = &clientcmdapi.ExecConfig{
			APIVersion:      tfvalue.String(exec, "api_version"),
			Command:         tfvalue.String(exec, "command"),
			Args:            tfvalue.Strings(exec, "args"),
			InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		}
		environment := tfvalue.StringMap(exec, "env")
		for _, name := range slices.Sorted(maps.Keys(environment)) {
			variable := clientcmdapi.ExecEnvVar{Name: name, Value: environment[name]}
			overrides.AuthInfo.Exec.Env = append(overrides.AuthInfo.Exec.Env, variable)
		}
	}
	return overrides
}

// RestConfig is the configuration for a client.
func (s Settings) RestConfig() (*rest.Config, error) {
	clientConfig, err := s.ClientConfig("")
	if err != nil {
		return nil, err
	}
	config, err := clientConfig.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("the provider's cluster settings are unusable: %w", err)
	}
	Tune(config)
	return config, nil
}

// Tune sets what both plugins want of any client: no throttling worth noticing, bounded requests, quiet warnings.
func Tune(config *rest.Config) {
	config.QPS, config.Burst = 100, 100
	config.Timeout = RequestTimeout
	config.WarningHandler = rest.NoWarnings{}
	config.UserAgent = "edge-gpu-lab-stand-in"
}

func expandHome(path string) (string, error) {
	rest, inHome := strings.CutPrefix(path, "~/")
	if !inHome {
		return path, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, rest), err
}
