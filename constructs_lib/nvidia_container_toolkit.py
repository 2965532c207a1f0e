"""The NVIDIA container toolkit of a machine."""

from __future__ import annotations

from dataclasses import dataclass

from constructs_lib.cdk import Construct
from constructs_lib.machine import Machine
from constructs_lib.remote_step import RemoteStep


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerToolkitRelease:
    """An exact version of the toolkit's packages and the repository that serves them.

    Args:
        version: Debian version of all four packages, for example `1.20.0-1`.
        apt_repository: Flat repository that holds one folder an architecture, default NVIDIA's.
        apt_key_url: OpenPGP key that signs the repository, ASCII armoured, default NVIDIA's.
        apt_key_sha256: Checksum of the key file. Default None: whatever the address serves over TLS is trusted.
    """

    version: str
    apt_repository: str = "https://nvidia.github.io/libnvidia-container/stable/deb"
    apt_key_url: str = "https://nvidia.github.io/libnvidia-container/gpgkey"
    apt_key_sha256: str | None = None


class NvidiaContainerToolkit(RemoteStep):
    """Installs the toolkit by apt, pinned and held. Order it before K3s, which looks for the runtime at its start.

    K3s's containerd needs no configuration by `nvidia-ctk`: it reads none of the files that would be written.

    Args:
        scope: Parent construct.
        id_: Construct id, also the step name in messages.
        machine: The machine.
        release: What to install, and where from.
    """

    def __init__(self, scope: Construct, id_: str, *, machine: Machine, release: ContainerToolkitRelease) -> None:
        super().__init__(
            scope,
            id_,
            host=machine.host,
            node=machine.name,
            script="nvidia_container_toolkit.sh",
            parameters={
                "VERSION": release.version,
                "APT_REPOSITORY": release.apt_repository,
                "APT_KEY_URL": release.apt_key_url,
                "APT_KEY_SHA256": release.apt_key_sha256 or "",
            },
        )
