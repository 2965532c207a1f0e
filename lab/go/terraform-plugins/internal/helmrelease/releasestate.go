package helmrelease

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	"sigs.k8s.io/yaml"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

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
