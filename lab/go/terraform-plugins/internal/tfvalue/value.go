// Package tfvalue turns Terraform's typed values into plain Go values and back.
//
// Plain values are: nil (null), Unknown, string, bool, int64, *big.Float (numbers that are no int64), []any (lists,
// sets, tuples) and map[string]any (objects and maps). Engines work on these alone.
package tfvalue

import (
	"fmt"
	"math/big"
	"reflect"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type unknown struct{}

// Unknown is a value that Terraform will know after apply only.
var Unknown any = unknown{}

// Object is an object, map or block by attribute name.
type Object = map[string]any

// FromTerraform gives the plain form of a value.
func FromTerraform(value tftypes.Value) (any, error) {
	if !value.IsKnown() {
		return Unknown, nil
	}
	if value.IsNull() {
		return nil, nil
	}
	switch {
	case value.Type().Is(tftypes.String):
		var text string
		err := value.As(&text)
		return text, err
	case value.Type().Is(tftypes.Bool):
		var truth bool
		err := value.As(&truth)
		return truth, err
	case value.Type().Is(tftypes.Number):
		number := new(big.Float)
		if err := value.As(&number); err != nil {
			return nil, err
		}
		return plainNumber(number), nil
	}
	switch value.Type().(type) {
	case tftypes.Object, tftypes.Map:
		var fields map[string]tftypes.Value
		if err := value.As(&fields); err != nil {
			return nil, err
		}
		plain := make(Object, len(fields))
		for name, field := range fields {
			item, err := FromTerraform(field)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			plain[name] = item
		}
		return plain, nil
	case tftypes.List, tftypes.Set, tftypes.Tuple:
		var items []tftypes.Value
		if err := value.As(&items); err != nil {
			return nil, err
		}
		plain := make([]any, len(items))
		for index, item := range items {
			element, err := FromTerraform(item)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", index, err)
			}
			plain[index] = element
		}
		return plain, nil
	}
	return nil, fmt.Errorf("no plain form for Terraform type %s", value.Type())
}

func plainNumber(number *big.Float) any {
	if whole, accuracy := number.Int64(); accuracy == big.Exact {
		return whole
	}
	return number
}

// Equal tells whether two plain values are the same value.
func Equal(a, b any) bool {
	switch left := a.(type) {
	case *big.Float:
		right, ok := b.(*big.Float)
		return ok && left.Cmp(right) == 0
	case []any:
		right, ok := b.([]any)
		if !ok || len(left) != len(right) {
			return false
		}
		for index := range left {
			if !Equal(left[index], right[index]) {
				return false
			}
		}
		return true
	case Object:
		right, ok := b.(Object)
		if !ok || len(left) != len(right) {
			return false
		}
		for name, item := range left {
			other, found := right[name]
			if !found || !Equal(item, other) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}

// Known tells whether no part of the value is unknown.
func Known(value any) bool {
	switch plain := value.(type) {
	case unknown:
		return false
	case []any:
		for _, item := range plain {
			if !Known(item) {
				return false
			}
		}
	case Object:
		for _, item := range plain {
			if !Known(item) {
				return false
			}
		}
	}
	return true
}

// Copy is a deep copy; the result shares nothing that can be changed.
func Copy(value any) any {
	switch plain := value.(type) {
	case []any:
		items := make([]any, len(plain))
		for index, item := range plain {
			items[index] = Copy(item)
		}
		return items
	case Object:
		fields := make(Object, len(plain))
		for name, item := range plain {
			fields[name] = Copy(item)
		}
		return fields
	}
	return value
}
