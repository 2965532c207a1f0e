// Package kube is the engine behind the stand-in for hashicorp/kubernetes: the Kubernetes API itself.
package kube

import (
	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/schema"
)

// Plugin is the stand-in, given the schema of the plugin it stands for.
func Plugin(schemas *schema.Provider) *plugin.Plugin {
	connection := &client{}
	resources := map[string]plugin.Resource{
		"kubernetes_labels":      metadataPatch(connection, "labels").resource(),
		"kubernetes_annotations": metadataPatch(connection, "annotations").resource(),
		"kubernetes_node_taint":  nodeTaint(connection),
	}
	for name, kind := range kinds {
		resources[name] = (&objects{kind: kind, client: connection, block: schemas.Resources[name].Block}).resource()
	}
	return &plugin.Plugin{
		Source:      "hashicorp/kubernetes",
		Version:     "2.38.0",
		Schema:      schemas,
		LegacyTypes: true,
		Configure:   connection.configure,
		Resources:   resources,
		DataSources: dataSources(connection, schemas.DataSources),
	}
}
