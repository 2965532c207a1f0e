"""What happens to a machine before K3s comes."""

from __future__ import annotations

from collections.abc import Sequence

from constructs_lib.cdk import Construct
from constructs_lib.driver_settings import DriverSettings
from constructs_lib.machine import Machine
from constructs_lib.nvidia_container_toolkit import ContainerToolkitRelease, NvidiaContainerToolkit
from constructs_lib.nvidia_driver import NvidiaDriver
from constructs_lib.offline_bundle import BundleFile, OfflineBundle
from constructs_lib.ordering import run_after
from constructs_lib.place import Group
from constructs_lib.preflight import Preflight, PreflightLimits
from constructs_lib.reboot import Reboot, RebootSettings


class MachinePreparation(Group):
    """Preflight and the bundle where there is one; for GPU machines then driver, allowed reboot, container toolkit.

    Args:
        scope: Parent construct.
        id_: Construct id.
        machine: The machine.
        toolkit: The container toolkit. Default None: neither driver nor toolkit, also for a machine with GPUs.
        bundle: What is uploaded and unpacked after preflight, default None.
        driver: How the driver comes, default `DriverSettings()`: it is there already.
        reboot: Whether a driver that waits for a reboot gets it, default `RebootSettings()`: no.
        limits: What the machine must have, default `PreflightLimits()`.
        other_nodes: Names of the fleet's other nodes, default none.
        etcd: Whether the machine will run an embedded etcd, default False.

    Attributes:
        last: The step after which the machine is ready for K3s.
        reboot: The reboot, None where none is allowed or the machine has no GPUs.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        machine: Machine,
        toolkit: ContainerToolkitRelease | None = None,
        bundle: BundleFile | None = None,
        driver: DriverSettings | None = None,
        reboot: RebootSettings | None = None,
        limits: PreflightLimits | None = None,
        other_nodes: Sequence[str] = (),
        etcd: bool = False,
    ) -> None:
        super().__init__(scope, id_)
        driver = driver or DriverSettings()
        reboot = reboot or RebootSettings()
        self.reboot: Reboot | None = None
        self.last: Construct = Preflight(
            self,
            "preflight",
            machine=machine,
            driver_mode=driver.mode,
            etcd=etcd,
            other_nodes=other_nodes,
            limits=limits,
        )
        if bundle is not None:
            unpacked = OfflineBundle(self, "bundle", machine=machine, bundle=bundle)
            run_after(unpacked, self.last)
            self.last = unpacked
        if machine.gpus == 0 or toolkit is None:
            return
        may_reboot = reboot.allowed and driver.mode != "none"
        driver_step = NvidiaDriver(self, "driver", machine=machine, settings=driver, reboot_may_follow=may_reboot)
        run_after(driver_step, self.last)
        self.last = driver_step
        if may_reboot:
            self.reboot = Reboot(
                self, "reboot", machine=machine, driver=driver_step, driver_settings=driver, settings=reboot
            )
            self.last = self.reboot.done
        toolkit_step = NvidiaContainerToolkit(self, "toolkit", machine=machine, release=toolkit)
        run_after(toolkit_step, self.last)
        self.last = toolkit_step
