"""A reboot between two steps, when the driver needs one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from constructs_lib.cdk import Construct
from constructs_lib.driver_settings import DriverSettings
from constructs_lib.machine import Machine
from constructs_lib.nvidia_driver import NvidiaDriver, driver_check_parameters
from constructs_lib.ordering import run_after
from constructs_lib.place import Group
from constructs_lib.remote_step import RemoteStep


@dataclass(frozen=True, kw_only=True, slots=True)
class RebootSettings:
    """Whether a machine may be rebooted by a deploy, and how long that may take.

    Args:
        allowed: Default False: a driver that needs a reboot fails the deploy, which says so.
        timeout_seconds: Until the machine takes logins again, default 600. Servers with much memory need it.
        drain_timeout_seconds: For pods to leave the node before, where K3s runs already, default 300.
    """

    allowed: bool = False
    timeout_seconds: int = 600
    drain_timeout_seconds: int = 300


class Reboot(Group):
    """Reboots a machine whose driver waits for it, and checks afterwards that it booted and the driver works.

    Two resources, because a provisioner does not outlive its connection: the first drains the node and starts the
    reboot detached, the second connects again within the time limit. A deploy that ends in between goes on with
    the second. Both run again when the driver's step does, and do nothing when no reboot is needed.

    Args:
        scope: Parent construct.
        id_: Construct id.
        machine: The machine.
        driver: The step that may leave the driver waiting for a reboot.
        driver_settings: What the driver must be afterwards.
        settings: Time limits; `allowed` is the caller's to heed.

    Attributes:
        done: The step after which the machine is up and its driver works.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        machine: Machine,
        driver: NvidiaDriver,
        driver_settings: DriverSettings,
        settings: RebootSettings,
    ) -> None:
        super().__init__(scope, id_)
        start = RemoteStep(
            self,
            "reboot",
            host=machine.host,
            node=machine.name,
            script="reboot.sh",
            time_limit_seconds=settings.drain_timeout_seconds + 120,
            parameters={"GPUS": str(machine.gpus), "DRAIN_TIMEOUT_SECONDS": str(settings.drain_timeout_seconds)},
            rerun_with=[driver.address],
        )
        self.done = RemoteStep(
            self,
            "rebooted",
            # Terraform tries to connect for so long.
            host=replace(machine.host, connect_timeout_seconds=settings.timeout_seconds),
            node=machine.name,
            script="reboot_done.sh",
            time_limit_seconds=600,
            parameters={**driver_check_parameters(machine, driver_settings), "START_TIMEOUT_SECONDS": "180"},
            rerun_with=[driver.address],
        )
        run_after(start, driver)
        run_after(self.done, start)
