"""One node as a container: a machine with systemd as PID 1, without giving it the host (--privileged)."""

from __future__ import annotations

import contextlib
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound
from docker.models.containers import Container
from docker.types import EndpointConfig, Mount

from lab.artifacts.stand_in_driver import driver_node_files, stand_in_gpus
from lab.cache import content_key
from lab.container_files import ContainerFile, put_files, tree_files
from lab.labels import MADE_FROM, NODE, lab_filter, node_labels
from lab.settings import LabNode, LabSettings

# The first of the engine's interfaces that knows a container's own cgroup namespace; Docker 20.10 brought it.
_API_VERSION = "1.41"
# uid of the image's user `edge`, the first that useradd gives.
_SSH_USER_ID = 1000
_KERNEL_MODULES = Path("/lib/modules")
# On their own file system, because containerd's overlays cannot lie on the container's.
_VOLUMES = {"rancher": "/var/lib/rancher", "kubelet": "/var/lib/kubelet"}
_RUN_OPTIONS = "rw,nosuid,nodev,exec,mode=755"


@dataclass(frozen=True, kw_only=True)
class NodeParts:
    """What nodes are made from.

    Attributes:
        image: full reference of the node image, whose tag is its content key.
        driver: directory of the stand-in driver's tree.
        authorized_keys: whose SSH keys the nodes take.
    """

    image: str
    driver: Path
    authorized_keys: str


def made_from(settings: LabSettings, node: LabNode, *, parts: NodeParts) -> str:
    """The content key of everything that a node's container is made from; the SSH key can change without it."""
    files = {name: (file.mode, file.owner, file.content) for name, file in _node_files(node, parts=parts).items()}
    return content_key(json.dumps(_options(settings, node, parts=parts), sort_keys=True), repr(sorted(files.items())))


def create_node(client: docker.DockerClient, settings: LabSettings, node: LabNode, *, parts: NodeParts) -> Container:
    """Create a node with empty disks and start it. What an unfinished or removed one left behind is removed before.

    All files are in place before the first start: a container that never started is an unfinished one.
    """
    remove_node(client, settings, node.name)
    for volume in _VOLUMES:
        client.volumes.create(_volume(settings, node.name, volume), labels=node_labels(settings, node))
    container = client.containers.create(
        **_options(settings, node, parts=parts),
        labels={**node_labels(settings, node), MADE_FROM: made_from(settings, node, parts=parts)},
    )
    # The image's is empty: systemd would make it from what the containers of one host have in common.
    machine_id = ContainerFile(f"{uuid.uuid4().hex}\n".encode(), mode=0o444)
    put_files(container, {**_node_files(node, parts=parts), "etc/machine-id": machine_id})
    put_authorized_keys(container, parts.authorized_keys)
    container.start()
    return container


def put_authorized_keys(container: Container, authorized_keys: str) -> None:
    """Let the owner of this key in, and nobody else."""
    file = ContainerFile(authorized_keys.encode(), mode=0o600, owner=_SSH_USER_ID)
    put_files(container, {"authorized_keys": file}, directory="/home/edge/.ssh")


def remove_node(client: docker.DockerClient, settings: LabSettings, name: str) -> None:
    """Remove a node's container and disks, whatever is there of them."""
    with contextlib.suppress(NotFound):
        client.containers.get(f"{settings.name}-{name}").remove(force=True, v=True)
    for volume in client.volumes.list(filters=lab_filter(settings)):
        if volume.attrs["Labels"].get(NODE) == name:
            volume.remove()


def _options(settings: LabSettings, node: LabNode, *, parts: NodeParts) -> dict[str, Any]:
    """What the engine is told about the container, but its labels."""
    mounts = [
        Mount(target=target, source=_volume(settings, node.name, volume), type="volume")
        for volume, target in _VOLUMES.items()
    ]
    if _KERNEL_MODULES.is_dir():
        mounts.append(Mount(target=str(_KERNEL_MODULES), source=str(_KERNEL_MODULES), type="bind", read_only=True))
    return {
        "image": parts.image,
        "name": settings.container(node),
        "hostname": node.name,
        "network": settings.name,
        "networking_config": {
            settings.name: EndpointConfig(_API_VERSION, ipv4_address=node.address, aliases=[node.name])
        },
        "cap_add": ["ALL"],
        "cap_drop": _missing_capabilities(),
        "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
        "device_cgroup_rules": ["a *:* rwm"],
        # The node's cgroups are a tree of its own, so no kubelet sees, and tidies up, the pods of another node.
        "cgroupns": "private",
        "mounts": mounts,
        "tmpfs": {"/run": _RUN_OPTIONS, "/run/lock": "", "/tmp": "exec"},
        # A node that reboots comes back; one that `docker stop` ended, or the machine's own reboot, does not.
        "restart_policy": {"Name": "on-failure", "MaximumRetryCount": 0},
    }


def _volume(settings: LabSettings, node: str, volume: str) -> str:
    return f"{settings.name}-{node}-{volume}"


def _node_files(node: LabNode, *, parts: NodeParts) -> dict[str, ContainerFile]:
    """The files that a node has over the common image."""
    if not node.gpus:
        return {}
    texts = driver_node_files(stand_in_gpus(node=node.name, count=node.gpus))
    return {**tree_files(parts.driver), **{name: ContainerFile(text.encode()) for name, text in texts.items()}}


def _missing_capabilities() -> list[str]:
    """The capabilities of "ALL" that this machine's root lacks: the engine, started by it, cannot give them away."""
    status = Path("/proc/self/status").read_text()
    bounding = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd:"))
    return [name for name, bit in _CAPABILITY_BITS.items() if not bounding >> bit & 1]


# Those that restricted machines are known to lack and that a node can do without.
_CAPABILITY_BITS = {"SYS_RESOURCE": 24}
