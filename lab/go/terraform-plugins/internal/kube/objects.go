package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// objects are the Kubernetes objects behind one resource type.
type objects struct {
	kind   kind
	client *client
	block  schema.Block
}

func (o *objects) resource() plugin.Resource {
	defaults := map[string]any{}
	forceNew := append([]string{"metadata.name", "metadata.generate_name"}, o.kind.forceNew...)
	if o.kind.namespaced {
		defaults["metadata.namespace"] = "default"
		forceNew = append(forceNew, "metadata.namespace")
	}
	maps.Copy(defaults, o.kind.defaults)
	resource := plugin.Resource{
		Defaults: defaults,
		ForceNew: forceNew,
		Volatile: []string{"metadata.resource_version", "metadata.generation"},
		Timeouts: o.kind.timeouts,
		Validate: func(config Object) []error { return validate(config) },
		Create:   o.create,
		Update:   o.update,
		Read:     o.read,
		Delete:   o.delete,
	}
	if o.kind.importable {
		resource.Import = o.importID
	}
	return resource
}

// desired is the API object that a planned value asks for.
func (o *objects) desired(planned, config Object) (*unstructured.Unstructured, error) {
	settings := maps.Clone(planned)
	maps.DeleteFunc(settings, func(name string, _ any) bool {
		_, isField := fieldOf(o.kind.structure, name)
		return ownSettings[name] && !isField // binary_data is a config map's field and a secret's own setting
	})
	content, err := toAPI(settings, o.kind.structure)
	if err != nil {
		return nil, err
	}
	if o.kind.name == "Secret" {
		content["data"] = secretData(planned, config)
	}
	object := &unstructured.Unstructured{Object: content}
	object.SetAPIVersion(o.kind.apiVersion)
	object.SetKind(o.kind.name)
	return object, nil
}

// secretData joins plain-text and already encoded values; write-only ones are in the configuration alone.
func secretData(planned, config Object) map[string]any {
	data := encodeSecrets(tfvalue.StringMap(planned, "data"))
	maps.Copy(data, encodeSecrets(tfvalue.StringMap(config, "data_wo")))
	for _, encoded := range []map[string]string{
		tfvalue.StringMap(planned, "binary_data"), tfvalue.StringMap(config, "binary_data_wo"),
	} {
		for name, text := range encoded {
			data[name] = text
		}
	}
	return data
}

// observed is the value of an API object, whole; about is the planned value or state it belongs to.
func (o *objects) observed(object *unstructured.Unstructured, about Object) Object {
	found := fromAPI(object.Object, o.kind.structure, o.block)
	if o.kind.name == "Secret" {
		found["data"], found["binary_data"] = secretTexts(object, tfvalue.StringMap(about, "binary_data"))
	}
	found["id"] = identity(object)
	if metadata := tfvalue.First(found["metadata"]); metadata != nil && metadata["generation"] == nil {
		metadata["generation"] = int64(0) // the plugin shows kinds without generations so
	}
	return found
}

func identity(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return object.GetName()
	}
	return object.GetNamespace() + "/" + object.GetName()
}

func (o *objects) api(namespace string) (dynamic.ResourceInterface, error) {
	if !o.kind.namespaced {
		namespace = ""
	}
	return o.client.in(o.kind.resource(), namespace)
}

// locate splits an id; a name alone lies in the namespace "default" when the kind has namespaces.
func (o *objects) locate(id string) (namespace, name string) {
	namespace, name, qualified := strings.Cut(id, "/")
	if !qualified {
		namespace, name = "default", id
	}
	return namespace, name
}

func (o *objects) get(ctx context.Context, id string) (*unstructured.Unstructured, error) {
	namespace, name := o.locate(id)
	api, err := o.api(namespace)
	if err != nil {
		return nil, err
	}
	return api.Get(ctx, name, metav1.GetOptions{})
}

func (o *objects) create(ctx context.Context, change plugin.Change) (Object, error) {
	object, err := o.desired(change.Planned, change.Config)
	if err != nil {
		return nil, err
	}
	api, err := o.api(object.GetNamespace())
	if err != nil {
		return nil, err
	}
	created, err := api.Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		return nil, o.failure("create", err)
	}
	return o.await(ctx, change.Planned, created)
}

func (o *objects) await(ctx context.Context, planned Object, object *unstructured.Unstructured) (Object, error) {
	if o.kind.ready == nil {
		return o.observed(object, planned), nil
	}
	latest, err := o.kind.ready(ctx, o, planned, object)
	if latest == nil {
		latest = object
	}
	return o.observed(latest, planned), err
}

func (o *objects) update(ctx context.Context, change plugin.Change) (Object, error) {
	prior, err := o.desired(change.Prior, nil)
	if err != nil {
		return nil, err
	}
	wanted, err := o.desired(change.Planned, change.Config)
	if err != nil {
		return nil, err
	}
	patch, err := mergePatch(prior, wanted)
	if err != nil {
		return nil, err
	}
	namespace, name := o.locate(tfvalue.String(change.Prior, "id"))
	api, err := o.api(namespace)
	if err != nil {
		return nil, err
	}
	patched, err := api.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, o.failure("update", err)
	}
	return o.await(ctx, change.Planned, patched)
}

// mergePatch holds only what the two differ in, so that fields of others on the server stay.
func mergePatch(prior, wanted *unstructured.Unstructured) ([]byte, error) {
	before, err := json.Marshal(prior.Object)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(wanted.Object)
	if err != nil {
		return nil, err
	}
	return jsonpatch.CreateMergePatch(before, after)
}

func (o *objects) read(ctx context.Context, state Object) (Object, error) {
	object, err := o.get(ctx, tfvalue.String(state, "id"))
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, o.failure("read", err)
	}
	return refresh(o.block, state, o.observed(object, state), nil), nil
}

func (o *objects) failure(verb string, err error) error {
	return &plugin.Problem{Summary: fmt.Sprintf("Failed to %s %s", verb, o.kind.name), Detail: err.Error()}
}
