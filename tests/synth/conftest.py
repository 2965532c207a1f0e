"""Machines and clusters to synthesize."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.k3s_cluster import K3sCluster
from constructs_lib.k3s_release import K3sRelease
from constructs_lib.machine import Machine
from constructs_lib.nvidia_container_toolkit import ContainerToolkitRelease
from constructs_lib.ssh_host import SshHost
from constructs_lib.testing import new_stack

HOST_KEY = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA=="
RELEASE = K3sRelease(version="v1.36.2+k3s1", sha256={"amd64": "a" * 64, "arm64": "b" * 64})
TOOLKIT = ContainerToolkitRelease(version="1.20.0-1")


def host(address: str = "192.0.2.10", **changes: Any) -> SshHost:
    """A host in the documentation's address range."""
    return SshHost(
        **{"address": address, "user": "ubuntu", "host_key": HOST_KEY, "private_key_path": Path("/keys/id"), **changes}
    )


def machine(name: str, **changes: Any) -> Machine:
    """A machine, by default an agent without GPUs."""
    return Machine(**{"name": name, "host": host(), "role": "agent", **changes})


@pytest.fixture
def identity() -> ClusterIdentity:
    """An identity whose files need not exist: synthesis only names them."""
    return ClusterIdentity(Path("/edge/test"))


@pytest.fixture
def cluster(identity: ClusterIdentity) -> Callable[..., K3sCluster]:
    """Makes a cluster of the given machines in a stack of its own."""

    def make(*machines: Machine, **changes: Any) -> K3sCluster:
        arguments: dict[str, Any] = {"release": RELEASE, "toolkit": TOOLKIT, "identity": identity, **changes}
        return K3sCluster(new_stack(), "cluster", machines=machines, **arguments)

    return make
