package helmrelease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/postrender"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	"sigs.k8s.io/yaml"

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

func (h *helm) install(ctx context.Context, change plugin.Change) (Object, error) {
	planned := change.Planned
	loaded, err := h.load(planned)
	if err != nil {
		return nil, err
	}
	values, err := mergedValues(planned, change.Config)
	if err != nil {
		return nil, err
	}
	configuration, err := h.actions(tfvalue.String(planned, "namespace"))
	if err != nil {
		return nil, err
	}
	if tfvalue.Bool(planned, false, "upgrade_install") {
		if _, err := action.NewGet(configuration).Run(tfvalue.String(planned, "name")); err == nil {
			return h.upgrade(ctx, change)
		}
	}
	install := action.NewInstall(configuration)
	install.ReleaseName = tfvalue.String(planned, "name")
	install.Namespace = tfvalue.String(planned, "namespace")
	install.CreateNamespace = tfvalue.Bool(planned, false, "create_namespace")
	install.Atomic = tfvalue.Bool(planned, false, "atomic")
	install.Wait = tfvalue.Bool(planned, true, "wait")
	install.WaitForJobs = tfvalue.Bool(planned, false, "wait_for_jobs")
	install.Timeout = timeout(planned)
	install.DisableHooks = tfvalue.Bool(planned, false, "disable_webhooks")
	install.DisableOpenAPIValidation = tfvalue.Bool(planned, false, "disable_openapi_validation")
	install.SkipCRDs = tfvalue.Bool(planned, false, "skip_crds")
	install.Replace = tfvalue.Bool(planned, false, "replace")
	install.SubNotes = tfvalue.Bool(planned, true, "render_subchart_notes")
	install.TakeOwnership = tfvalue.Bool(planned, false, "take_ownership")
	install.Description = tfvalue.String(planned, "description")
	if install.PostRenderer, err = postRenderer(planned); err != nil {
		return nil, err
	}
	installed, err := install.RunWithContext(ctx, loaded, values)
	if err != nil {
		return h.afterFailure(configuration, planned, installed, "install", err)
	}
	return observed(planned, installed), nil
}

// afterFailure keeps a release that exists although Helm reports an error, so that the resource is tainted and the next
// apply replaces it.
func (h *helm) afterFailure(
	configuration *action.Configuration, planned Object, result *release.Release, verb string, err error,
) (Object, error) {
	name := tfvalue.String(planned, "name")
	problem := &plugin.Problem{Summary: fmt.Sprintf("Helm could not %s release %q", verb, name), Detail: err.Error()}
	stored, getErr := action.NewGet(configuration).Run(name)
	if getErr != nil || (result != nil && stored.Version != result.Version) {
		return nil, problem
	}
	problem.Detail += fmt.Sprintf("\n\nThe release exists with status %q.", stored.Info.Status)
	return observed(planned, stored), problem
}

func (h *helm) upgrade(ctx context.Context, change plugin.Change) (Object, error) {
	planned := change.Planned
	loaded, err := h.load(planned)
	if err != nil {
		return nil, err
	}
	values, err := mergedValues(planned, change.Config)
	if err != nil {
		return nil, err
	}
	configuration, err := h.actions(tfvalue.String(planned, "namespace"))
	if err != nil {
		return nil, err
	}
	upgrade := action.NewUpgrade(configuration)
	upgrade.Namespace = tfvalue.String(planned, "namespace")
	upgrade.Atomic = tfvalue.Bool(planned, false, "atomic")
	upgrade.CleanupOnFail = tfvalue.Bool(planned, false, "cleanup_on_fail")
	upgrade.MaxHistory = int(tfvalue.Int(planned, 0, "max_history"))
	upgrade.Wait = tfvalue.Bool(planned, true, "wait")
	upgrade.WaitForJobs = tfvalue.Bool(planned, false, "wait_for_jobs")
	upgrade.Timeout = timeout(planned)
	upgrade.DisableHooks = tfvalue.Bool(planned, false, "disable_webhooks")
	upgrade.DisableOpenAPIValidation = tfvalue.Bool(planned, false, "disable_openapi_validation")
	upgrade.SkipCRDs = tfvalue.Bool(planned, false, "skip_crds")
	upgrade.Force = tfvalue.Bool(planned, false, "force_update")
	upgrade.Recreate = tfvalue.Bool(planned, false, "recreate_pods")
	upgrade.ResetValues = tfvalue.Bool(planned, false, "reset_values")
	upgrade.ReuseValues = tfvalue.Bool(planned, false, "reuse_values")
	upgrade.SubNotes = tfvalue.Bool(planned, true, "render_subchart_notes")
	upgrade.TakeOwnership = tfvalue.Bool(planned, false, "take_ownership")
	upgrade.Description = tfvalue.String(planned, "description")
	if upgrade.PostRenderer, err = postRenderer(planned); err != nil {
		return nil, err
	}
	name := tfvalue.String(planned, "name")
	upgraded, err := upgrade.RunWithContext(ctx, name, loaded, values)
	if err != nil {
		// The prior state stays, so the next plan wants the same change again.
		return nil, &plugin.Problem{Summary: fmt.Sprintf("Helm could not upgrade release %q", name), Detail: err.Error()}
	}
	return observed(planned, upgraded), nil
}

func (h *helm) read(_ context.Context, state Object) (Object, error) {
	configuration, err := h.actions(tfvalue.String(state, "namespace"))
	if err != nil {
		return nil, err
	}
	found, err := action.NewGet(configuration).Run(tfvalue.String(state, "name"))
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, &plugin.Problem{
			Summary: fmt.Sprintf("Helm could not read release %q", tfvalue.String(state, "name")), Detail: err.Error(),
		}
	}
	refreshed, _ := tfvalue.Copy(state).(Object)
	current := observed(state, found)
	for _, name := range []string{"metadata", "status", "description"} {
		refreshed[name] = current[name]
	}
	if version := found.Chart.Metadata.Version; !satisfies(version, tfvalue.String(state, "version")) {
		refreshed["version"] = version
	}
	if changed, values := valuesDrift(state, found); changed {
		refreshed["values"] = []any{values}
	}
	return refreshed, nil
}

// satisfies keeps a version written as a constraint, or with a leading "v", while the installed one fits it.
func satisfies(installed, wanted string) bool {
	if installed == wanted {
		return true
	}
	constraint, err := semver.NewConstraint(wanted)
	if err != nil {
		return false
	}
	version, err := semver.NewVersion(installed)
	return err == nil && constraint.Check(version)
}

// valuesDrift tells whether somebody changed the release's values outside of Terraform, and what they are now.
func valuesDrift(state Object, found *release.Release) (bool, any) {
	if state["set_wo_revision"] != nil || tfvalue.Bool(state, false, "reuse_values") {
		return false, nil // what was set is not in the state, so nothing can be compared
	}
	wanted, err := mergedValues(state, nil)
	if err != nil || sameValues(wanted, found.Config) {
		return false, nil
	}
	text, err := yaml.Marshal(cloaked(found.Config, state))
	if err != nil {
		return false, nil
	}
	return true, string(text)
}

func (h *helm) uninstall(_ context.Context, state Object) error {
	configuration, err := h.actions(tfvalue.String(state, "namespace"))
	if err != nil {
		return err
	}
	uninstall := action.NewUninstall(configuration)
	uninstall.IgnoreNotFound = true
	uninstall.Wait = tfvalue.Bool(state, true, "wait")
	uninstall.Timeout = timeout(state)
	uninstall.DisableHooks = tfvalue.Bool(state, false, "disable_webhooks")
	name := tfvalue.String(state, "name")
	if _, err := uninstall.Run(name); err != nil && !errors.Is(err, driver.ErrReleaseNotFound) {
		return &plugin.Problem{Summary: fmt.Sprintf("Helm could not uninstall release %q", name), Detail: err.Error()}
	}
	return nil
}

// importID takes "namespace/name", or "name" in the namespace "default". The chart's repository is in no release, so
// the first plan after an import shows it as a change.
func (h *helm) importID(_ context.Context, id string) (Object, error) {
	namespace, name, qualified := strings.Cut(id, "/")
	if !qualified {
		namespace, name = "default", id
	}
	configuration, err := h.actions(namespace)
	if err != nil {
		return nil, err
	}
	found, err := action.NewGet(configuration).Run(name)
	if err != nil {
		return nil, fmt.Errorf("release %q in namespace %q cannot be imported: %w", name, namespace, err)
	}
	state := Object{"name": name, "namespace": namespace, "chart": found.Chart.Metadata.Name}
	for path, value := range h.release().Defaults {
		if !strings.Contains(path, ".") && state[path] == nil {
			state[path] = value
		}
	}
	for attribute, value := range observed(state, found) {
		state[attribute] = value
	}
	if len(found.Config) > 0 {
		text, err := yaml.Marshal(found.Config)
		if err != nil {
			return nil, err
		}
		state["values"] = []any{string(text)}
	}
	return state, nil
}

// observed are the attributes that a release itself tells.
func observed(state Object, found *release.Release) Object {
	metadata := found.Chart.Metadata
	return Object{
		"id":          found.Name,
		"version":     metadata.Version,
		"status":      found.Info.Status.String(),
		"description": found.Info.Description,
		"metadata": Object{
			"name":           found.Name,
			"namespace":      found.Namespace,
			"revision":       int64(found.Version),
			"chart":          metadata.Name,
			"version":        metadata.Version,
			"app_version":    metadata.AppVersion,
			"values":         shown(found.Config, state),
			"notes":          found.Info.Notes,
			"first_deployed": found.Info.FirstDeployed.Unix(),
			"last_deployed":  found.Info.LastDeployed.Unix(),
		},
	}
}

func timeout(value Object) time.Duration {
	return time.Duration(tfvalue.Int(value, 300, "timeout")) * time.Second
}

func postRenderer(value Object) (postrender.PostRenderer, error) {
	settings, ok := value["postrender"].(Object)
	if !ok {
		return nil, nil
	}
	return postrender.NewExec(tfvalue.String(settings, "binary_path"), tfvalue.Strings(settings, "args")...)
}
