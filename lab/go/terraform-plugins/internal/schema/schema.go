// Package schema reads a plugin's schema, in the form `terraform providers schema -json` gives it.
package schema

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// Provider is the whole schema of one plugin.
type Provider struct {
	Provider    Schema            `json:"provider"`
	Resources   map[string]Schema `json:"resource_schemas"`
	DataSources map[string]Schema `json:"data_source_schemas"`
}

// Schema is the schema of one resource, data source or of the provider's own settings.
type Schema struct {
	Version int64 `json:"version"`
	Block   Block `json:"block"`
}

// Block is a set of attributes and nested blocks.
type Block struct {
	Attributes map[string]*Attribute   `json:"attributes"`
	Blocks     map[string]*NestedBlock `json:"block_types"`
}

// Attribute is one attribute; Nested is set instead of Type when it holds objects with attributes of their own.
type Attribute struct {
	Type       Type    `json:"type"`
	Nested     *Object `json:"nested_type"`
	Required   bool    `json:"required"`
	Optional   bool    `json:"optional"`
	Computed   bool    `json:"computed"`
	Sensitive  bool    `json:"sensitive"`
	WriteOnly  bool    `json:"write_only"`
	Deprecated bool    `json:"deprecated"`
}

// Object is the type of a nested attribute.
type Object struct {
	Nesting    string                `json:"nesting_mode"`
	Attributes map[string]*Attribute `json:"attributes"`
}

// NestedBlock is a block inside a block.
type NestedBlock struct {
	Nesting  string `json:"nesting_mode"`
	MinItems int64  `json:"min_items"`
	MaxItems int64  `json:"max_items"`
	Block    Block  `json:"block"`
}

// Type is a Terraform type that can be read from JSON.
type Type struct{ tftypes.Type }

// Parse reads a plugin's schema.
func Parse(text []byte) (*Provider, error) {
	var provider Provider
	if err := json.Unmarshal(text, &provider); err != nil {
		return nil, fmt.Errorf("the plugin's embedded schema is malformed: %w", err)
	}
	return &provider, nil
}

// UnmarshalJSON reads "string", ["list", "string"], ["object", {...}] and so on.
func (t *Type) UnmarshalJSON(text []byte) error {
	var name string
	if json.Unmarshal(text, &name) == nil {
		scalars := map[string]tftypes.Type{
			"string": tftypes.String, "number": tftypes.Number, "bool": tftypes.Bool, "dynamic": tftypes.DynamicPseudoType,
		}
		found, ok := scalars[name]
		if !ok {
			return fmt.Errorf("unknown type %q", name)
		}
		t.Type = found
		return nil
	}
	var pair []json.RawMessage
	if err := json.Unmarshal(text, &pair); err != nil || len(pair) != 2 {
		return fmt.Errorf("a type must be a name or a pair, got %s", text)
	}
	if err := json.Unmarshal(pair[0], &name); err != nil {
		return err
	}
	if name == "object" {
		var fields map[string]Type
		if err := json.Unmarshal(pair[1], &fields); err != nil {
			return err
		}
		attributes := make(map[string]tftypes.Type, len(fields))
		for field, fieldType := range fields {
			attributes[field] = fieldType.Type
		}
		t.Type = tftypes.Object{AttributeTypes: attributes}
		return nil
	}
	var element Type
	if err := json.Unmarshal(pair[1], &element); err != nil {
		return err
	}
	switch name {
	case "list":
		t.Type = tftypes.List{ElementType: element.Type}
	case "set":
		t.Type = tftypes.Set{ElementType: element.Type}
	case "map":
		t.Type = tftypes.Map{ElementType: element.Type}
	default:
		return fmt.Errorf("unknown collection %q", name)
	}
	return nil
}
