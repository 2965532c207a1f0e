"""The lab's nodes: creates what is missing, starts what is stopped, replaces what is unfinished or out of date."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Literal

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from lab.container_files import read_file
from lab.errors import LabError
from lab.labels import CHECKOUT, MADE_FROM
from lab.node_container import NodeParts, create_node, made_from, put_authorized_keys
from lab.settings import LabNode, LabSettings

_SSH_TIMEOUT_SECONDS = 60.0
_SSH_ANSWER_SECONDS = 2.0
_POLL_SECONDS = 0.05
_LOOK_SECONDS = 1.0
# Terraform's SSH asks for this one before ed25519, so the fleet file pins it.
_HOST_KEY = "/etc/ssh/ssh_host_ecdsa_key.pub"

Action = Literal["created", "replaced", "started", "left as it is"]


@dataclass(frozen=True, kw_only=True)
class ReadyNode:
    """A node whose sshd answers.

    Attributes:
        node: its settings.
        host_key: its ECDSA host key as known_hosts has it, read through the engine and not over the network.
        action: what was done to it.
        reason: why, when it was replaced, else empty.
    """

    node: LabNode
    host_key: str
    action: Action
    reason: str = ""


def ensure_node(client: docker.DockerClient, settings: LabSettings, node: LabNode, *, parts: NodeParts) -> ReadyNode:
    """One node, running, made from these parts, open to this key.

    Raises:
        LabError: its address is taken, it does not start, or its sshd does not answer in time.
    """
    action: Action
    reason = ""
    try:
        container = client.containers.get(settings.container(node))
        reason = _replace_reason(container, settings, made_from(settings, node, parts=parts))
    except NotFound:
        container = None
    try:
        if container is None or reason:
            action = "created" if container is None else "replaced"
            container = create_node(client, settings, node, parts=parts)
        else:
            action = "left as it is"
            if container.status == "paused":
                container.unpause()
                action = "started"
            elif container.status != "running":
                container.start()
                action = "started"
            put_authorized_keys(container, parts.authorized_keys)
    except APIError as error:
        raise LabError(_start_failure(client, settings, node, error)) from error
    _wait_for_ssh(container, node)
    return ReadyNode(node=node, host_key=_host_key(container), action=action, reason=reason)


def ssh_answers(address: str) -> bool:
    """Whether an SSH server greets at port 22 of this address."""
    try:
        with socket.create_connection((address, 22), timeout=_SSH_ANSWER_SECONDS) as connection:
            connection.settimeout(_SSH_ANSWER_SECONDS)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def output_of(container: Container, *argv: str) -> str:
    """What a command in a running container prints, on both outputs, whatever its exit code."""
    _, said = container.exec_run(list(argv))
    assert isinstance(said, bytes)
    return said.decode(errors="replace")


def _replace_reason(container: Container, settings: LabSettings, wanted: str) -> str:
    """Why a container that is there cannot stay; empty when it can."""
    # Its files come before its first start, so one that never started may lack some.
    if container.attrs["State"]["StartedAt"].startswith("0001-"):
        return "an earlier run did not finish it"
    if container.status in ("dead", "removing"):
        return f"the engine says that it is {container.status}"
    owner = container.labels.get(CHECKOUT)
    if owner != str(settings.project):
        # That one's cluster has secrets which this checkout does not know.
        return f"it was of the checkout {owner}; LAB_NAME and LAB_SUBNET make labs that live side by side"
    if container.labels.get(MADE_FROM) != wanted:
        return "its image, its GPUs or its settings changed"
    return ""


def _wait_for_ssh(container: Container, node: LabNode) -> None:
    started = time.monotonic()
    next_look = started + _LOOK_SECONDS
    while not ssh_answers(node.address):
        now = time.monotonic()
        if now > started + _SSH_TIMEOUT_SECONDS:
            raise LabError(
                f"node {node.name}: no SSH server answers at {node.address}:22 after {_SSH_TIMEOUT_SECONDS:.0f} s. Can"
                f" this machine reach the engine's network? The node says:\n{_words_of(container)}"
            )
        if now > next_look:
            next_look = now + _LOOK_SECONDS
            container.reload()
            if container.status not in ("running", "restarting"):
                raise LabError(
                    f"node {node.name}: its container is {container.status}; see docker logs {container.name}. It"
                    f" says:\n{_words_of(container)}"
                )
        time.sleep(_POLL_SECONDS)


def _words_of(container: Container) -> str:
    """What a node that does not come up says about itself."""
    logs: bytes = container.logs(tail=10)
    if container.status != "running":
        return logs.decode(errors="replace")
    failed = output_of(container, "systemctl", "--failed", "--no-legend", "--no-pager")
    journal = output_of(container, "journalctl", "-n", "10", "--no-pager", "-o", "cat", "-u", "ssh")
    return "\n".join((logs.decode(errors="replace"), failed, journal))


def _host_key(container: Container) -> str:
    kind, key, *_ = read_file(container, _HOST_KEY).decode().split()
    return f"{kind} {key}"


def _start_failure(client: docker.DockerClient, settings: LabSettings, node: LabNode, error: APIError) -> str:
    why = str(error.explanation or error)
    if "Address already in use" in why or "address already in use" in why:
        network = client.networks.get(settings.name)
        holders = [
            holder["Name"]
            for holder in network.attrs["Containers"].values()
            if holder["IPv4Address"].split("/")[0] == node.address
        ]
        return (
            f"node {node.name}: its address {node.address} is in use by container {', '.join(holders) or 'unknown'};"
            f" take that off the network (docker network disconnect -f {settings.name} CONTAINER) and run again"
        )
    return f"node {node.name}: the Docker engine cannot start it: {why}"
