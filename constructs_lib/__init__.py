"""GPU Kubernetes on machines reachable over SSH, as constructs for CDK for Terraform.

Names are imported on first use: a program that parses its input before it builds anything pays nothing for the
CDK's start until then.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from constructs_lib.build_context import BuildContext as BuildContext
    from constructs_lib.cluster_identity import ClusterIdentity as ClusterIdentity
    from constructs_lib.container_image import ContainerImage as ContainerImage
    from constructs_lib.cuda_base_image import CudaBaseImage as CudaBaseImage
    from constructs_lib.dead_node_release import DeadNodeRelease as DeadNodeRelease
    from constructs_lib.driver_settings import DriverNeed as DriverNeed
    from constructs_lib.driver_settings import DriverSettings as DriverSettings
    from constructs_lib.gpu_accounting import GpuAccounting as GpuAccounting
    from constructs_lib.gpu_check import GpuCheck as GpuCheck
    from constructs_lib.gpu_check import GpuNode as GpuNode
    from constructs_lib.gpu_check_image import GpuCheckImage as GpuCheckImage
    from constructs_lib.gpu_container import Desk as Desk
    from constructs_lib.gpu_container import GpuContainer as GpuContainer
    from constructs_lib.gpu_sharing import TimeSlicing as TimeSlicing
    from constructs_lib.image_handover import ImageHandover as ImageHandover
    from constructs_lib.image_variants import ImageSettings as ImageSettings
    from constructs_lib.k3s_cluster import K3sCluster as K3sCluster
    from constructs_lib.k3s_node import K3sNode as K3sNode
    from constructs_lib.k3s_registry import K3sRegistry as K3sRegistry
    from constructs_lib.k3s_release import ImageArchive as ImageArchive
    from constructs_lib.k3s_release import K3sRelease as K3sRelease
    from constructs_lib.lazy_import import lazy_package as lazy_package
    from constructs_lib.machine import Machine as Machine
    from constructs_lib.machine_preparation import MachinePreparation as MachinePreparation
    from constructs_lib.moved_blocks import moved as moved
    from constructs_lib.node_removal import NodeRemoval as NodeRemoval
    from constructs_lib.nvidia_container_toolkit import ContainerToolkitRelease as ContainerToolkitRelease
    from constructs_lib.nvidia_container_toolkit import NvidiaContainerToolkit as NvidiaContainerToolkit
    from constructs_lib.nvidia_device_plugin import NvidiaDevicePlugin as NvidiaDevicePlugin
    from constructs_lib.nvidia_driver import NvidiaDriver as NvidiaDriver
    from constructs_lib.offline_bundle import BundleFile as BundleFile
    from constructs_lib.offline_bundle import OfflineBundle as OfflineBundle
    from constructs_lib.ordering import run_after as run_after
    from constructs_lib.preflight import Preflight as Preflight
    from constructs_lib.preflight import PreflightLimits as PreflightLimits
    from constructs_lib.reboot import Reboot as Reboot
    from constructs_lib.reboot import RebootSettings as RebootSettings
    from constructs_lib.ros2_humble_image import Ros2HumbleImage as Ros2HumbleImage
    from constructs_lib.ssh_host import SshBastion as SshBastion
    from constructs_lib.ssh_host import SshHost as SshHost
    from constructs_lib.triton_image import TritonImage as TritonImage
    from constructs_lib.waldur_agent import WaldurAgent as WaldurAgent
    from constructs_lib.waldur_offering import WaldurComponent as WaldurComponent
    from constructs_lib.waldur_offering import WaldurOffering as WaldurOffering
    from constructs_lib.waldur_offering import WaldurPlan as WaldurPlan
    from constructs_lib.waldur_offering import WaldurProvider as WaldurProvider
    from constructs_lib.waldur_tenant import WaldurTenant as WaldurTenant
    from constructs_lib.waldur_usage_reporter import WaldurUsageReporter as WaldurUsageReporter

_MODULE_OF = {
    "BuildContext": "build_context",
    "BundleFile": "offline_bundle",
    "ClusterIdentity": "cluster_identity",
    "ContainerImage": "container_image",
    "ContainerToolkitRelease": "nvidia_container_toolkit",
    "CudaBaseImage": "cuda_base_image",
    "DeadNodeRelease": "dead_node_release",
    "Desk": "gpu_container",
    "DriverNeed": "driver_settings",
    "DriverSettings": "driver_settings",
    "GpuAccounting": "gpu_accounting",
    "GpuCheck": "gpu_check",
    "GpuCheckImage": "gpu_check_image",
    "GpuContainer": "gpu_container",
    "GpuNode": "gpu_check",
    "ImageArchive": "k3s_release",
    "ImageHandover": "image_handover",
    "ImageSettings": "image_variants",
    "K3sCluster": "k3s_cluster",
    "K3sNode": "k3s_node",
    "K3sRegistry": "k3s_registry",
    "K3sRelease": "k3s_release",
    "Machine": "machine",
    "MachinePreparation": "machine_preparation",
    "NodeRemoval": "node_removal",
    "NvidiaContainerToolkit": "nvidia_container_toolkit",
    "NvidiaDevicePlugin": "nvidia_device_plugin",
    "NvidiaDriver": "nvidia_driver",
    "OfflineBundle": "offline_bundle",
    "Preflight": "preflight",
    "PreflightLimits": "preflight",
    "Reboot": "reboot",
    "RebootSettings": "reboot",
    "Ros2HumbleImage": "ros2_humble_image",
    "SshBastion": "ssh_host",
    "SshHost": "ssh_host",
    "TimeSlicing": "gpu_sharing",
    "TritonImage": "triton_image",
    "WaldurAgent": "waldur_agent",
    "WaldurComponent": "waldur_offering",
    "WaldurOffering": "waldur_offering",
    "WaldurPlan": "waldur_offering",
    "WaldurProvider": "waldur_offering",
    "WaldurTenant": "waldur_tenant",
    "WaldurUsageReporter": "waldur_usage_reporter",
    "lazy_package": "lazy_import",
    "moved": "moved_blocks",
    "run_after": "ordering",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
