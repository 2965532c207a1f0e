"""The NVIDIA driver of a machine."""

from __future__ import annotations

from constructs_lib.cdk import Construct
from constructs_lib.machine import Machine
from constructs_lib.remote_step import RemoteStep


class NvidiaDriver(RemoteStep):
    """Checks that the installed driver works and sees the machine's GPUs; installs nothing.

    Args:
        scope: Parent construct.
        id_: Construct id, also the step name in messages.
        machine: The machine; its `gpus` is the number of GPUs the driver must see at least.
    """

    def __init__(self, scope: Construct, id_: str, *, machine: Machine) -> None:
        super().__init__(
            scope,
            id_,
            host=machine.host,
            node=machine.name,
            script="nvidia_driver.sh",
            time_limit_seconds=120,
            parameters={"GPUS": str(machine.gpus)},
        )
