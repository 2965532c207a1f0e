package helmrelease

import (
	"context"
	"errors"
	"fmt"
	"os"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

func (h *helm) release() plugin.Resource {
	namespace := os.Getenv("HELM_NAMESPACE")
	if namespace == "" {
		namespace = "default"
	}
	return plugin.Resource{
		Defaults: map[string]any{
			"namespace": namespace, "atomic": false, "cleanup_on_fail": false, "create_namespace": false,
			"dependency_update": false, "disable_crd_hooks": false, "disable_openapi_validation": false,
			"disable_webhooks": false, "force_update": false, "lint": false, "max_history": int64(0),
			"pass_credentials": false, "recreate_pods": false, "render_subchart_notes": true, "replace": false,
			"reset_values": false, "reuse_values": false, "skip_crds": false, "take_ownership": false,
			"timeout": int64(300), "verify": false, "wait": true, "wait_for_jobs": false, "upgrade_install": false,
			"set.type": "",
		},
		ForceNew: []string{"name", "namespace"},
		Volatile: []string{"metadata", "status", "description"},
		Validate: checkRelease,
		Plan:     h.plan,
		Create:   h.install,
		Update:   h.upgrade,
		Read:     h.read,
		Delete:   h.uninstall,
		Import:   h.importID,
	}
}

func checkRelease(config Object) []error {
	var problems []error
	if name := tfvalue.String(config, "name"); name != "" {
		if err := chartutil.ValidateReleaseName(name); err != nil {
			problems = append(problems, &plugin.Problem{
				Path: plugin.At("name"), Summary: fmt.Sprintf("name: %q is no release name", name), Detail: err.Error(),
			})
		}
	}
	if tfvalue.Known(config["values"]) && tfvalue.Known(config["set"]) && tfvalue.Known(config["set_list"]) &&
		tfvalue.Known(config["set_sensitive"]) {
		if _, err := mergedValues(config, nil); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// plan loads the chart, so that a wrong name or version is an error before anything is applied.
func (h *helm) plan(_ context.Context, change plugin.Change) error {
	planned := change.Planned
	// Only the "manifest" experiment fills these; the stand-in has none.
	planned["manifest"], planned["resources"] = nil, nil
	for _, name := range []string{"chart", "repository", "version", "repository_username", "repository_password"} {
		if value := planned[name]; value == tfvalue.Unknown && (name != "version" || change.Config["version"] != nil) {
			return nil // cannot be loaded yet
		}
	}
	wanted, _ := tfvalue.Copy(planned).(Object)
	wanted["version"] = change.Config["version"]
	loaded, err := h.load(wanted)
	if err != nil {
		return err
	}
	if change.Config["version"] == nil && planned["version"] != loaded.Metadata.Version {
		planned["version"] = loaded.Metadata.Version
		if change.Prior != nil {
			planned["metadata"], planned["status"] = tfvalue.Unknown, tfvalue.Unknown
		}
	}
	if tfvalue.Bool(planned, false, "lint") && tfvalue.Known(planned["values"]) {
		return h.lint(wanted)
	}
	return nil
}

func (h *helm) lint(value Object) error {
	path, err := h.locate(value)
	if err != nil {
		return notFound(value, err)
	}
	values, err := mergedValues(value, nil)
	if err != nil {
		return err
	}
	if result := action.NewLint().Run([]string{path}, values); len(result.Errors) > 0 {
		return &plugin.Problem{Path: plugin.At("chart"), Summary: "The chart failed lint", Detail: errors.Join(result.Errors...).Error()}
	}
	return nil
}
