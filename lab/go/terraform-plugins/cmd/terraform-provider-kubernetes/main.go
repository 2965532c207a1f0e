// Command terraform-provider-kubernetes is the edge-gpu lab stand-in for hashicorp/kubernetes 2.38.0.
package main

import (
	"log"

	"edge-gpu.lab/terraform-plugins/internal/kube"
	"edge-gpu.lab/terraform-plugins/internal/plugin"
	"edge-gpu.lab/terraform-plugins/internal/schema"
	"edge-gpu.lab/terraform-plugins/schemas"
)

func main() {
	described, err := schema.Parse(schemas.Kubernetes)
	if err != nil {
		log.Fatal(err)
	}
	plugin.Main(kube.Plugin(described))
}
