"""The fleets whose snapshots are kept."""

from __future__ import annotations

from typing import Any

_HOST_KEY = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGu8swdvBuavOXr0RYW+yTMQ0h5Be9zhh/"
    "M4m8shG8tIbOPInM/fABZlW8eTpOVIRQNvPDIIA5CRUoswJ8t/8Mk="
)


def _fleet(name: str, *, servers: int, agents: int, gpus_on_servers: int = 0) -> dict[str, Any]:
    nodes = [
        {"name": f"server-{number}", "role": "server", "gpus": gpus_on_servers} for number in range(1, servers + 1)
    ] + [{"name": f"gpu-{number}", "role": "agent", "gpus": 2} for number in range(1, agents + 1)]
    for index, node in enumerate(nodes):
        node |= {"address": f"192.0.2.{index + 10}", "host_key": _HOST_KEY}
    return {
        "name": name,
        "ssh": {"user": "edge", "private_key_path": "/keys/id"},
        "nodes": nodes,
        "k3s": {"version": "v1.36.2+k3s1", "sha256": {"amd64": "0123456789abcdef" * 4}},
    }


FLEETS = {
    "one-node": _fleet("one-node", servers=1, agents=0, gpus_on_servers=1),
    "three-nodes": _fleet("three-nodes", servers=1, agents=2),
    "ha": _fleet("ha", servers=3, agents=2),
    "fifty-nodes": _fleet("fifty-nodes", servers=3, agents=47),
}
"""Fleet files by name of their snapshot."""
