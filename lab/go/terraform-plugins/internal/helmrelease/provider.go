package helmrelease

import (
	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/schema"
)

// Plugin is the stand-in, given the schema of the plugin it stands for.
func Plugin(schemas *schema.Provider) *plugin.Plugin {
	engine := &helm{located: map[string]string{}}
	return &plugin.Plugin{
		Source:      "hashicorp/helm",
		Version:     "3.1.1",
		Schema:      schemas,
		Configure:   engine.configure,
		Resources:   map[string]plugin.Resource{"helm_release": engine.release()},
		DataSources: map[string]plugin.DataSource{"helm_template": engine.template()},
	}
}
