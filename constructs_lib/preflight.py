"""Can this machine become the wanted node?"""

from __future__ import annotations

from constructs_lib.cdk import Construct
from constructs_lib.machine import Machine
from constructs_lib.remote_step import RemoteStep


class Preflight(RemoteStep):
    """Checks that change nothing: every finding is printed with its fix before anything is installed.

    Args:
        scope: Parent construct.
        id_: Construct id, also the step name in messages.
        machine: The machine.
        minimum_free_mib: Free space wanted below /var/lib/rancher in MiB, default 2048 (K3s's binaries unpack to
            about 300 MiB; the rest is for images).
        minimum_memory_mib: Memory wanted in MiB, default 1024 for a server and 512 for an agent, K3s's own minimum.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        machine: Machine,
        minimum_free_mib: int = 2048,
        minimum_memory_mib: int | None = None,
    ) -> None:
        memory = minimum_memory_mib if minimum_memory_mib is not None else (1024 if machine.role == "server" else 512)
        super().__init__(
            scope,
            id_,
            host=machine.host,
            node=machine.name,
            script="preflight.sh",
            time_limit_seconds=60,
            parameters={
                "ROLE": machine.role,
                "ARCHITECTURE": machine.architecture,
                "MINIMUM_FREE_MIB": str(minimum_free_mib),
                "MINIMUM_MEMORY_MIB": str(memory),
            },
        )
