package cluster

import (
	"slices"
	"strings"
	"testing"

	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

func TestSettingsWithoutAClusterAreRefused(t *testing.T) {
	t.Setenv("KUBE_HOST", "")
	t.Setenv("KUBE_CONFIG_PATH", "")
	if _, err := NewSettings(nil).RestConfig(); err == nil || !strings.Contains(err.Error(), "set host") {
		t.Errorf("got %v", err)
	}
}

func TestUnknownSettingsAreNamed(t *testing.T) {
	settings := NewSettings(tfvalue.Object{"host": "https://h", "token": tfvalue.Unknown, "client_key": tfvalue.Unknown})
	if got := settings.Unknown(); !slices.Equal(got, []string{"client_key", "token"}) {
		t.Errorf("got %v", got)
	}
	if _, err := settings.RestConfig(); err == nil || !strings.Contains(err.Error(), "client_key, token") {
		t.Errorf("got %v", err)
	}
}

func TestAMissingKubeconfigIsSaid(t *testing.T) {
	_, err := NewSettings(tfvalue.Object{"config_path": "/nowhere/kubeconfig"}).RestConfig()
	if err == nil || !strings.Contains(err.Error(), "/nowhere/kubeconfig") {
		t.Errorf("got %v", err)
	}
}

func TestHostAndCertificatesReachTheClient(t *testing.T) {
	config, err := NewSettings(tfvalue.Object{
		"host": "https://10.0.0.1:6443", "cluster_ca_certificate": "ca", "client_certificate": "crt", "client_key": "key",
	}).RestConfig()
	if err != nil {
		t.Fatal(err)
	}
	tls := config.TLSClientConfig
	if config.Host != "https://10.0.0.1:6443" || string(tls.CAData) != "ca" || string(tls.CertData) != "crt" || string(tls.KeyData) != "key" {
		t.Errorf("got %s", config.Host)
	}
	if config.Timeout != RequestTimeout {
		t.Errorf("requests are not bounded: %s", config.Timeout)
	}
}
