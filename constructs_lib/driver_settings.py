"""How machines get their NVIDIA driver, and how new it must be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

DriverMode = Literal["preinstalled", "ubuntu", "cuda-repo", "none"]

CUDA_REPOSITORY = "https://developer.download.nvidia.com/compute/cuda/repos"
"""NVIDIA's: one folder a distribution, for example `ubuntu2404`, and in it one an architecture."""
DEVICE_PLUGIN_MINIMUM = 384
"""The device plugin's README asks for 384.81 or newer."""
_DEFAULT_BRANCH = {"ubuntu": "580-server", "cuda-repo": "580"}


@dataclass(frozen=True, kw_only=True, slots=True)
class DriverNeed:
    """A driver branch that something needs.

    Args:
        minimum: The oldest branch it works with, for example 560.
        needed_by: What needs it, in words.
    """

    minimum: int
    needed_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DriverSettings:
    """How a machine gets its NVIDIA driver.

    Args:
        mode: `preinstalled` (default) installs nothing and checks what is there. `ubuntu` installs Ubuntu's server
            branch, whose modules are signed. `cuda-repo` installs from NVIDIA's CUDA repository, its pinning package
            first. `none` neither installs nor checks. A Jetson's driver belongs to JetPack: none is ever installed.
        branch: Default None: `580-server` for `ubuntu`, `580` for `cuda-repo`, which also takes an exact version
            such as `590.48.01`.
        open_modules: Install NVIDIA's open kernel modules, default False. Blackwell GPUs need them; those older
            than Turing cannot use them.
        hold: Keep apt from changing the driver behind the deploy's back, default True. In the mode `ubuntu` that
            holds the kernel as well, since its modules are made for one kernel.
        needs: What needs which branch; the highest counts. Default: nothing but the device plugin.
        cuda_repository: For `cuda-repo`, default NVIDIA's.
        cuda_key_sha256: Checksum of the repository's key. Default None: whatever the address serves is trusted.
        package_folder: Folder on the machine, absolute. With a file `Packages` in it, it is the one source that apt is
            given for what the mode installs; its bytes must have been verified. Default None: the mode's own sources.
    """

    mode: DriverMode = "preinstalled"
    branch: str | None = None
    open_modules: bool = False
    hold: bool = True
    needs: tuple[DriverNeed, ...] = ()
    cuda_repository: str = CUDA_REPOSITORY
    cuda_key_sha256: str | None = None
    package_folder: str | None = None

    @property
    def wanted_branch(self) -> str:
        """The branch to install, empty where none is installed."""
        return self.branch or _DEFAULT_BRANCH.get(self.mode, "")

    @property
    def highest_need(self) -> DriverNeed:
        """The need that decides."""
        return highest_need(self.needs)


def highest_need(needs: Iterable[DriverNeed]) -> DriverNeed:
    """The highest of `needs` and the device plugin's own."""
    device_plugin = DriverNeed(minimum=DEVICE_PLUGIN_MINIMUM, needed_by="the device plugin")
    return max([device_plugin, *needs], key=lambda need: need.minimum)
