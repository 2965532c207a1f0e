"""What of a lab is there right now, and what it is made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

import docker
from docker.models.containers import Container

from lab.engine import connect_running
from lab.labels import GPUS, NODE, ROLE, lab_filter
from lab.nodes import output_of, ssh_answers
from lab.part import Part
from lab.parts_file import part_fields, read_parts
from lab.settings import LabSettings
from lab.together import run_together

_MISSING = "missing"
_UNITS = ("k3s", "k3s-agent")


@dataclass(frozen=True, kw_only=True)
class ContainerStatus:
    """A node, or the site mirror.

    Attributes:
        name: the node's name, or "site".
        address: in the lab's network; empty when it is not there.
        state: the engine's word for the container's state, or "missing".
        ssh: whether an SSH server greets.
        k3s: its unit that is active, e.g. "k3s-agent", else empty.
        role: server or agent, "site mirror" for that.
        stand_in_gpus: how many GPUs it claims to have.
    """

    name: str
    address: str
    state: str
    ssh: bool = False
    k3s: str = ""
    role: str = "site mirror"
    stand_in_gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class LabStatus:
    """A whole lab.

    Attributes:
        name: the lab's name.
        engine: whether a Docker engine answers; without one nothing of the lab can run.
        containers: the site mirror first, then the nodes, also those that are missing.
        parts: what the last `lab up` of this checkout put it together from.
    """

    name: str
    engine: bool
    containers: Sequence[ContainerStatus]
    parts: Sequence[Part]


def lab_status(settings: LabSettings) -> LabStatus:
    """Look at a lab; starts and changes nothing.

    Raises:
        LabError: this user may not use the Docker engine.
    """
    client = connect_running()
    found = {} if client is None else _look(client, settings)
    names = ["site", *(node.name for node in settings.nodes), *sorted(found)]
    wanted = {node.name: node for node in settings.nodes}
    containers = []
    for name in dict.fromkeys(names):
        node = wanted.get(name)
        absent = ContainerStatus(
            name=name,
            address=node.address if node else settings.site_address,
            state=_MISSING,
            role=node.role if node else "site mirror",
            stand_in_gpus=node.gpus if node else 0,
        )
        containers.append(found.get(name, absent))
    parts = read_parts(settings.parts_file)
    return LabStatus(name=settings.name, engine=client is not None, containers=containers, parts=parts)


def as_json(status: LabStatus) -> str:
    """The status for programs."""
    return json.dumps(
        {
            "name": status.name,
            "engine": status.engine,
            "containers": [asdict(container) for container in status.containers],
            "parts": [part_fields(part) for part in status.parts],
        },
        indent=2,
    )


def as_text(status: LabStatus) -> str:
    """The status for people: two tables."""
    lines = [f"Lab {status.name}" + ("" if status.engine else ": no Docker engine answers, so nothing of it runs"), ""]
    rows = [
        (
            container.name,
            container.role,
            container.address,
            container.state,
            "-" if container.role == "site mirror" else "yes" if container.ssh else "no",
            container.k3s or "-",
            f"{container.stand_in_gpus} (stand-in)" if container.stand_in_gpus else "-",
        )
        for container in status.containers
    ]
    lines += _table(("node", "role", "address", "state", "ssh", "K3s", "GPUs"), rows)
    lines.append("")
    if status.parts:
        described = [(part.name, part.version, part.kind, part.source) for part in status.parts]
        lines += _table(("part", "version", "real / stand-in", "source"), described)
    else:
        lines.append("No `lab up` of this checkout has finished yet, so no parts are known.")
    return "\n".join(lines)


def _look(client: docker.DockerClient, settings: LabSettings) -> dict[str, ContainerStatus]:
    containers = client.containers.list(all=True, filters=lab_filter(settings), ignore_removed=True)
    seen = run_together([partial(_container_status, container, settings) for container in containers])
    return {status.name: status for status in seen}


def _container_status(container: Container, settings: LabSettings) -> ContainerStatus:
    endpoint = container.attrs["NetworkSettings"]["Networks"].get(settings.name) or {}
    # A stopped container's address is in its settings only.
    address = endpoint.get("IPAddress") or (endpoint.get("IPAMConfig") or {}).get("IPv4Address") or ""
    if NODE not in container.labels:
        return ContainerStatus(name="site", address=address, state=container.status)
    running = container.status == "running"
    return ContainerStatus(
        name=container.labels[NODE],
        address=address,
        state=container.status,
        ssh=running and ssh_answers(address),
        k3s=_active_unit(container) if running else "",
        role=container.labels[ROLE],
        stand_in_gpus=int(container.labels[GPUS]),
    )


def _active_unit(container: Container) -> str:
    states = output_of(container, "systemctl", "is-active", *_UNITS).split()
    return " ".join(unit for unit, state in zip(_UNITS, states, strict=False) if state == "active")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    ruled = (header, ["-" * width for width in widths], *rows)
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in ruled]
