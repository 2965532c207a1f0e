package kube

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

const defaultFieldManager = "Terraform"

// fieldPatch is a resource that owns some fields of an object it did not create (labels, annotations, taints), by
// server-side apply under its own field manager.
type fieldPatch struct {
	client *client
	// owned is the attribute with the fields: "labels", "annotations" or "taint".
	owned string
	// fields is the part of the object to apply; nil values mean none.
	fields func(value Object, remove bool) map[string]any
	// current is the owned attribute's value as the object has it now; nil when nothing of it is left.
	current func(state Object, object *unstructured.Unstructured) any
	// target names the object.
	target func(value Object) (apiVersion, kind, namespace, name string)
}

func (f fieldPatch) resource() plugin.Resource {
	return plugin.Resource{
		Defaults: map[string]any{"field_manager": defaultFieldManager},
		ForceNew: []string{"api_version", "kind", "metadata"},
		Validate: validate,
		Create:   f.write,
		Update:   f.write,
		Read:     f.read,
		Delete:   f.remove,
	}
}

func (f fieldPatch) api(value Object) (dynamic.ResourceInterface, string, error) {
	apiVersion, kind, namespace, name := f.target(value)
	resource, namespaced, err := f.client.lookUp(apiVersion, kind)
	if err != nil {
		return nil, "", err
	}
	if !namespaced {
		namespace = ""
	} else if namespace == "" {
		namespace = "default"
	}
	api, err := f.client.in(resource, namespace)
	return api, name, err
}

func (f fieldPatch) apply(ctx context.Context, value Object, remove bool) (*unstructured.Unstructured, error) {
	api, name, err := f.api(value)
	if err != nil {
		return nil, err
	}
	apiVersion, kind, namespace, _ := f.target(value)
	if _, err := api.Get(ctx, name, metav1.GetOptions{}); err != nil {
		return nil, err
	}
	content := map[string]any{"apiVersion": apiVersion, "kind": kind}
	for key, fields := range f.fields(value, remove) {
		content[key] = fields
	}
	metadata, _ := content["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
		content["metadata"] = metadata
	}
	metadata["name"] = name
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	body, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	force := tfvalue.Bool(value, false, "force")
	patched, err := api.Patch(ctx, name, types.ApplyPatchType, body, metav1.PatchOptions{
		FieldManager: f.manager(value), Force: &force,
	})
	if apierrors.IsConflict(err) {
		return nil, &plugin.Problem{
			Summary: "Field manager conflict",
			Detail: fmt.Sprintf("Another client manages a field that %s of %s %q would change: %v\n"+
				`Set "force" to true to take it over.`, f.owned, kind, name, err),
		}
	}
	return patched, err
}

func (f fieldPatch) manager(value Object) string {
	if manager := tfvalue.String(value, "field_manager"); manager != "" {
		return manager
	}
	return defaultFieldManager
}

func (f fieldPatch) write(ctx context.Context, change plugin.Change) (Object, error) {
	apiVersion, kind, namespace, name := f.target(change.Planned)
	if _, err := f.apply(ctx, change.Planned, false); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("%s %q does not exist, so its %s cannot be set", kind, name, f.owned)
		}
		return nil, err
	}
	found, _ := tfvalue.Copy(change.Planned).(Object)
	found["id"] = fieldPatchID(apiVersion, kind, namespace, name)
	if f.owned == "taint" {
		found["id"] = taintID(change.Planned)
	}
	return found, nil
}

func fieldPatchID(apiVersion, kind, namespace, name string) string {
	id := fmt.Sprintf("apiVersion=%s,kind=%s", apiVersion, kind)
	if namespace != "" {
		id += ",namespace=" + namespace
	}
	return id + ",name=" + name
}

func (f fieldPatch) read(ctx context.Context, state Object) (Object, error) {
	api, name, err := f.api(state)
	if err != nil {
		return nil, err
	}
	object, err := api.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, kind, _, _ := f.target(state)
		plugin.Warn(ctx, fmt.Sprintf("%s %q has been deleted", kind, name),
			fmt.Sprintf("Its %s are gone with it; create it again or remove them from the configuration.", f.owned))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	current := f.current(state, object)
	if current == nil {
		return nil, nil
	}
	refreshed, _ := tfvalue.Copy(state).(Object)
	refreshed[f.owned] = current
	return refreshed, nil
}

func (f fieldPatch) remove(ctx context.Context, state Object) error {
	_, err := f.apply(ctx, state, true)
	return ignoreNotFound(err)
}

// metadataPatch is kubernetes_labels or kubernetes_annotations.
func metadataPatch(client *client, owned string) fieldPatch {
	return fieldPatch{
		client: client,
		owned:  owned,
		target: func(value Object) (string, string, string, string) {
			return tfvalue.String(value, "api_version"), tfvalue.String(value, "kind"),
				tfvalue.String(value, "metadata", "namespace"), tfvalue.String(value, "metadata", "name")
		},
		fields: func(value Object, remove bool) map[string]any {
			texts := map[string]any{}
			for name, text := range tfvalue.StringMap(value, owned) {
				if !remove {
					texts[name] = text
				}
			}
			return map[string]any{"metadata": map[string]any{owned: texts}}
		},
		current: func(state Object, object *unstructured.Unstructured) any {
			now := object.GetLabels()
			if owned == "annotations" {
				now = object.GetAnnotations()
			}
			kept := Object{}
			for name := range tfvalue.StringMap(state, owned) {
				if text, there := now[name]; there {
					kept[name] = text
				}
			}
			return kept
		},
	}
}
