package kube

import (
	"reflect"
	"strings"
	"sync"
)

// apiField is the JSON name and Go type behind one Terraform attribute.
type apiField struct {
	json string
	kind reflect.Type
}

var (
	fieldCache sync.Map
	// irregular are the attributes whose names no rule leads to.
	irregular = map[string]string{
		"DaemonSetSpec.strategy": "updateStrategy",
	}
)

// fieldOf finds the API field behind an attribute: "image_pull_secrets" is imagePullSecrets, "container" is
// containers, "host_pid" is hostPID. The Kubernetes types themselves are the table.
func fieldOf(structure reflect.Type, attribute string) (apiField, bool) {
	fields := fieldsOf(structure)
	if name, ok := irregular[structure.Name()+"."+attribute]; ok {
		attribute = name
	}
	plain := normal(attribute)
	candidates := []string{plain, plain + "s", plain + "es"}
	if stem, ok := strings.CutSuffix(plain, "y"); ok {
		candidates = append(candidates, stem+"ies")
	}
	for _, candidate := range candidates {
		if found, ok := fields[candidate]; ok {
			return found, true
		}
	}
	return apiField{}, false
}

func normal(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, "_", ""))
}

func fieldsOf(structure reflect.Type) map[string]apiField {
	if cached, ok := fieldCache.Load(structure); ok {
		return cached.(map[string]apiField)
	}
	fields := map[string]apiField{}
	for index := range structure.NumField() {
		field := structure.Field(index)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" && (field.Anonymous || strings.Contains(options, "inline")) {
			for key, inlined := range fieldsOf(pointee(field.Type)) {
				fields[key] = inlined
			}
			continue
		}
		fields[normal(name)] = apiField{json: name, kind: field.Type}
	}
	fieldCache.Store(structure, fields)
	return fields
}

func pointee(kind reflect.Type) reflect.Type {
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	return kind
}
