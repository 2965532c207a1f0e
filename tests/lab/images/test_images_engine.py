"""The tests' own engine leaves the machine and the engine that its user has as they were."""

from __future__ import annotations

from pathlib import Path

from tests.lab.images.engine import CABLE, GATEWAY, Engine
from tests.lab.images.machine_state import machine_state


def test_the_engine_has_its_own_network_and_the_machine_keeps_its_interfaces_and_packet_rules(
    machine_before: dict[str, object], engine: Engine
) -> None:
    # What it is when the engine has ended, the fixture `engine` compares.
    during = machine_state()
    links = during["links"]
    assert isinstance(links, dict)
    assert [address for address in links.pop(CABLE) if "." in address] == [GATEWAY]
    assert during == machine_before
    assert engine.client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Subnet"] == "172.30.255.0/24"
    dockerd = int(Path(engine.host.removeprefix("unix://")).with_name("pid").read_text())
    assert Path(f"/proc/{dockerd}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
