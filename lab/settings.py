"""What the lab consists of: its name, its network, its nodes, and where it keeps its files."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lab.artifacts.stand_in_driver import MAX_GPUS_PER_NODE
from lab.errors import LabError

NAME_VARIABLE = "LAB_NAME"
SUBNET_VARIABLE = "LAB_SUBNET"
NODES_VARIABLE = "LAB_NODES"

SSH_USER = "edge"

_PROJECT = Path(__file__).resolve().parents[1]
_DEFAULT_NAME = "edge-gpu-lab"
_DEFAULT_SUBNET = "172.29.0.0/24"
_DEFAULT_NODES = "server-1=server gpu-1=agent:2 gpu-2=agent:1"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_NODE = re.compile(r"(?P<name>[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)=(?P<role>server|agent)(:(?P<gpus>\d{1,2}))?")
_SITE_NUMBER = 2
_FIRST_NODE_NUMBER = 11
_MAX_NODES = 200


@dataclass(frozen=True, kw_only=True)
class LabNode:
    """One node.

    Attributes:
        name: host name, and its name in the fleet file.
        role: what the fleet file makes of it; the node itself is the same bare machine for both.
        gpus: stand-in GPUs; 0 is a node without the driver.
        address: its fixed IPv4 address.
    """

    name: str
    role: Literal["server", "agent"]
    gpus: int
    address: str


@dataclass(frozen=True, kw_only=True)
class LabSettings:
    """A whole lab.

    Attributes:
        name: prefix of its containers and volumes, and its network's name.
        subnet: an IPv4 /24; .1 is the gateway, .2 the site mirror, .11 and up the nodes.
        nodes: in the fleet file's order.
        project: the checkout that the fleet file, the SSH key and the Terraform settings belong to.
    """

    name: str
    subnet: ipaddress.IPv4Network
    nodes: tuple[LabNode, ...]
    project: Path

    @property
    def gateway(self) -> str:
        """The engine's own address in the network."""
        return str(self.subnet[1])

    @property
    def site_address(self) -> str:
        """Where the site mirror answers on port 80."""
        return str(self.subnet[_SITE_NUMBER])

    @property
    def site_container(self) -> str:
        """The site mirror's container."""
        return f"{self.name}-site"

    @property
    def fleet_name(self) -> str:
        """Its name in the fleet file, and that of its folder below .edge/."""
        return "lab" if self.name == _DEFAULT_NAME else self.name[:30].rstrip("-")

    @property
    def private_key(self) -> Path:
        """The key that opens every node of this checkout's labs."""
        return self.project / ".edge" / "lab-ssh" / "id_ed25519"

    @property
    def fleet_file(self) -> Path:
        """What `lab up` writes: fleets/lab.yaml, or a file under build/ for a lab of another name."""
        return self.project / ("fleets/lab.yaml" if self.name == _DEFAULT_NAME else f"build/{self.name}.yaml")

    @property
    def parts_file(self) -> Path:
        """What the last `lab up` put the lab together from."""
        return self.project / ".edge" / f"{self.name}-parts.json"

    def container(self, node: LabNode) -> str:
        """A node's container."""
        return f"{self.name}-{node.name}"


def load_settings(environment: Mapping[str, str], *, project: Path = _PROJECT) -> LabSettings:
    """The lab that the environment asks for.

    Args:
        environment: LAB_NAME (default "edge-gpu-lab"; another name is another lab beside it, with another subnet),
            LAB_SUBNET (default 172.29.0.0/24), LAB_NODES (default "server-1=server gpu-1=agent:2 gpu-2=agent:1":
            NAME=ROLE or NAME=ROLE:GPUS, addresses from .11 in this order, so add further ones at the end).
        project: the checkout (default: the one this file lies in).

    Raises:
        LabError: naming the variable, its value and what is allowed.
    """
    name = environment.get(NAME_VARIABLE) or _DEFAULT_NAME
    if not _NAME.fullmatch(name):
        raise LabError(
            f"{NAME_VARIABLE}={name!r} is no name of a lab; use 1 to 40 lower-case letters, digits and inner dashes"
        )
    subnet = _subnet(environment.get(SUBNET_VARIABLE) or _DEFAULT_SUBNET)
    return LabSettings(
        name=name,
        subnet=subnet,
        nodes=_nodes(environment.get(NODES_VARIABLE) or _DEFAULT_NODES, subnet=subnet),
        project=project,
    )


def _subnet(text: str) -> ipaddress.IPv4Network:
    try:
        subnet = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise LabError(f"{SUBNET_VARIABLE}={text!r} is no IPv4 network: {error}; use one like 172.30.0.0/24") from error
    if subnet.prefixlen != 24 or not subnet.is_private:
        raise LabError(f"{SUBNET_VARIABLE}={text} is not a private /24; use one like 172.30.0.0/24")
    # The nodes' pods and services are there.
    for taken in ("10.42.0.0/16", "10.43.0.0/16"):
        if subnet.overlaps(ipaddress.IPv4Network(taken)):
            raise LabError(f"{SUBNET_VARIABLE}={text} lies in {taken}, K3s's own; use one like 172.30.0.0/24")
    return subnet


def _nodes(text: str, *, subnet: ipaddress.IPv4Network) -> tuple[LabNode, ...]:
    nodes: list[LabNode] = []
    for number, word in enumerate(text.split(), start=_FIRST_NODE_NUMBER):
        match = _NODE.fullmatch(word)
        gpus = int(match["gpus"] or 0) if match else 0
        if match is None or gpus > MAX_GPUS_PER_NODE:
            raise LabError(
                f"{NODES_VARIABLE}: {word!r} is no node; use NAME=ROLE or NAME=ROLE:GPUS with role server or agent and"
                f" at most {MAX_GPUS_PER_NODE} GPUs, e.g. {_DEFAULT_NODES!r}"
            )
        if match["name"] == "site" or match["name"] in {node.name for node in nodes}:
            raise LabError(f"{NODES_VARIABLE}: the name {match['name']!r} is taken; give every node its own")
        role: Literal["server", "agent"] = "server" if match["role"] == "server" else "agent"
        nodes.append(LabNode(name=match["name"], role=role, gpus=gpus, address=str(subnet[number])))
    if len(nodes) > _MAX_NODES:
        raise LabError(f"{NODES_VARIABLE} lists {len(nodes)} nodes; at most {_MAX_NODES} have a place in the subnet")
    return tuple(nodes)
