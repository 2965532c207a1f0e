// Package schemas holds the plugins' schemas. The JSON files are generated into a build copy of this folder from the
// pinned CDKTF bindings (lab/artifacts/provider_schemas.py); they are never committed.
package schemas

import _ "embed"

var (
	//go:embed kubernetes.json
	Kubernetes []byte
	//go:embed helm.json
	Helm []byte
	//go:embed docker.json
	Docker []byte
)
