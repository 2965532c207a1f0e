package plugin

import (
	"fmt"
	"log"
	"os"
	"runtime"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
)

// Main serves the stand-in to Terraform; `-version` only says what it is.
func Main(plugin *Plugin) {
	if len(os.Args) == 2 && (os.Args[1] == "-version" || os.Args[1] == "--version") {
		fmt.Printf("%s (%s)\n", plugin.Label(), runtime.Version())
		return
	}
	address := "registry.terraform.io/" + plugin.Source
	if err := tf6server.Serve(address, func() tfprotov6.ProviderServer { return NewServer(plugin) }); err != nil {
		log.Fatalf("[ERROR] %s: %v", plugin.Label(), err)
	}
}
