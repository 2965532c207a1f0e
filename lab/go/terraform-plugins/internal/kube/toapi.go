package kube

import (
	"fmt"
	"math/big"
	"reflect"
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"edge-gpu.lab/terraform-plugins/internal/tfvalue"
)

// Object is a block's plain value by attribute name.
type Object = tfvalue.Object

var (
	quantityType    = reflect.TypeFor[resource.Quantity]()
	intOrStringType = reflect.TypeFor[intstr.IntOrString]()
	timeType        = reflect.TypeFor[metav1.Time]()
	microTimeType   = reflect.TypeFor[metav1.MicroTime]()
	durationType    = reflect.TypeFor[metav1.Duration]()
	bytesType       = reflect.TypeFor[[]byte]()
)

// toAPI turns a block into the JSON of a Kubernetes structure. Empty texts are left out: they mean "not set" to this
// plugin. A setting without a field there is an error, so that none is ever dropped in silence.
func toAPI(block Object, structure reflect.Type) (map[string]any, error) {
	converted := map[string]any{}
	for name, value := range block {
		item, field, err := toAPIField(name, value, structure)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if item != nil {
			converted[field.json] = item
		}
	}
	return converted, nil
}

func toAPIField(name string, value any, structure reflect.Type) (any, apiField, error) {
	field, found := fieldOf(structure, name)
	if found {
		item, err := toAPIValue(value, field.kind)
		return item, field, err
	}
	if items, isList := value.([]any); value == nil || value == "" || value == tfvalue.Unknown || (isList && len(items) == 0) {
		return nil, field, nil
	}
	return nil, field, fmt.Errorf("Kubernetes' %s has no such field, so this stand-in cannot set it", structure.Name())
}

func toAPIValue(value any, kind reflect.Type) (any, error) {
	kind = pointee(kind)
	if value == nil || value == "" || value == tfvalue.Unknown {
		return nil, nil
	}
	switch kind {
	case quantityType, timeType, microTimeType, durationType:
		return fmt.Sprint(value), nil
	case intOrStringType:
		return intOrString(value), nil
	case bytesType:
		return value, nil
	}
	switch kind.Kind() {
	case reflect.Struct:
		block := tfvalue.First(value)
		if block == nil {
			if items, ok := value.([]any); ok && len(items) > 0 {
				return map[string]any{}, nil // a block without settings: empty_dir {}
			}
			return nil, nil
		}
		return toAPI(block, kind)
	case reflect.Slice:
		return toAPISlice(value, kind)
	case reflect.Map:
		return toAPIMap(value, kind)
	case reflect.String:
		return fmt.Sprint(value), nil
	case reflect.Bool:
		if text, ok := value.(string); ok {
			return strconv.ParseBool(text)
		}
		return value, nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		return toInteger(value)
	}
	return nil, fmt.Errorf("no way from %T to %s", value, kind)
}

func toAPISlice(value any, kind reflect.Type) (any, error) {
	items, ok := value.([]any)
	if !ok {
		items = []any{value}
	}
	if len(items) == 0 {
		return nil, nil
	}
	converted := make([]any, 0, len(items))
	for index, item := range items {
		if item == nil && kind.Elem().Kind() == reflect.Struct {
			item = Object{}
		}
		one, err := toAPIValue(item, kind.Elem())
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", index, err)
		}
		if one == nil {
			one = "" // an empty text in a list of texts: apiGroups [""]
		}
		converted = append(converted, one)
	}
	return converted, nil
}

func toAPIMap(value any, kind reflect.Type) (any, error) {
	fields, ok := value.(Object)
	if !ok {
		return nil, fmt.Errorf("a %T where a map is expected", value)
	}
	converted := make(map[string]any, len(fields))
	for name, item := range fields {
		switch {
		case item == nil:
			continue
		case item == "":
			converted[name] = ""
			continue
		}
		one, err := toAPIValue(item, kind.Elem())
		if err != nil {
			return nil, fmt.Errorf("[%q]: %w", name, err)
		}
		converted[name] = one
	}
	return converted, nil
}

// intOrString makes "8080" the number and leaves "http" and "25%" texts.
func intOrString(value any) any {
	text := fmt.Sprint(value)
	if number, err := strconv.ParseInt(text, 10, 32); err == nil {
		return number
	}
	return text
}

func toInteger(value any) (any, error) {
	switch typed := value.(type) {
	case int64:
		return typed, nil
	case string:
		number, err := strconv.ParseInt(typed, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no whole number", typed)
		}
		return number, nil
	case *big.Float:
		return nil, fmt.Errorf("%s is no whole number", typed.Text('g', 10))
	}
	return nil, fmt.Errorf("a %T is no whole number", value)
}
