package schemas_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"edge-gpu.lab/terraform-plugins/internal/dockerengine"
	"edge-gpu.lab/terraform-plugins/internal/helmrelease"
	"edge-gpu.lab/terraform-plugins/internal/kube"
	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/schemas"
)

func plugins(t *testing.T) []*plugin.Plugin {
	t.Helper()
	var made []*plugin.Plugin
	for _, one := range []struct {
		text []byte
		make func(*schema.Provider) *plugin.Plugin
	}{
		{schemas.Kubernetes, kube.Plugin}, {schemas.Helm, helmrelease.Plugin}, {schemas.Docker, dockerengine.Plugin},
	} {
		parsed, err := schema.Parse(one.text)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, one.make(parsed))
	}
	return made
}

func TestEveryTypeInASchemaHasAnEngineAndEveryEngineASchema(t *testing.T) {
	for _, plugin := range plugins(t) {
		resources := slices.Sorted(maps.Keys(plugin.Schema.Resources))
		if engines := slices.Sorted(maps.Keys(plugin.Resources)); !slices.Equal(resources, engines) {
			t.Errorf("%s: schemas for %v, engines for %v", plugin.Source, resources, engines)
		}
		data := slices.Sorted(maps.Keys(plugin.Schema.DataSources))
		if engines := slices.Sorted(maps.Keys(plugin.DataSources)); !slices.Equal(data, engines) {
			t.Errorf("%s: schemas for %v, engines for %v", plugin.Source, data, engines)
		}
	}
}

func TestEveryPathInARuleIsInTheSchema(t *testing.T) {
	for _, plugin := range plugins(t) {
		for name, resource := range plugin.Resources {
			paths := slices.Concat(resource.ForceNew, resource.Volatile, slices.Collect(maps.Keys(resource.Defaults)))
			for _, path := range paths {
				if !has(plugin.Schema.Resources[name].Block, strings.Split(path, ".")) {
					t.Errorf("%s: a rule names %s, which the schema lacks", name, path)
				}
			}
		}
	}
}

func has(block schema.Block, names []string) bool {
	if attribute, found := block.Attributes[names[0]]; found {
		if len(names) == 1 {
			return true
		}
		return attribute.Nested != nil && has(schema.Block{Attributes: attribute.Nested.Attributes}, names[1:])
	}
	nested, found := block.Blocks[names[0]]
	return found && (len(names) == 1 || has(nested.Block, names[1:]))
}
