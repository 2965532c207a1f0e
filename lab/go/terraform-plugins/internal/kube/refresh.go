package kube

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// refresh is the state with what the server now says about it. Only what the state manages is compared: a field the
// server defaulted is no drift, a field that somebody changed is.
func refresh(block schema.Block, state, found Object, path []string) Object {
	result := make(Object, len(state))
	for name, value := range state {
		result[name] = value
		current, there := found[name]
		if !there {
			continue // no such field in the API: wait_for_completion, timeouts
		}
		here := append(path, name)
		if attribute, ok := block.Attributes[name]; ok {
			result[name] = refreshAttribute(attribute, value, current, here)
		} else if nested, ok := block.Blocks[name]; ok {
			result[name] = refreshBlocks(nested, value, current, here)
		}
	}
	return result
}

func refreshAttribute(attribute *schema.Attribute, state, found any, path []string) any {
	if isMetadataMap(path) {
		return refreshMetadataMap(state, found)
	}
	if state == nil {
		if attribute.Computed {
			return found
		}
		return nil
	}
	if same(state, found) {
		return state
	}
	if fields, ok := state.(Object); ok && isTemplateMap(path) {
		return managedKeys(fields, found)
	}
	return found
}

// same also holds for an unset field against an empty value, and for two spellings of one quantity.
func same(state, found any) bool {
	if tfvalue.Equal(state, found) {
		return true
	}
	switch typed := state.(type) {
	case Object:
		other, ok := found.(Object)
		if !ok {
			return found == nil && len(typed) == 0
		}
		if len(typed) != len(other) {
			return false
		}
		for name, value := range typed {
			if item, there := other[name]; !there || !same(value, item) {
				return false
			}
		}
		return true
	case []any:
		return found == nil && len(typed) == 0
	case string:
		text, ok := found.(string)
		return (found == nil && typed == "") || (ok && sameQuantity(typed, text))
	case bool:
		return found == nil && !typed
	case int64:
		return found == nil && typed == 0
	}
	return false
}

func sameQuantity(a, b string) bool {
	left, err := resource.ParseQuantity(a)
	if err != nil {
		return false
	}
	right, err := resource.ParseQuantity(b)
	return err == nil && left.Cmp(right) == 0
}

// injected are lists that admission extends on the server; elements are paired by these attributes.
var injected = map[string][]string{
	"toleration":        {"key", "effect", "operator"},
	"volume":            {"name"},
	"volume_mount":      {"mount_path"},
	"image_pull_secret": {"name"},
	"secret":            {"name"},
}

func refreshBlocks(nested *schema.NestedBlock, state, found any, path []string) any {
	stateBlocks, isList := state.([]any)
	foundBlocks, _ := found.([]any)
	if !isList || len(stateBlocks) == 0 {
		return state // nothing configured, so nothing managed
	}
	keys, extended := injected[path[len(path)-1]]
	result := []any{}
	for index, item := range stateBlocks {
		current := pair(item, foundBlocks, index, keys, nested.Nesting == "set")
		if current == nil {
			continue
		}
		block, ok := item.(Object)
		if !ok {
			result = append(result, item)
			continue
		}
		result = append(result, refresh(nested.Block, block, current, path))
	}
	if !extended && nested.MaxItems != 1 {
		for index := len(stateBlocks); index < len(foundBlocks); index++ {
			result = append(result, foundBlocks[index])
		}
	}
	return result
}

func pair(item any, found []any, index int, keys []string, isSet bool) Object {
	block, _ := item.(Object)
	if keys == nil && !isSet {
		if index < len(found) {
			return tfvalue.First(found[index])
		}
		return nil
	}
	for _, candidate := range found {
		other := tfvalue.First(candidate)
		if other != nil && pairs(block, other, keys) {
			return other
		}
	}
	return nil
}

func pairs(block, other Object, keys []string) bool {
	if keys == nil {
		for name, value := range block {
			if current, there := other[name]; there && value != nil && !same(value, current) {
				return false
			}
		}
		return true
	}
	for _, key := range keys {
		if block[key] != nil && !same(block[key], other[key]) {
			return false
		}
	}
	return true
}

func isMetadataMap(path []string) bool {
	return len(path) == 2 && path[0] == "metadata" && (path[1] == "labels" || path[1] == "annotations")
}

// isTemplateMap: maps of an object that controllers also write to, below the object's own metadata.
func isTemplateMap(path []string) bool {
	last := path[len(path)-1]
	return len(path) > 2 && (last == "labels" || last == "annotations" || last == "match_labels")
}

// refreshMetadataMap shows labels and annotations that others added as drift, as the plugin does, except those of
// Kubernetes itself.
func refreshMetadataMap(state, found any) any {
	managed, _ := state.(Object)
	current, _ := found.(Object)
	result := Object{}
	for name, value := range current {
		if _, configured := managed[name]; configured || !isInternalKey(name) {
			result[name] = value
		}
	}
	if len(result) == 0 && len(managed) == 0 {
		return state
	}
	return result
}

func isInternalKey(name string) bool {
	domain, _, qualified := strings.Cut(name, "/")
	if !qualified {
		return name == "controller-uid" || name == "job-name" || name == "deprecated.daemonset.template.generation"
	}
	return domain == "kubernetes.io" || strings.HasSuffix(domain, ".kubernetes.io") || strings.HasSuffix(domain, ".k8s.io")
}

func managedKeys(managed Object, found any) any {
	current, _ := found.(Object)
	result := Object{}
	for name := range managed {
		if value, there := current[name]; there {
			result[name] = value
		}
	}
	return result
}
