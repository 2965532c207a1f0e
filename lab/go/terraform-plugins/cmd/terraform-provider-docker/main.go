// Command terraform-provider-docker is the edge-gpu lab stand-in for kreuzwerker/docker 3.6.2.
package main

import (
	"log"

	"edge-gpu.lab/terraform-plugins/internal/dockerengine"
	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/schemas"
)

func main() {
	described, err := schema.Parse(schemas.Docker)
	if err != nil {
		log.Fatal(err)
	}
	plugin.Main(dockerengine.Plugin(described))
}
