"""What the fleet file says about machines before K3s: what they must have, their driver, and reboots."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from stacks.fleet.rules import BaseUrl, Flag, Rule, Seconds, Sha256
from stacks.fleet.section import Section
from stacks.fleet.versions import driver_branch

Mebibytes = Annotated[int, Field(ge=1, le=1_048_576), Rule("whole MiB from 1 to 1048576, without unit", "2048")]
DriverMode = Annotated[
    Literal["preinstalled", "ubuntu", "cuda-repo", "none"],
    Rule("preinstalled, ubuntu, cuda-repo or none", "ubuntu"),
]
DriverBranch = Annotated[
    str,
    AfterValidator(driver_branch),
    Rule("a branch: `580-server` for ubuntu; `580`, or an exact version, for cuda-repo", '"580-server"'),
]
DriverMinimum = Annotated[int, Field(ge=300, le=9999), Rule("a driver branch's number, from 300", "560")]


class PreflightSection(Section):
    """What a machine must have before anything is installed."""

    minimum_free_mib: Mebibytes = Field(2048, description="Free space for /var/lib/rancher, in MiB.")
    minimum_memory_mib: Mebibytes | None = Field(
        None, description="Memory, in MiB. Default: 1024 for a server, 512 for an agent."
    )
    maximum_clock_skew_seconds: Seconds = Field(
        120, description="How far a clock may be from that of the machine that runs Terraform; warned of from 30 s on."
    )


class DriverSection(Section):
    """The NVIDIA driver of GPU nodes. A Jetson's belongs to JetPack: none is ever installed there."""

    mode: DriverMode = Field(
        "preinstalled",
        description="`preinstalled`: checked only. `ubuntu`: Ubuntu's server branch, with signed modules. `cuda-repo`: "
        "NVIDIA's CUDA repository. `none`: neither installed nor checked.",
    )
    branch: DriverBranch | None = Field(
        None, description="What is installed. Default: 580-server for `ubuntu`, 580 for `cuda-repo`."
    )
    open_modules: Flag = Field(
        False, description="NVIDIA's open kernel modules: Blackwell needs them, GPUs before Turing cannot use them."
    )
    hold: Flag = Field(True, description="apt leaves the driver (`ubuntu`: and the kernel) as it is between deploys.")
    minimum: DriverMinimum | None = Field(
        None, description="Oldest branch that will do. Default: the newest that one of `images` needs."
    )
    cuda_repository: BaseUrl = Field(
        "https://developer.download.nvidia.com/compute/cuda/repos",
        description="Holds `<distribution>/<architecture>/`, such as `ubuntu2404/x86_64/`.",
    )
    cuda_key_sha256: Sha256 | None = Field(
        None, description="Of the repository's key. Default: the key that it serves is trusted."
    )


class RebootSection(Section):
    """Reboots by a deploy: of GPU nodes whose driver waits for one, and of no others."""

    allowed: Flag = Field(False, description="false: the deploy fails at such a node and says so.")
    timeout_seconds: Seconds = Field(600, description="Limit until the node takes logins again.")
    drain_timeout_seconds: Seconds = Field(300, description="Limit for its pods to leave before, where K3s runs.")
