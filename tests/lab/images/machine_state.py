"""What of the machine, and of the engine that its user has, the tests must leave as it was."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import docker

# Other labs on this machine come and go: the bridges and cables that the shared engine makes, and their networks.
_OF_OTHERS = re.compile(r"\b(veth|br-)[0-9a-f]+|\b172\.(29|30)\.")


def machine_state() -> dict[str, object]:
    """Interfaces with addresses, packet rules, forwarding, and the shared engine with its default network."""
    links = json.loads(_printed("ip", "-json", "address", "show"))
    rules = [line for line in _printed("iptables-save").splitlines() if line.startswith("-")]
    client = docker.DockerClient.from_env()
    try:
        engine = (client.info()["ID"], client.networks.get("bridge").id)
    finally:
        client.close()
    return {
        "links": {
            link["ifname"]: sorted(address["local"] for address in link["addr_info"])
            for link in links
            if not _OF_OTHERS.match(link["ifname"])
        },
        # The shared engine puts its own first again whenever a network of a lab comes or goes.
        "rules": sorted(rule for rule in rules if not _OF_OTHERS.search(rule)),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "engine": engine,
    }


def _printed(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout
