package helmrelease

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/downloader"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/registry"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// load finds and reads the chart that a release names: from a repository, a path or an archive's URL.
func (h *helm) load(value Object) (*chart.Chart, error) {
	path, err := h.locate(value)
	if err != nil {
		return nil, notFound(value, err)
	}
	loaded, err := loader.Load(path)
	if err != nil {
		return nil, notFound(value, err)
	}
	if kind := loaded.Metadata.Type; kind != "" && kind != "application" {
		return nil, notFound(value, fmt.Errorf("charts of type %q cannot be installed", kind))
	}
	if err := action.CheckDependencies(loaded, loaded.Metadata.Dependencies); err != nil {
		if !tfvalue.Bool(value, false, "dependency_update") {
			return nil, notFound(value, fmt.Errorf("%w; set dependency_update = true to fetch them", err))
		}
		if err := h.updateDependencies(path, tfvalue.String(value, "keyring")); err != nil {
			return nil, notFound(value, err)
		}
		return loader.Load(path)
	}
	return loaded, nil
}

func notFound(value Object, err error) error {
	name, version := tfvalue.String(value, "chart"), tfvalue.String(value, "version")
	detail := fmt.Sprintf("chart %q", name)
	if version != "" {
		detail += fmt.Sprintf(", version %q", version)
	}
	if repository := tfvalue.String(value, "repository"); repository != "" {
		detail += fmt.Sprintf(", repository %q", repository)
	}
	return &plugin.Problem{Path: plugin.At("chart"), Summary: "Could not load the chart", Detail: detail + ": " + err.Error()}
}

// locate gives the chart's place on this machine, downloaded when it must be; once a process.
func (h *helm) locate(value Object) (string, error) {
	name, repository := tfvalue.String(value, "chart"), tfvalue.String(value, "repository")
	options, err := h.pathOptions(value)
	if err != nil {
		return "", err
	}
	if registry.IsOCI(repository) {
		name, repository = strings.TrimSuffix(repository, "/")+"/"+name, ""
	}
	if parsed, err := url.Parse(repository); err == nil && parsed.Host != "" {
		options.RepoURL = repository
	} else if repository != "" {
		name = repository + "/" + name // a repository that `helm repo add` has named
	}
	key := strings.Join([]string{options.RepoURL, name, options.Version}, "\n")
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if path, known := h.located[key]; known {
		return path, nil
	}
	path, err := options.LocateChart(name, h.environment())
	if err == nil {
		h.located[key] = path
	}
	return path, err
}

func (h *helm) pathOptions(value Object) (*action.ChartPathOptions, error) {
	// An install action is the only public way to give path options a registry client.
	install := action.NewInstall(&action.Configuration{})
	if registry.IsOCI(tfvalue.String(value, "repository")) || registry.IsOCI(tfvalue.String(value, "chart")) {
		client, err := h.registry()
		if err != nil {
			return nil, err
		}
		install.SetRegistryClient(client)
	}
	options := &install.ChartPathOptions
	options.Version = strings.TrimSpace(tfvalue.String(value, "version"))
	if options.Version == "" && tfvalue.Bool(value, false, "devel") {
		options.Version = ">0.0.0-0"
	}
	options.Username = tfvalue.String(value, "repository_username")
	options.Password = tfvalue.String(value, "repository_password")
	options.CaFile = tfvalue.String(value, "repository_ca_file")
	options.CertFile = tfvalue.String(value, "repository_cert_file")
	options.KeyFile = tfvalue.String(value, "repository_key_file")
	options.Keyring = tfvalue.String(value, "keyring")
	options.Verify = tfvalue.Bool(value, false, "verify")
	options.PassCredentialsAll = tfvalue.Bool(value, false, "pass_credentials")
	return options, nil
}

func (h *helm) updateDependencies(path, keyring string) error {
	environment := h.environment()
	return (&downloader.Manager{
		Out:              io.Discard,
		ChartPath:        path,
		Keyring:          keyring,
		Getters:          getter.All(environment),
		RepositoryConfig: environment.RepositoryConfig,
		RepositoryCache:  environment.RepositoryCache,
	}).Update()
}
