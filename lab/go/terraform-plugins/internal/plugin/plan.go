package plugin

import (
	"strings"

	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// planned is the value a resource will have, as far as it is known before apply.
//
// Terraform's proposal already holds the configuration and, for computed attributes, the prior state. Added here:
// defaults, "known after apply", and null for write-only attributes, which must not be stored.
func planned(resource Resource, block schema.Block, config, proposed, prior Object) Object {
	walk := planWalk{defaults: resource.Defaults}
	result := walk.object(block.Attributes, block.Blocks, config, proposed, prior, nil)
	if prior == nil || tfvalue.Equal(result, prior) {
		return result
	}
	for _, path := range resource.Volatile {
		forget(result, config, strings.Split(path, "."))
	}
	return result
}

// replacements lists the changed paths that need a new resource.
func replacements(resource Resource, planned, prior Object) []Path {
	var found []Path
	for _, rule := range resource.ForceNew {
		found = append(found, changedAt(planned, prior, strings.Split(rule, "."), nil)...)
	}
	return found
}

type planWalk struct {
	defaults map[string]any
}

func (w planWalk) object(
	attributes map[string]*schema.Attribute, blocks map[string]*schema.NestedBlock, config, proposed, prior Object, path Path,
) Object {
	result := make(Object, len(attributes)+len(blocks))
	for name, attribute := range attributes {
		result[name] = w.attribute(attribute, name, config, proposed, prior, path.With(name))
	}
	for name, nested := range blocks {
		result[name] = w.nested(nested.Nesting, nested.Block, config[name], proposed[name], prior[name], path.With(name))
	}
	return result
}

func (w planWalk) attribute(attribute *schema.Attribute, name string, config, proposed, prior Object, path Path) any {
	if attribute.WriteOnly {
		return nil
	}
	if config[name] != nil {
		if attribute.Nested != nil {
			nested := schema.Block{Attributes: attribute.Nested.Attributes}
			return w.nested(attribute.Nested.Nesting, nested, config[name], proposed[name], prior[name], path)
		}
		return proposed[name]
	}
	if value, ok := w.defaults[path.Name()]; ok {
		return value
	}
	if attribute.Computed && prior == nil {
		return tfvalue.Unknown
	}
	return proposed[name]
}

func (w planWalk) nested(nesting string, block schema.Block, config, proposed, prior any, path Path) any {
	switch items := proposed.(type) {
	case Object:
		if nesting == "map" {
			result := make(Object, len(items))
			for key := range items {
				result[key] = w.element(block, field(config, key), items[key], field(prior, key), path.With(Key(key)))
			}
			return result
		}
		return w.element(block, config, proposed, prior, path)
	case []any:
		result := make([]any, len(items))
		for index, item := range items {
			if nesting == "set" {
				// A set has no order to pair by; Terraform paired the proposal with the prior state already.
				result[index] = w.element(block, item, item, pairedPrior(prior, item), path.With(index))
			} else {
				result[index] = w.element(block, position(config, index), item, position(prior, index), path.With(index))
			}
		}
		return result
	}
	return proposed
}

func (w planWalk) element(block schema.Block, config, proposed, prior any, path Path) any {
	proposedObject, ok := proposed.(Object)
	if !ok {
		return proposed
	}
	configObject, _ := config.(Object)
	priorObject, _ := prior.(Object)
	return w.object(block.Attributes, block.Blocks, configObject, proposedObject, priorObject, path)
}

func field(value any, key string) any {
	object, _ := value.(Object)
	return object[key]
}

func position(value any, index int) any {
	if items, ok := value.([]any); ok && index < len(items) {
		return items[index]
	}
	return nil
}

func pairedPrior(prior, item any) any {
	items, _ := prior.([]any)
	for _, candidate := range items {
		if tfvalue.Equal(candidate, item) {
			return candidate
		}
	}
	return nil
}

// forget marks what lies at a path as known after apply, unless the configuration gives it.
func forget(value, config any, names []string) {
	switch typed := value.(type) {
	case []any:
		for index, item := range typed {
			forget(item, position(config, index), names)
		}
	case Object:
		if len(names) > 1 {
			forget(typed[names[0]], field(config, names[0]), names[1:])
			return
		}
		if _, there := typed[names[0]]; there && field(config, names[0]) == nil {
			typed[names[0]] = tfvalue.Unknown
		}
	}
}
