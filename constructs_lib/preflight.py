"""Can this machine become the wanted node?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from constructs_lib.cdk import Construct
from constructs_lib.driver_settings import DriverMode
from constructs_lib.machine import Machine
from constructs_lib.remote_step import RemoteStep


@dataclass(frozen=True, kw_only=True, slots=True)
class PreflightLimits:
    """What a machine must have.

    Args:
        minimum_free_mib: Free space wanted below /var/lib/rancher in MiB, default 2048 (K3s's binaries unpack to
            about 300 MiB; the rest is for images).
        minimum_memory_mib: Memory wanted in MiB. Default None: 1024 for a server and 512 for an agent, K3s's own
            minimum.
        maximum_clock_skew_seconds: How far the machine's clock may be from that of the machine that runs Terraform,
            default 120. Certificates and tokens are valid from the moment they are made.
    """

    minimum_free_mib: int = 2048
    minimum_memory_mib: int | None = None
    maximum_clock_skew_seconds: int = 120


class Preflight(RemoteStep):
    """Checks that change nothing: every finding is printed with its fix before anything is installed.

    A finding is an error, which fails the step, or a warning. docs/bootstrap.md lists them all.

    Args:
        scope: Parent construct.
        id_: Construct id, also the step name in messages.
        machine: The machine.
        driver_mode: How the machine gets its driver: some findings matter in one way only. Default `preinstalled`.
        etcd: Whether the machine will run an embedded etcd, default False.
        other_nodes: Names of the fleet's other nodes, which this machine's host name must not be. Default none.
            The check does not run again when only they change.
        limits: What the machine must have, default `PreflightLimits()`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        machine: Machine,
        driver_mode: DriverMode = "preinstalled",
        etcd: bool = False,
        other_nodes: Sequence[str] = (),
        limits: PreflightLimits | None = None,
    ) -> None:
        super().__init__(
            scope,
            id_,
            host=machine.host,
            node=machine.name,
            script="preflight.sh",
            time_limit_seconds=120,
            parameters=preflight_parameters(
                machine, driver_mode=driver_mode, etcd=etcd, limits=limits or PreflightLimits(), report="text"
            ),
            # The time is that of the moment before the script is sent, and in no plan.
            arguments=["${timestamp()}", " ".join(other_nodes)],
        )


def preflight_parameters(
    machine: Machine, *, driver_mode: DriverMode, etcd: bool, limits: PreflightLimits, report: str
) -> Mapping[str, str]:
    """The variables of `preflight.sh`; `report` is `text` (fails on errors) or `json` (one object, never fails)."""
    default_memory = 1024 if machine.role == "server" else 512
    return {
        "ROLE": machine.role,
        "ARCHITECTURE": machine.architecture,
        "GPUS": str(machine.gpus),
        "DRIVER_MODE": driver_mode,
        "ETCD": "1" if etcd else "0",
        "MINIMUM_FREE_MIB": str(limits.minimum_free_mib),
        "MINIMUM_MEMORY_MIB": str(limits.minimum_memory_mib or default_memory),
        "MAXIMUM_CLOCK_SKEW_SECONDS": str(limits.maximum_clock_skew_seconds),
        "REPORT": report,
    }
