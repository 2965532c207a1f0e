package helmrelease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/postrender"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

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
