package helmrelease

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// template renders a chart without any cluster.
func (h *helm) template() plugin.DataSource {
	return plugin.DataSource{Validate: checkRelease, Read: h.render}
}

func (h *helm) render(ctx context.Context, config Object) (Object, error) {
	loaded, err := h.load(config)
	if err != nil {
		return nil, err
	}
	values, err := mergedValues(config, config)
	if err != nil {
		return nil, err
	}
	install := action.NewInstall(&action.Configuration{Log: func(string, ...any) {}})
	install.DryRun, install.ClientOnly, install.Replace = true, true, true
	install.ReleaseName = tfvalue.String(config, "name")
	if install.Namespace = tfvalue.String(config, "namespace"); install.Namespace == "" {
		install.Namespace = "default"
	}
	install.IncludeCRDs = tfvalue.Bool(config, false, "include_crds")
	install.SkipCRDs = tfvalue.Bool(config, false, "skip_crds")
	install.DisableHooks = tfvalue.Bool(config, false, "disable_webhooks")
	install.SubNotes = tfvalue.Bool(config, true, "render_subchart_notes")
	install.IsUpgrade = tfvalue.Bool(config, false, "is_upgrade")
	install.APIVersions = chartutil.VersionSet(tfvalue.Strings(config, "api_versions"))
	if version := tfvalue.String(config, "kube_version"); version != "" {
		if install.KubeVersion, err = chartutil.ParseKubeVersion(version); err != nil {
			return nil, fmt.Errorf("kube_version %q: %w", version, err)
		}
	}
	rendered, err := install.RunWithContext(ctx, loaded, values)
	if err != nil {
		return nil, &plugin.Problem{Summary: "Helm could not render the chart", Detail: err.Error()}
	}
	whole := strings.TrimSpace(rendered.Manifest)
	for _, hook := range rendered.Hooks {
		isTest := slices.ContainsFunc(hook.Events, func(event release.HookEvent) bool { return event == release.HookTest })
		if !install.DisableHooks && !(isTest && tfvalue.Bool(config, false, "skip_tests")) {
			whole += fmt.Sprintf("\n---\n# Source: %s\n%s", hook.Path, hook.Manifest)
		}
	}
	manifests := byTemplate(whole, tfvalue.Strings(config, "show_only"))
	crds := []any{}
	for _, crd := range loaded.CRDObjects() {
		crds = append(crds, string(crd.File.Data))
	}
	return Object{
		"id": install.ReleaseName, "version": loaded.Metadata.Version, "notes": rendered.Info.Notes, "crds": crds,
		"manifest": whole, "manifests": manifests,
	}, nil
}

// byTemplate groups rendered documents by the template they come from.
func byTemplate(whole string, only []string) Object {
	documents := releaseutil.SplitManifests(whole)
	keys := make([]string, 0, len(documents))
	for key := range documents {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return len(a) - len(b) })
	grouped := Object{}
	for _, key := range keys {
		source := "unknown"
		for line := range strings.Lines(documents[key]) {
			if path, found := strings.CutPrefix(strings.TrimSpace(line), "# Source: "); found {
				_, source, _ = strings.Cut(path, "/")
				break
			}
		}
		if len(only) > 0 && !slices.Contains(only, source) {
			continue
		}
		before, _ := grouped[source].(string)
		grouped[source] = before + "---\n" + documents[key] + "\n"
	}
	return grouped
}
