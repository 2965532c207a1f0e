"""How the device plugin hands GPUs to pods: shared in time, by which mechanism, and as whole GPUs or MIG devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DeviceListStrategy = Literal["envvar", "volume-mounts", "cdi-annotations", "cdi-cri"]
"""How a container learns its GPUs. The `cdi-` ones name devices of a CDI specification that the plugin writes."""

MigStrategy = Literal["none", "single", "mixed"]
"""`single`: MIG devices are offered as `nvidia.com/gpu`; `mixed`: each profile as a resource of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeSlicing:
    """Pods take turns on one GPU. Its memory is not divided, and one pod's fault can end the others'.

    Args:
        replicas: How many pods share a GPU, at least 2: a node offers its GPUs times this.
        fail_requests_greater_than_one: Refuse pods that ask for more than one, default true: two shares may be of the
            same GPU, and are no more of it than one is.

    Raises:
        ValueError: `replicas` is below 2.
    """

    replicas: int
    fail_requests_greater_than_one: bool = True

    def __post_init__(self) -> None:
        if self.replicas < 2:
            raise ValueError(f"TimeSlicing: replicas={self.replicas}; allowed is 2 or more, or no time-slicing at all")
