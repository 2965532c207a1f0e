"""From the parsed fleet file to the arguments of the constructs."""

from __future__ import annotations

from pathlib import PurePosixPath

from constructs_lib.driver_settings import DriverNeed, DriverSettings
from constructs_lib.gpu_sharing import TimeSlicing
from constructs_lib.k3s_registry import K3sRegistry
from constructs_lib.k3s_release import ImageArchive, K3sRelease
from constructs_lib.machine import Machine
from constructs_lib.nvidia_container_toolkit import ContainerToolkitRelease
from constructs_lib.offline_bundle import BundleFile
from constructs_lib.preflight import PreflightLimits
from constructs_lib.reboot import RebootSettings
from constructs_lib.ssh_host import SshBastion, SshHost
from stacks.fleet import Fleet
from stacks.image_drivers import image_driver_needs


def machines(fleet: Fleet) -> list[Machine]:
    """The fleet's nodes as machines, in the file's order."""
    ssh = fleet.ssh
    bastion = (
        SshBastion(
            address=ssh.bastion.address, port=ssh.bastion.port, user=ssh.bastion.user, host_key=ssh.bastion.host_key
        )
        if ssh.bastion is not None
        else None
    )
    return [
        Machine(
            name=node.name,
            host=SshHost(
                address=node.address,
                port=node.port,
                user=ssh.user,
                host_key=node.host_key,
                private_key_path=ssh.private_key_path,
                bastion=bastion,
                connect_timeout_seconds=ssh.connect_timeout_seconds,
            ),
            role=node.role,
            architecture=node.architecture,
            gpus=node.gpus,
            labels=node.labels,
            taints=tuple(node.taints),
        )
        for node in fleet.nodes
    ]


def k3s_release(fleet: Fleet) -> K3sRelease:
    """The fleet's K3s version with checksums and addresses."""
    return K3sRelease(
        version=fleet.k3s.version,
        sha256=fleet.k3s.sha256,
        artifact_url=fleet.k3s.artifact_url,
        image_archives=tuple(
            ImageArchive(url=archive.url, sha256=archive.sha256) for archive in fleet.k3s.image_archives
        ),
    )


def bundle_file(fleet: Fleet) -> BundleFile | None:
    """The fleet's bundle; None when its nodes download."""
    return BundleFile(path=fleet.bundle.path, sha256=fleet.bundle.sha256) if fleet.bundle is not None else None


def registries(fleet: Fleet) -> list[K3sRegistry]:
    """Where the fleet's nodes get images from."""
    return [
        K3sRegistry(
            name=registry.name,
            endpoints=registry.endpoints,
            rewrites=registry.rewrites,
            ca_file=PurePosixPath(registry.ca_file) if registry.ca_file else None,
            insecure_skip_verify=registry.insecure_skip_verify,
        )
        for registry in fleet.k3s.registries
    ]


def toolkit_release(fleet: Fleet) -> ContainerToolkitRelease:
    """The fleet's container toolkit version and repository."""
    toolkit = fleet.container_toolkit
    return ContainerToolkitRelease(
        version=toolkit.version,
        apt_repository=toolkit.apt_repository,
        apt_key_url=toolkit.apt_key_url,
        apt_key_sha256=toolkit.apt_key_sha256,
    )


def time_slicing(fleet: Fleet) -> TimeSlicing | None:
    """How the fleet's GPUs are shared; None when each is for one pod."""
    shared = fleet.device_plugin.time_slicing
    if shared is None:
        return None
    return TimeSlicing(replicas=shared.replicas, fail_requests_greater_than_one=shared.fail_requests_greater_than_one)


def preflight_limits(fleet: Fleet) -> PreflightLimits:
    """What the fleet's machines must have."""
    return PreflightLimits(
        minimum_free_mib=fleet.preflight.minimum_free_mib,
        minimum_memory_mib=fleet.preflight.minimum_memory_mib,
        maximum_clock_skew_seconds=fleet.preflight.maximum_clock_skew_seconds,
    )


def driver_settings(fleet: Fleet) -> DriverSettings:
    """Where the fleet's drivers come from, and how new they must be: as its images declare, or as the file says."""
    driver = fleet.driver
    if driver.minimum is not None:
        needs: tuple[DriverNeed, ...] = (DriverNeed(minimum=driver.minimum, needed_by="driver.minimum"),)
    else:
        needs = image_driver_needs(fleet.images) if fleet.images is not None else ()
    return DriverSettings(
        mode=driver.mode,
        branch=driver.branch,
        open_modules=driver.open_modules,
        hold=driver.hold,
        needs=needs,
        cuda_repository=driver.cuda_repository,
        cuda_key_sha256=driver.cuda_key_sha256,
    )


def reboot_settings(fleet: Fleet) -> RebootSettings:
    """Whether and how the fleet's machines may be rebooted."""
    return RebootSettings(
        allowed=fleet.reboot.allowed,
        timeout_seconds=fleet.reboot.timeout_seconds,
        drain_timeout_seconds=fleet.reboot.drain_timeout_seconds,
    )
