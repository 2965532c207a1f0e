package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// delete returns once the object is gone.
func (o *objects) delete(ctx context.Context, state Object) error {
	id := tfvalue.String(state, "id")
	namespace, name := o.locate(id)
	api, err := o.api(namespace)
	if err != nil {
		return err
	}
	policy := metav1.DeletePropagationBackground
	err = api.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &policy})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return o.failure("delete", err)
	}
	var last *unstructured.Unstructured
	err = poll(ctx, func() (bool, error) {
		object, err := api.Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			last = object
		}
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
	if err != nil && last != nil {
		return fmt.Errorf("%s %q still exists: %w%s", o.kind.name, id, err, remaining(last))
	}
	return err
}

// remaining says what keeps an object: its finalizers and, for a namespace, what is left in it.
func remaining(object *unstructured.Unstructured) string {
	text := ""
	if finalizers := object.GetFinalizers(); len(finalizers) > 0 {
		text += "; finalizers: " + strings.Join(finalizers, ", ")
	}
	for _, condition := range conditions(object) {
		if condition.status == "True" {
			text += fmt.Sprintf("; %s: %s", condition.kind, condition.message)
		}
	}
	return text
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

const pollInterval = 300 * time.Millisecond

// poll asks again until done, an error, or the end of the context, whose deadline is the resource's timeout.
func poll(ctx context.Context, done func() (bool, error)) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		finished, err := done()
		if ctx.Err() != nil {
			return fmt.Errorf("timeout while waiting (raise it in the timeouts block): %w", ctx.Err())
		}
		if finished || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}
