package kube

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// nodeTaint is kubernetes_node_taint.
func nodeTaint(client *client) plugin.Resource {
	resource := fieldPatch{
		client: client,
		owned:  "taint",
		target: func(value Object) (string, string, string, string) {
			return "v1", "Node", "", tfvalue.String(value, "metadata", "name")
		},
		fields: func(value Object, remove bool) map[string]any {
			taints := []any{}
			for _, taint := range tfvalue.Blocks(value, "taint") {
				if !remove {
					taints = append(taints, map[string]any{"key": taint["key"], "value": taint["value"], "effect": taint["effect"]})
				}
			}
			return map[string]any{"spec": map[string]any{"taints": taints}}
		},
		current: func(state Object, object *unstructured.Unstructured) any {
			taints, _, _ := unstructured.NestedSlice(object.Object, "spec", "taints")
			kept := []any{}
			for _, managed := range tfvalue.Blocks(state, "taint") {
				for _, item := range taints {
					taint, _ := item.(map[string]any)
					if text(taint, "key") == tfvalue.String(managed, "key") && text(taint, "effect") == tfvalue.String(managed, "effect") {
						kept = append(kept, Object{"key": taint["key"], "value": text(taint, "value"), "effect": taint["effect"]})
					}
				}
			}
			if len(kept) == 0 {
				return nil
			}
			return kept
		},
	}.resource()
	resource.Validate, resource.ForceNew = checkTaints, []string{"metadata"}
	return resource
}

func taintID(value Object) string {
	parts := []string{tfvalue.String(value, "metadata", "name")}
	for _, taint := range tfvalue.Blocks(value, "taint") {
		parts = append(parts, fmt.Sprintf("%s=%s:%s", tfvalue.String(taint, "key"), tfvalue.String(taint, "value"),
			tfvalue.String(taint, "effect")))
	}
	return strings.Join(parts, ",")
}

var taintEffects = []string{"NoSchedule", "PreferNoSchedule", "NoExecute"}

func checkTaints(config Object) []error {
	problems := validate(config)
	seen := map[string]bool{}
	for index, taint := range tfvalue.Blocks(config, "taint") {
		key, effect := tfvalue.String(taint, "key"), tfvalue.String(taint, "effect")
		if seen[key] && key != "" {
			report(&problems, plugin.At("taint", index, "key"), key, []string{"taint keys must be unique within the resource"})
		}
		seen[key] = true
		if effect != "" && !slices.Contains(taintEffects, effect) {
			report(&problems, plugin.At("taint", index, "effect"), effect, []string{"it must be one of " + strings.Join(taintEffects, ", ")})
		}
	}
	return problems
}
