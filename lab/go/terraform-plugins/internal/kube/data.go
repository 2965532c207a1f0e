package kube

import (
	"context"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

func dataSources(client *client, schemas map[string]schema.Schema) map[string]plugin.DataSource {
	one := func(name string, kind kind) plugin.DataSource {
		return plugin.DataSource{Read: func(ctx context.Context, config Object) (Object, error) {
			return readOne(ctx, &objects{kind: kind, client: client, block: schemas[name].Block}, config)
		}}
	}
	return map[string]plugin.DataSource{
		"kubernetes_resources": {
			Validate: checkSelector,
			Read:     func(ctx context.Context, config Object) (Object, error) { return readResources(ctx, client, config) },
		},
		"kubernetes_resource": {
			Read: func(ctx context.Context, config Object) (Object, error) { return readResource(ctx, client, config) },
		},
		"kubernetes_nodes": {
			Read: func(ctx context.Context, config Object) (Object, error) {
				return readNodes(ctx, client, schemas["kubernetes_nodes"].Block, config)
			},
		},
		"kubernetes_namespace_v1": one("kubernetes_namespace_v1", kinds["kubernetes_namespace_v1"]),
		"kubernetes_pod_v1":       one("kubernetes_pod_v1", kinds["kubernetes_pod_v1"]),
	}
}

func checkSelector(config Object) []error {
	var problems []error
	selector := tfvalue.String(config, "label_selector")
	if _, err := labels.Parse(selector); err != nil {
		report(&problems, plugin.At("label_selector"), selector, []string{err.Error()})
	}
	return problems
}

// readResources lists objects of any kind, as the API has them.
func readResources(ctx context.Context, client *client, config Object) (Object, error) {
	resource, _, err := client.lookUp(tfvalue.String(config, "api_version"), tfvalue.String(config, "kind"))
	if err != nil {
		return nil, err
	}
	api, err := client.in(resource, tfvalue.String(config, "namespace"))
	if err != nil {
		return nil, err
	}
	found, err := api.List(ctx, metav1.ListOptions{
		LabelSelector: tfvalue.String(config, "label_selector"),
		FieldSelector: tfvalue.String(config, "field_selector"),
		Limit:         tfvalue.Int(config, 0, "limit"),
	})
	if err != nil {
		return nil, fmt.Errorf("failed to list %s: %w", tfvalue.String(config, "kind"), err)
	}
	items := make([]any, 0, len(found.Items))
	for _, item := range found.Items {
		items = append(items, plainJSON(item.Object))
	}
	return Object{"objects": items}, nil
}

func readResource(ctx context.Context, client *client, config Object) (Object, error) {
	resource, namespaced, err := client.lookUp(tfvalue.String(config, "api_version"), tfvalue.String(config, "kind"))
	if err != nil {
		return nil, err
	}
	namespace := ""
	if namespaced {
		if namespace = tfvalue.String(config, "metadata", "namespace"); namespace == "" {
			namespace = "default"
		}
	}
	api, err := client.in(resource, namespace)
	if err != nil {
		return nil, err
	}
	found, err := api.Get(ctx, tfvalue.String(config, "metadata", "name"), metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to read %s: %w", tfvalue.String(config, "kind"), err)
	}
	return Object{"object": plainJSON(found.Object)}, nil
}

// plainJSON is JSON in the plain form of Terraform values.
func plainJSON(value any) any {
	switch typed := value.(type) {
	case map[string]any:
		converted := make(Object, len(typed))
		for name, item := range typed {
			converted[name] = plainJSON(item)
		}
		return converted
	case []any:
		converted := make([]any, len(typed))
		for index, item := range typed {
			converted[index] = plainJSON(item)
		}
		return converted
	}
	return value
}

func readNodes(ctx context.Context, client *client, block schema.Block, config Object) (Object, error) {
	selector := labels.Set(tfvalue.StringMap(config, "metadata", "labels")).String()
	api, err := client.in(nodeResource, "")
	if err != nil {
		return nil, err
	}
	found, err := api.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, fmt.Errorf("failed to list nodes: %w", err)
	}
	items := make([]any, 0, len(found.Items))
	for _, item := range found.Items {
		items = append(items, item.Object)
	}
	nodes := fromAPIList(items, reflect.TypeFor[[]corev1.Node](), listElement(block.Attributes["nodes"].Type.Type))
	return Object{"id": "nodes:" + selector, "nodes": nodes}, nil
}

// readOne reads a single object by the name in its metadata block. Like the plugin, an absent one is no error: the
// result is only what was asked for.
func readOne(ctx context.Context, o *objects, config Object) (Object, error) {
	id := tfvalue.String(config, "metadata", "name")
	if o.kind.namespaced {
		namespace := tfvalue.String(config, "metadata", "namespace")
		if namespace == "" {
			namespace = "default"
		}
		id = namespace + "/" + id
	}
	object, err := o.get(ctx, id)
	if apierrors.IsNotFound(err) {
		plugin.Warn(ctx, fmt.Sprintf("%s %q does not exist", o.kind.name, id), "Its attributes are null.")
		object, err = &unstructured.Unstructured{Object: map[string]any{}}, nil
		object.SetName(tfvalue.String(config, "metadata", "name"))
	}
	if err != nil {
		return nil, err
	}
	found := o.observed(object, nil)
	found["id"] = id
	if _, shown := o.block.Attributes["status"]; shown {
		found["status"] = nil
		if phase := text(object.Object, "status", "phase"); phase != "" {
			found["status"] = phase
		}
	}
	metadata := tfvalue.First(found["metadata"])
	for name, value := range tfvalue.First(config["metadata"]) {
		if value != nil {
			metadata[name] = value
		}
	}
	return found, nil
}
