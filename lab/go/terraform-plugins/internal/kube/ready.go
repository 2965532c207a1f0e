package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

type condition struct {
	kind, status, reason, message string
}

func conditions(object *unstructured.Unstructured) []condition {
	items, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	var found []condition
	for _, item := range items {
		if fields, ok := item.(map[string]any); ok {
			found = append(found, condition{
				kind: text(fields, "type"), status: text(fields, "status"),
				reason: text(fields, "reason"), message: text(fields, "message"),
			})
		}
	}
	return found
}

func text(fields map[string]any, path ...string) string {
	found, _, _ := unstructured.NestedString(fields, path...)
	return found
}

func number(fields map[string]any, path ...string) int64 {
	found, _, _ := unstructured.NestedInt64(fields, path...)
	return found
}

// watch polls an object until done says so; it returns the object as last seen.
func (o *objects) watch(
	ctx context.Context, object *unstructured.Unstructured, done func(*unstructured.Unstructured) (bool, error),
) (*unstructured.Unstructured, error) {
	latest, id := object, identity(object)
	err := poll(ctx, func() (bool, error) {
		current, err := o.get(ctx, id)
		if err != nil {
			return false, err
		}
		latest = current
		return done(current)
	})
	return latest, err
}

// jobReady waits for a job's end. A job that disappears meanwhile counts as completed, as in the plugin it stands for.
func jobReady(
	ctx context.Context, o *objects, planned Object, object *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	if !tfvalue.Bool(planned, true, "wait_for_completion") {
		return object, nil
	}
	latest, err := o.watch(ctx, object, func(job *unstructured.Unstructured) (bool, error) {
		for _, condition := range conditions(job) {
			if condition.status != "True" {
				continue
			}
			switch condition.kind {
			case "Complete":
				return true, nil
			case "Failed":
				return false, fmt.Errorf("%s: %s", condition.reason, condition.message)
			}
		}
		return false, nil
	})
	if apierrors.IsNotFound(err) {
		plugin.Warn(ctx, fmt.Sprintf("job %s was gone before it was seen to end", identity(object)),
			"It counts as completed. With ttl_seconds_after_finished set, the next plan will want to create it again.")
		return latest, nil
	}
	if err != nil {
		summary := fmt.Sprintf("job: %s is not in complete state", identity(object))
		if ctx.Err() == nil {
			summary = fmt.Sprintf("job: %s is in failed state", identity(object))
		}
		return latest, &plugin.Problem{Summary: summary, Detail: err.Error() + o.evidence(latest, "job-name="+latest.GetName())}
	}
	return latest, nil
}

// podReady waits for one of the target phases; any other phase than Pending on the way is an error.
func podReady(
	ctx context.Context, o *objects, planned Object, object *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	targets := tfvalue.Strings(planned, "target_state")
	if len(targets) == 0 {
		targets = []string{"Running"}
	}
	latest, err := o.watch(ctx, object, func(pod *unstructured.Unstructured) (bool, error) {
		phase := text(pod.Object, "status", "phase")
		if slices.Contains(targets, phase) {
			return true, nil
		}
		if phase != "Pending" && phase != "" {
			return false, fmt.Errorf("unexpected state '%s', wanted target '%s'", phase, strings.Join(targets, ", "))
		}
		return false, nil
	})
	if err != nil {
		return latest, &plugin.Problem{
			Summary: fmt.Sprintf("pod %s did not become %s", identity(object), strings.Join(targets, " or ")),
			Detail:  err.Error() + o.evidence(latest, ""),
		}
	}
	return latest, nil
}

// rolloutReady waits until a deployment or daemon set runs its newest generation everywhere it should.
func rolloutReady(
	ctx context.Context, o *objects, planned Object, object *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	if !tfvalue.Bool(planned, true, "wait_for_rollout") {
		return object, nil
	}
	state := "nothing reported yet"
	latest, err := o.watch(ctx, object, func(current *unstructured.Unstructured) (bool, error) {
		content := current.Object
		var wanted, updated, available int64
		if o.kind.name == "DaemonSet" {
			wanted = number(content, "status", "desiredNumberScheduled")
			updated, available = number(content, "status", "updatedNumberScheduled"), number(content, "status", "numberAvailable")
		} else {
			wanted = number(content, "spec", "replicas")
			updated, available = number(content, "status", "updatedReplicas"), number(content, "status", "availableReplicas")
		}
		state = fmt.Sprintf("%d wanted, %d updated, %d available", wanted, updated, available)
		seen := number(content, "status", "observedGeneration") >= current.GetGeneration()
		return seen && updated >= wanted && available >= wanted, nil
	})
	if err != nil {
		selector := labelSelector(latest)
		return latest, &plugin.Problem{
			Summary: fmt.Sprintf("%s %s did not roll out: %s", o.kind.name, identity(object), state),
			Detail:  err.Error() + o.evidence(latest, selector),
		}
	}
	return latest, nil
}

func labelSelector(object *unstructured.Unstructured) string {
	labels, _, _ := unstructured.NestedStringMap(object.Object, "spec", "selector", "matchLabels")
	var terms []string
	for name, value := range labels {
		terms = append(terms, name+"="+value)
	}
	slices.Sort(terms)
	return strings.Join(terms, ",")
}

// serviceReady waits for an address of a load balancer; other services are ready at once.
func serviceReady(
	ctx context.Context, o *objects, planned Object, object *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	if text(object.Object, "spec", "type") != "LoadBalancer" || !tfvalue.Bool(planned, true, "wait_for_load_balancer") {
		return object, nil
	}
	return o.watch(ctx, object, func(service *unstructured.Unstructured) (bool, error) {
		addresses, _, _ := unstructured.NestedSlice(service.Object, "status", "loadBalancer", "ingress")
		return len(addresses) > 0, nil
	})
}
