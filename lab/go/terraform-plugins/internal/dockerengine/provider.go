package dockerengine

import (
	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/schema"
)

// Plugin is the stand-in, given the schema of the plugin it stands for.
func Plugin(schemas *schema.Provider) *plugin.Plugin {
	engine := &engine{}
	return &plugin.Plugin{
		Source:      "kreuzwerker/docker",
		Version:     "3.6.2",
		Schema:      schemas,
		LegacyTypes: true,
		Configure:   engine.configure,
		Resources: map[string]plugin.Resource{
			"docker_container":      engine.container(schemas.Resources["docker_container"].Block),
			"docker_image":          engine.image(),
			"docker_network":        engine.network(),
			"docker_registry_image": engine.registryImage(),
			"docker_tag":            engine.tag(),
			"docker_volume":         engine.volume(),
		},
		DataSources: map[string]plugin.DataSource{"docker_image": {Read: engine.imageData}},
	}
}
