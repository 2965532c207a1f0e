// Command terraform-provider-helm is the edge-gpu lab stand-in for hashicorp/helm 3.1.1.
package main

import (
	"log"

	"edge-gpu.lab/terraform-plugins/internal/helmrelease"
	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/schemas"
)

func main() {
	described, err := schema.Parse(schemas.Helm)
	if err != nil {
		log.Fatal(err)
	}
	plugin.Main(helmrelease.Plugin(described))
}
