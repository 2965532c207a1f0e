package kube

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"edge-gpu.lab/terraform-plugins/internal/schema"
)

// schemas reads the generated file; tests that need it run in the build copy (tests/lab/terraform_plugins).
func schemas(t *testing.T) *schema.Provider {
	t.Helper()
	content, err := os.ReadFile("../../schemas/kubernetes.json")
	if err != nil {
		t.Fatalf("%v; run these tests through tests/lab/terraform_plugins, which generates the schemas", err)
	}
	parsed, err := schema.Parse(content)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// unknown are settings of storage drivers whose Kubernetes types differ from the plugin's; setting one is an error.
var unknown = []string{".secret_ref.namespace", ".azure_file.secret_namespace", ".volume.local"}

func TestEveryAttributeOfEveryKindHasItsFieldInTheKubernetesTypes(t *testing.T) {
	described := schemas(t)
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			block, known := described.Resources[name]
			if !known {
				t.Fatalf("the schema has no %s", name)
			}
			expectFields(t, kind.structure, block.Block, name)
		})
	}
}

func expectFields(t *testing.T, structure reflect.Type, block schema.Block, path string) {
	t.Helper()
	for name := range block.Attributes {
		if _, found := fieldOf(structure, name); !found && !expectedGap(path, name) {
			t.Errorf("%s.%s: no field in %s", path, name, structure)
		}
	}
	for name, nested := range block.Blocks {
		field, found := fieldOf(structure, name)
		if !found {
			if !expectedGap(path, name) {
				t.Errorf("%s.%s: no field in %s", path, name, structure)
			}
			continue
		}
		inner := pointee(field.kind)
		if inner.Kind() == reflect.Slice {
			inner = pointee(inner.Elem())
		}
		if inner.Kind() != reflect.Struct {
			t.Errorf("%s.%s: a block, but %s holds no structure", path, name, inner)
			continue
		}
		expectFields(t, inner, nested.Block, path+"."+name)
	}
}

func expectedGap(path, name string) bool {
	isTopLevel := !strings.Contains(path, ".")
	return (isTopLevel && ownSettings[name]) ||
		slices.ContainsFunc(unknown, func(end string) bool { return strings.HasSuffix(path+"."+name, end) })
}
