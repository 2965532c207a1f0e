"""The NVIDIA driver of a machine."""

from __future__ import annotations

from collections.abc import Mapping

from constructs_lib.cdk import Construct
from constructs_lib.driver_settings import DriverSettings
from constructs_lib.machine import Machine
from constructs_lib.remote_step import RemoteStep


class NvidiaDriver(RemoteStep):
    """Installs the driver where the settings say so, holds it, and checks that it works, is new enough, sees the GPUs.

    Args:
        scope: Parent construct.
        id_: Construct id, also the step name in messages.
        machine: The machine; its `gpus` is the number of GPUs the driver must see at least.
        settings: Where the driver comes from, default `DriverSettings()`: it is there already.
        reboot_may_follow: A driver that only waits for a reboot is no failure, because a `Reboot` and the check that
            belongs to it come next. Default False.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        machine: Machine,
        settings: DriverSettings | None = None,
        reboot_may_follow: bool = False,
    ) -> None:
        settings = settings or DriverSettings()
        installs = settings.mode in ("ubuntu", "cuda-repo")
        super().__init__(
            scope,
            id_,
            host=machine.host,
            node=machine.name,
            script="nvidia_driver.sh",
            # Two waits for apt's lock, half a gigabyte of packages, and modules that may be compiled on the node.
            time_limit_seconds=3600 if installs else 120,
            parameters=driver_parameters(machine, settings, reboot_may_follow=reboot_may_follow),
        )


def driver_parameters(machine: Machine, settings: DriverSettings, *, reboot_may_follow: bool) -> Mapping[str, str]:
    """The variables of `nvidia_driver.sh`."""
    return {
        **driver_check_parameters(machine, settings),
        "MODE": settings.mode,
        "BRANCH": settings.wanted_branch,
        "OPEN_MODULES": "1" if settings.open_modules else "0",
        "HOLD": "1" if settings.hold else "0",
        "CUDA_REPOSITORY": settings.cuda_repository,
        "CUDA_KEY_SHA256": settings.cuda_key_sha256 or "",
        "PACKAGE_FOLDER": settings.package_folder or "",
        "REBOOT_MAY_FOLLOW": "1" if reboot_may_follow else "0",
    }


def driver_check_parameters(machine: Machine, settings: DriverSettings) -> Mapping[str, str]:
    """The variables of `demand_driver`: what a working driver must be and see."""
    need = settings.highest_need
    return {"GPUS": str(machine.gpus), "MINIMUM": str(need.minimum), "MINIMUM_NEEDED_BY": need.needed_by}
