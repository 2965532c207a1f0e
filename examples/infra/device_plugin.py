"""NvidiaDevicePlugin alone, on a cluster that exists."""

from __future__ import annotations

from pathlib import Path

from constructs_lib import NvidiaDevicePlugin
from constructs_lib.cdk import App, Construct, LocalBackend, TerraformStack
from constructs_lib.providers import HelmProvider, HelmProviderKubernetes, KubernetesProvider


class DevicePlugin(TerraformStack):
    """The plugin on every node labelled `nvidia.com/gpu.present=true`.

    Args:
        scope: The app.
        id_: Stack name.
        folder: Absolute path of the folder for the state and the cluster's `kubeconfig`.
    """

    def __init__(self, scope: Construct, id_: str, *, folder: Path) -> None:
        super().__init__(scope, id_)
        LocalBackend(self, path=str(folder / f"{id_}.tfstate"))
        kubeconfig = str(folder / "kubeconfig")
        KubernetesProvider(self, "kubernetes", config_path=kubeconfig)
        HelmProvider(self, "helm", kubernetes=HelmProviderKubernetes(config_path=kubeconfig))
        NvidiaDevicePlugin(self, "nvidia-device-plugin", chart_version="0.19.3")


if __name__ == "__main__":
    app = App()
    DevicePlugin(app, "device-plugin", folder=Path(__file__).resolve().parent / "state")
    app.synth()
