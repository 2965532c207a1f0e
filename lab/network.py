"""The lab's Docker network, with addresses that never change."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

import docker
from docker.errors import APIError
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from lab.errors import LabError
from lab.labels import lab_filter, lab_labels
from lab.settings import SUBNET_VARIABLE, LabSettings

_ROUTES = Path("/proc/net/route")


def ensure_network(client: docker.DockerClient, settings: LabSettings) -> Network:
    """The lab's network; made when it is not there.

    Raises:
        LabError: its subnet is in use by something else, or the network that is there has another subnet.
    """
    for network in client.networks.list(names=[settings.name]):
        if network.name != settings.name:
            continue
        subnets = _subnets(network)
        if subnets == [settings.subnet]:
            return network
        has = ", ".join(map(str, subnets)) or "no subnet"
        raise LabError(
            f"the Docker network {settings.name} exists with {has}, wanted is {settings.subnet}; set"
            f" {SUBNET_VARIABLE} to what it has, or remove the lab (python -m lab down) and run again"
        )
    networks = client.networks.list()
    users = [
        f"Docker network {network.name} ({subnet})"
        for network in networks
        for subnet in _subnets(network)
        if subnet.overlaps(settings.subnet)
    ]
    routes = list(host_routes(_ROUTES.read_text())) if _ROUTES.exists() else []
    if not users:
        users = [f"route to {route} by {device}" for route, device in routes if route.overlaps(settings.subnet)]
    if users:
        taken = [route for route, _ in routes] + [subnet for network in networks for subnet in _subnets(network)]
        raise LabError(_in_use(settings.subnet, users=users, taken=taken))
    try:
        return client.networks.create(
            settings.name,
            driver="bridge",
            ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(settings.subnet), gateway=settings.gateway)]),
            labels=lab_labels(settings),
            check_duplicate=True,
        )
    except APIError as error:
        if "overlap" in str(error.explanation):
            raise LabError(_in_use(settings.subnet, users=[str(error.explanation)], taken=[])) from error
        raise


def remove_network(client: docker.DockerClient, settings: LabSettings) -> None:
    """Remove the lab's network, when it is there; its containers must be gone."""
    for network in client.networks.list(filters=lab_filter(settings)):
        network.remove()


def host_routes(table: str) -> Iterable[tuple[ipaddress.IPv4Network, str]]:
    """The networks that the kernel's table /proc/net/route reaches, each with its device; no default routes."""
    for line in table.splitlines()[1:]:
        device, destination, *_, mask = line.split()[:8]
        network = ipaddress.IPv4Network((_address(destination), _address(mask)))
        if network.prefixlen > 0:
            yield network, device


def _address(little_endian_hex: str) -> str:
    return socket.inet_ntoa(struct.pack("<L", int(little_endian_hex, 16)))


def _subnets(network: Network) -> list[ipaddress.IPv4Network]:
    pools = (network.attrs.get("IPAM") or {}).get("Config") or []
    return [ipaddress.IPv4Network(pool["Subnet"]) for pool in pools if ":" not in pool.get("Subnet", ":")]


def _in_use(subnet: ipaddress.IPv4Network, *, users: list[str], taken: Iterable[ipaddress.IPv4Network]) -> str:
    reserved = list(taken)
    free = next(
        (
            candidate
            for second in range(28, 16, -1)
            for candidate in ipaddress.IPv4Network(f"172.{second}.0.0/16").subnets(new_prefix=24)
            if not any(candidate.overlaps(other) for other in reserved)
        ),
        "a free private /24",
    )
    return f"the lab's subnet {subnet} is in use: {'; '.join(users)}. Run again with {SUBNET_VARIABLE}={free}"
