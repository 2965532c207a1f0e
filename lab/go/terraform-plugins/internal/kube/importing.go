package kube

import (
	"context"
	"maps"
	"strings"

	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// importID is the state of an object that exists, all of it: an import has no configuration to compare with.
func (o *objects) importID(ctx context.Context, id string) (Object, error) {
	object, err := o.get(ctx, id)
	if err != nil {
		return nil, o.failure("import", err)
	}
	state := o.observed(object, nil)
	for name := range o.block.Blocks {
		if _, there := state[name]; !there {
			state[name] = []any{}
		}
	}
	if timeouts, ok := o.block.Blocks["timeouts"]; ok && timeouts.Nesting == "single" {
		state["timeouts"] = nil
	}
	for path, value := range o.kind.defaults {
		if !strings.Contains(path, ".") && state[path] == nil {
			state[path] = value
		}
	}
	hideInternal(state)
	return state, nil
}

// hideInternal drops the labels and annotations of Kubernetes itself, which no configuration will name.
func hideInternal(state Object) {
	metadata := tfvalue.First(state["metadata"])
	for _, name := range []string{"labels", "annotations"} {
		fields, _ := metadata[name].(Object)
		maps.DeleteFunc(fields, func(key string, _ any) bool { return isInternalKey(key) })
		if len(fields) == 0 {
			metadata[name] = nil
		}
	}
}
