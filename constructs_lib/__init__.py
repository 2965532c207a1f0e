"""GPU Kubernetes on machines reachable over SSH, as constructs for CDK for Terraform.

Names are imported on first use: a program that parses its input before it builds anything pays nothing for the
CDK's start until then.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from constructs_lib.cluster_identity import ClusterIdentity as ClusterIdentity
    from constructs_lib.gpu_check import GpuCheck as GpuCheck
    from constructs_lib.gpu_check import GpuNode as GpuNode
    from constructs_lib.k3s_cluster import K3sCluster as K3sCluster
    from constructs_lib.k3s_node import K3sNode as K3sNode
    from constructs_lib.k3s_release import ImageArchive as ImageArchive
    from constructs_lib.k3s_release import K3sRelease as K3sRelease
    from constructs_lib.lazy_import import lazy_package as lazy_package
    from constructs_lib.machine import Machine as Machine
    from constructs_lib.nvidia_container_toolkit import ContainerToolkitRelease as ContainerToolkitRelease
    from constructs_lib.nvidia_container_toolkit import NvidiaContainerToolkit as NvidiaContainerToolkit
    from constructs_lib.nvidia_device_plugin import NvidiaDevicePlugin as NvidiaDevicePlugin
    from constructs_lib.nvidia_driver import NvidiaDriver as NvidiaDriver
    from constructs_lib.ordering import run_after as run_after
    from constructs_lib.preflight import Preflight as Preflight
    from constructs_lib.ssh_host import SshBastion as SshBastion
    from constructs_lib.ssh_host import SshHost as SshHost

_MODULE_OF = {
    "ClusterIdentity": "cluster_identity",
    "ContainerToolkitRelease": "nvidia_container_toolkit",
    "GpuCheck": "gpu_check",
    "GpuNode": "gpu_check",
    "ImageArchive": "k3s_release",
    "K3sCluster": "k3s_cluster",
    "K3sNode": "k3s_node",
    "K3sRelease": "k3s_release",
    "Machine": "machine",
    "NvidiaContainerToolkit": "nvidia_container_toolkit",
    "NvidiaDevicePlugin": "nvidia_device_plugin",
    "NvidiaDriver": "nvidia_driver",
    "Preflight": "preflight",
    "SshBastion": "ssh_host",
    "SshHost": "ssh_host",
    "lazy_package": "lazy_import",
    "run_after": "ordering",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
