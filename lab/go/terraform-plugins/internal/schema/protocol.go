package schema

import (
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// Protocol is the schema as Terraform's plugin protocol has it.
func (s Schema) Protocol() *tfprotov6.Schema {
	return &tfprotov6.Schema{Version: s.Version, Block: s.Block.protocol()}
}

// Type is the type of a whole value of this schema.
func (s Schema) Type() tftypes.Type {
	return s.Protocol().ValueType()
}

func (b Block) protocol() *tfprotov6.SchemaBlock {
	block := &tfprotov6.SchemaBlock{Attributes: protocolAttributes(b.Attributes)}
	for _, name := range slices.Sorted(maps.Keys(b.Blocks)) {
		nested := b.Blocks[name]
		block.BlockTypes = append(block.BlockTypes, &tfprotov6.SchemaNestedBlock{
			TypeName: name,
			Nesting: map[string]tfprotov6.SchemaNestedBlockNestingMode{
				"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
				"list":   tfprotov6.SchemaNestedBlockNestingModeList,
				"set":    tfprotov6.SchemaNestedBlockNestingModeSet,
				"map":    tfprotov6.SchemaNestedBlockNestingModeMap,
			}[nested.Nesting],
			MinItems: nested.MinItems,
			MaxItems: nested.MaxItems,
			Block:    nested.Block.protocol(),
		})
	}
	return block
}

func protocolAttributes(attributes map[string]*Attribute) []*tfprotov6.SchemaAttribute {
	var converted []*tfprotov6.SchemaAttribute
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		attribute := attributes[name]
		one := &tfprotov6.SchemaAttribute{
			Name:       name,
			Type:       attribute.Type.Type,
			Required:   attribute.Required,
			Optional:   attribute.Optional,
			Computed:   attribute.Computed,
			Sensitive:  attribute.Sensitive,
			WriteOnly:  attribute.WriteOnly,
			Deprecated: attribute.Deprecated,
		}
		if attribute.Nested != nil {
			one.NestedType = &tfprotov6.SchemaObject{
				Attributes: protocolAttributes(attribute.Nested.Attributes),
				Nesting: map[string]tfprotov6.SchemaObjectNestingMode{
					"single": tfprotov6.SchemaObjectNestingModeSingle,
					"list":   tfprotov6.SchemaObjectNestingModeList,
					"set":    tfprotov6.SchemaObjectNestingModeSet,
					"map":    tfprotov6.SchemaObjectNestingModeMap,
				}[attribute.Nested.Nesting],
			}
		}
		converted = append(converted, one)
	}
	return converted
}
