"""K3sCluster on machines that this repository makes itself."""

from __future__ import annotations

from pathlib import Path

from constructs_lib import ClusterIdentity, ContainerToolkitRelease, K3sCluster, K3sRelease, Machine, SshHost, run_after
from constructs_lib.cdk import App, Construct, LocalBackend, TerraformStack
from constructs_lib.terraform_data import TerraformData

# MADE UP: read each machine's key on its console, or put one there with cloud-init.
HOST_KEY = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGu8swdvBuavOXr0RYW+yTMQ0h5Be9zhh/"
    "M4m8shG8tIbOPInM/fABZlW8eTpOVIRQNvPDIIA5CRUoswJ8t/8Mk="
)
ADDRESSES = {"server-1": "192.0.2.11", "gpu-1": "192.0.2.12"}


class OwnMachines(TerraformStack):
    """Two machines, then K3s on both.

    Args:
        scope: The app.
        id_: Stack name.
        folder: Absolute path of the folder for state and secrets.
    """

    def __init__(self, scope: Construct, id_: str, *, folder: Path) -> None:
        super().__init__(scope, id_)
        LocalBackend(self, path=str(folder / "terraform.tfstate"))
        # STAND-IN for virtual machines. Addresses are given to them, not read from them: a plan knows them.
        machines = {
            name: TerraformData(self, f"vm-stand-in-{name}", triggers_replace={"address": address})
            for name, address in ADDRESSES.items()
        }
        cluster = K3sCluster(
            self,
            "cluster",
            machines=[
                Machine(
                    name=name,
                    host=SshHost(address=address, user="edge", host_key=HOST_KEY),
                    role="server" if name == "server-1" else "agent",
                    gpus=0 if name == "server-1" else 1,
                )
                for name, address in ADDRESSES.items()
            ],
            release=K3sRelease(version="v1.36.2+k3s1", sha256={"amd64": "0123456789abcdef" * 4}),
            toolkit=ContainerToolkitRelease(version="1.20.0-1"),
            # `ClusterIdentity.create(directory=..., ...)` makes the secrets once, before the first deploy.
            identity=ClusterIdentity(folder / "identity"),
        )
        run_after(cluster, *machines.values())


if __name__ == "__main__":
    app = App()
    OwnMachines(app, "own-machines", folder=Path(__file__).resolve().parent / "state")
    app.synth()
