// Pins the upstream sources that the lab builds. Nothing is imported: the builders download each module at the
// version named here, and go.sum holds the hash that the download must have. Each module's own go.mod and go.sum
// pin what it is built from.
module edge-gpu-lab/sources

go 1.25.5

require (
	github.com/NVIDIA/k8s-device-plugin v0.19.3
	github.com/NVIDIA/nvidia-container-toolkit v1.20.0
	github.com/k3s-io/k3s v1.35.1-0.20260110003449-04e8f1b5ecda
	github.com/k3s-io/kubernetes v1.35.0-k3s1
)
