"""GpuCheck alone, on a cluster that exists."""

from __future__ import annotations

from pathlib import Path

from constructs_lib import GpuCheck, GpuNode
from constructs_lib.cdk import App, Construct, LocalBackend, TerraformOutput, TerraformStack
from constructs_lib.providers import KubernetesProvider


class Check(TerraformStack):
    """A pod on each node asks for all of its GPUs and says which it sees.

    Args:
        scope: The app.
        id_: Stack name.
        folder: Absolute path of the folder for the state and the cluster's `kubeconfig`.
    """

    def __init__(self, scope: Construct, id_: str, *, folder: Path) -> None:
        super().__init__(scope, id_)
        LocalBackend(self, path=str(folder / f"{id_}.tfstate"))
        KubernetesProvider(self, "kubernetes", config_path=str(folder / "kubeconfig"))
        check = GpuCheck(self, "check", nodes=[GpuNode(name="gpu-1", gpus=2)], image="ubuntu:22.04")
        TerraformOutput(self, "report", value=check.report)


if __name__ == "__main__":
    app = App()
    Check(app, "gpu-check", folder=Path(__file__).resolve().parent / "state")
    app.synth()
