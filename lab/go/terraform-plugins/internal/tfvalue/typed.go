package tfvalue

import (
	"fmt"
	"math/big"
	"slices"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// ToTerraform gives a plain value the type that Terraform expects; an attribute that is missing is null.
func ToTerraform(value any, want tftypes.Type) (tftypes.Value, error) {
	if value == nil {
		return tftypes.NewValue(want, nil), nil
	}
	if !Known(value) {
		if _, whole := value.(unknown); whole {
			return tftypes.NewValue(want, tftypes.UnknownValue), nil
		}
	}
	switch typed := want.(type) {
	case tftypes.Object:
		return toObject(value, typed)
	case tftypes.Map:
		fields, ok := value.(Object)
		if !ok {
			return tftypes.Value{}, mismatch(value, want)
		}
		converted := make(map[string]tftypes.Value, len(fields))
		for name, field := range fields {
			item, err := ToTerraform(field, typed.ElementType)
			if err != nil {
				return tftypes.Value{}, fmt.Errorf("[%q]: %w", name, err)
			}
			converted[name] = item
		}
		return tftypes.NewValue(want, converted), nil
	case tftypes.List:
		return toSequence(value, want, typed.ElementType)
	case tftypes.Set:
		return toSequence(value, want, typed.ElementType)
	}
	if want.Is(tftypes.DynamicPseudoType) {
		return inferred(value)
	}
	return toScalar(value, want)
}

func toObject(value any, want tftypes.Object) (tftypes.Value, error) {
	fields, ok := value.(Object)
	if !ok {
		return tftypes.Value{}, mismatch(value, want)
	}
	for name := range fields {
		if _, known := want.AttributeTypes[name]; !known {
			return tftypes.Value{}, fmt.Errorf("%s: the schema has no such attribute", name)
		}
	}
	converted := make(map[string]tftypes.Value, len(want.AttributeTypes))
	for name, attributeType := range want.AttributeTypes {
		item, err := ToTerraform(fields[name], attributeType)
		if err != nil {
			return tftypes.Value{}, fmt.Errorf("%s: %w", name, err)
		}
		converted[name] = item
	}
	return tftypes.NewValue(want, converted), nil
}

func toSequence(value any, want, element tftypes.Type) (tftypes.Value, error) {
	items, ok := value.([]any)
	if !ok {
		return tftypes.Value{}, mismatch(value, want)
	}
	converted := make([]tftypes.Value, len(items))
	for index, item := range items {
		typed, err := ToTerraform(item, element)
		if err != nil {
			return tftypes.Value{}, fmt.Errorf("[%d]: %w", index, err)
		}
		converted[index] = typed
	}
	return tftypes.NewValue(want, converted), nil
}

func toScalar(value any, want tftypes.Type) (tftypes.Value, error) {
	switch plain := value.(type) {
	case string:
		if want.Is(tftypes.String) {
			return tftypes.NewValue(want, plain), nil
		}
	case bool:
		if want.Is(tftypes.Bool) {
			return tftypes.NewValue(want, plain), nil
		}
	case int:
		return toScalar(int64(plain), want)
	case int64:
		if want.Is(tftypes.Number) {
			return tftypes.NewValue(want, new(big.Float).SetInt64(plain)), nil
		}
	case float64:
		return toScalar(big.NewFloat(plain), want)
	case *big.Float:
		if want.Is(tftypes.Number) {
			return tftypes.NewValue(want, plain), nil
		}
	}
	return tftypes.Value{}, mismatch(value, want)
}

// inferred types a value of an attribute that may hold anything, the way Terraform's jsondecode() would.
func inferred(value any) (tftypes.Value, error) {
	switch plain := value.(type) {
	case Object:
		types, values := map[string]tftypes.Type{}, map[string]tftypes.Value{}
		for name, item := range plain {
			typed, err := inferredOrNull(item)
			if err != nil {
				return tftypes.Value{}, fmt.Errorf("%s: %w", name, err)
			}
			types[name], values[name] = typed.Type(), typed
		}
		return tftypes.NewValue(tftypes.Object{AttributeTypes: types}, values), nil
	case []any:
		types, values := []tftypes.Type{}, []tftypes.Value{}
		for index, item := range plain {
			typed, err := inferredOrNull(item)
			if err != nil {
				return tftypes.Value{}, fmt.Errorf("[%d]: %w", index, err)
			}
			types, values = append(types, typed.Type()), append(values, typed)
		}
		return tftypes.NewValue(tftypes.Tuple{ElementTypes: slices.Clip(types)}, values), nil
	case string:
		return tftypes.NewValue(tftypes.String, plain), nil
	case bool:
		return tftypes.NewValue(tftypes.Bool, plain), nil
	}
	return toScalar(value, tftypes.Number)
}

func inferredOrNull(value any) (tftypes.Value, error) {
	if value == nil {
		return tftypes.NewValue(tftypes.DynamicPseudoType, nil), nil
	}
	return inferred(value)
}

func mismatch(value any, want tftypes.Type) error {
	return fmt.Errorf("a %T cannot become a Terraform %s", value, want)
}
