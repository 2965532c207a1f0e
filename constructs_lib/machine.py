"""A machine that is to become a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from constructs_lib.ssh_host import SshHost

Role = Literal["server", "agent"]
GPU_PRESENT_LABEL = "nvidia.com/gpu.present"
"""The device plugin's chart schedules only on nodes that carry this label (or labels of node feature discovery)."""

Architecture = Literal["amd64", "arm64"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A machine that is to become a node, and what it has.

    Args:
        name: Node name, a DNS label unique in the cluster.
        host: How Terraform reaches it.
        role: `server` (control plane, also runs pods) or `agent`.
        architecture: `amd64` (default) or `arm64`.
        gpus: NVIDIA GPUs that the node must offer, default 0: nothing of NVIDIA's is installed or checked.
        labels: Node labels set when the node joins, default none. GPU nodes get `nvidia.com/gpu.present=true` too.
        taints: Node taints set when the node joins, as `key=value:Effect`, default none.
    """

    name: str
    host: SshHost
    role: Role
    architecture: Architecture = "amd64"
    gpus: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[str, ...] = ()
