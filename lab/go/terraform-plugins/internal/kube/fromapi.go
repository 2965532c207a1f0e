package kube

import (
	"fmt"
	"math/big"
	"reflect"

	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"edge-gpu.lab/terraform-plugins/internal/schema"
)

// fromAPI turns the JSON of a Kubernetes structure into a block. Attributes without an API field are absent from the
// result; attributes whose field is not set are nil.
func fromAPI(api map[string]any, structure reflect.Type, block schema.Block) Object {
	converted := Object{}
	for name, attribute := range block.Attributes {
		if field, ok := fieldOf(structure, name); ok {
			converted[name] = fromAPIValue(api[field.json], field.kind, attribute.Type.Type)
		}
	}
	for name, nested := range block.Blocks {
		if field, ok := fieldOf(structure, name); ok {
			converted[name] = fromAPIBlocks(api[field.json], field.kind, nested)
		}
	}
	return converted
}

func fromAPIBlocks(api any, kind reflect.Type, nested *schema.NestedBlock) any {
	kind = pointee(kind)
	blocks := []any{}
	switch typed := api.(type) {
	case map[string]any:
		if kind.Kind() == reflect.Struct {
			blocks = append(blocks, fromAPI(typed, kind, nested.Block))
		}
	case []any:
		for _, item := range typed {
			if object, ok := item.(map[string]any); ok && kind.Kind() == reflect.Slice {
				blocks = append(blocks, fromAPI(object, pointee(kind.Elem()), nested.Block))
			}
		}
	}
	if nested.Nesting == "single" {
		if len(blocks) == 0 {
			return nil
		}
		return blocks[0]
	}
	return blocks
}

func fromAPIValue(api any, kind reflect.Type, want tftypes.Type) any {
	if api == nil {
		return nil
	}
	switch typed := want.(type) {
	case tftypes.Map:
		fields, ok := api.(map[string]any)
		if !ok {
			return nil
		}
		converted := make(Object, len(fields))
		for name, item := range fields {
			converted[name] = fromAPIValue(item, nil, typed.ElementType)
		}
		return converted
	case tftypes.List:
		return fromAPIList(api, kind, typed.ElementType)
	case tftypes.Set:
		return fromAPIList(api, kind, typed.ElementType)
	case tftypes.Object:
		fields, ok := api.(map[string]any)
		if !ok {
			return nil
		}
		return fromAPIObject(fields, kind, typed)
	}
	switch {
	case want.Is(tftypes.String):
		if number, ok := api.(float64); ok {
			return big.NewFloat(number).Text('f', -1)
		}
		return fmt.Sprint(api)
	case want.Is(tftypes.Number):
		switch number := api.(type) {
		case int64:
			return number
		case float64:
			return int64(number)
		}
	case want.Is(tftypes.Bool):
		truth, _ := api.(bool)
		return truth
	}
	return nil
}

func fromAPIList(api any, kind reflect.Type, element tftypes.Type) any {
	items, ok := api.([]any)
	if !ok {
		items = []any{api} // a single structure shown as a one-element list
	}
	if kind != nil {
		kind = pointee(kind)
		if kind.Kind() == reflect.Slice {
			kind = kind.Elem()
		}
	}
	converted := make([]any, 0, len(items))
	for _, item := range items {
		converted = append(converted, fromAPIValue(item, kind, element))
	}
	return converted
}

// fromAPIObject fills an object type, as computed-only nested blocks are declared.
func fromAPIObject(api map[string]any, kind reflect.Type, want tftypes.Object) Object {
	converted := make(Object, len(want.AttributeTypes))
	for name, attributeType := range want.AttributeTypes {
		converted[name] = nil
		if kind == nil || pointee(kind).Kind() != reflect.Struct {
			continue
		}
		if field, ok := fieldOf(pointee(kind), name); ok {
			converted[name] = fromAPIValue(api[field.json], field.kind, attributeType)
		}
	}
	return converted
}

func listElement(list tftypes.Type) tftypes.Type {
	if typed, ok := list.(tftypes.List); ok {
		return typed.ElementType
	}
	return tftypes.DynamicPseudoType
}
