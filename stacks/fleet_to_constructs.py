"""From the parsed fleet file to the arguments of the constructs."""

from __future__ import annotations

from constructs_lib.k3s_release import ImageArchive, K3sRelease
from constructs_lib.machine import Machine
from constructs_lib.nvidia_container_toolkit import ContainerToolkitRelease
from constructs_lib.offline_bundle import BundleFile
from constructs_lib.ssh_host import SshBastion, SshHost
from stacks.fleet import Fleet


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


def toolkit_release(fleet: Fleet) -> ContainerToolkitRelease:
    """The fleet's container toolkit version and repository."""
    toolkit = fleet.container_toolkit
    return ContainerToolkitRelease(
        version=toolkit.version,
        apt_repository=toolkit.apt_repository,
        apt_key_url=toolkit.apt_key_url,
        apt_key_sha256=toolkit.apt_key_sha256,
    )
