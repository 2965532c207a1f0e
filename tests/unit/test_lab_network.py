"""The lab's network, on an engine that is played by a list of networks."""

from __future__ import annotations

from typing import Any, cast

import docker
import pytest

from lab import network
from lab.errors import LabError
from lab.network import ensure_network, host_routes
from lab.settings import load_settings

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
tun0\t00001DAC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


class FakeNetwork:
    def __init__(self, name: str, subnet: str) -> None:
        self.name = name
        self.attrs = {"IPAM": {"Config": [{"Subnet": subnet}, {"Subnet": "fd00::/64"}]}}


class FakeEngine:
    """Knows networks, and which ones were made."""

    def __init__(self, *networks: FakeNetwork) -> None:
        self.known = list(networks)
        self.made: list[dict[str, Any]] = []
        self.networks = self

    def list(self, names: list[str] | None = None) -> list[FakeNetwork]:
        # The engine's filter finds parts of names, too.
        return [known for known in self.known if names is None or any(name in known.name for name in names)]

    def create(self, name: str, **options: Any) -> FakeNetwork:
        self.made.append({"name": name, **options})
        return FakeNetwork(name, options["ipam"]["Config"][0]["Subnet"])

    def client(self) -> docker.DockerClient:
        return cast(docker.DockerClient, self)


@pytest.fixture(autouse=True)
def no_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "host_routes", lambda _table: [])


def test_the_kernels_route_table_is_read_without_its_default_route() -> None:
    assert [(str(route), device) for route, device in host_routes(ROUTES)] == [
        ("172.17.0.0/16", "eth0"),
        ("172.29.0.0/16", "tun0"),
    ]


def test_a_missing_network_is_made_with_the_labs_subnet_and_gateway() -> None:
    engine = FakeEngine(FakeNetwork("bridge", "172.17.0.0/16"), FakeNetwork("edge-gpu-lab-2", "172.18.0.0/24"))
    ensure_network(engine.client(), load_settings({}))
    (made,) = engine.made
    assert made["name"] == "edge-gpu-lab"
    assert made["ipam"]["Config"] == [
        {"Subnet": "172.29.0.0/24", "Gateway": "172.29.0.1", "IPRange": None, "AuxiliaryAddresses": None}
    ]
    assert made["labels"] == {"edge-gpu-lab.lab": "edge-gpu-lab"}


def test_a_network_that_is_there_is_used_again() -> None:
    engine = FakeEngine(FakeNetwork("edge-gpu-lab", "172.29.0.0/24"))
    assert ensure_network(engine.client(), load_settings({})) is cast(Any, engine.known[0])
    assert engine.made == []


def test_a_lab_with_another_subnet_is_not_touched() -> None:
    engine = FakeEngine(FakeNetwork("edge-gpu-lab", "172.20.0.0/24"))
    with pytest.raises(LabError, match=r"exists with 172\.20\.0\.0/24, wanted is 172\.29\.0\.0/24.*lab down"):
        ensure_network(engine.client(), load_settings({}))


def test_a_subnet_of_another_docker_network_is_refused_with_a_free_one() -> None:
    engine = FakeEngine(FakeNetwork("company", "172.29.0.0/16"), FakeNetwork("other", "172.28.0.0/16"))
    with pytest.raises(
        LabError, match=r"in use: Docker network company \(172\.29\.0\.0/16\).*LAB_SUBNET=172\.27\.0\.0/24"
    ):
        ensure_network(engine.client(), load_settings({}))
    assert engine.made == []


def test_a_subnet_that_the_host_routes_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "host_routes", lambda _table: list(host_routes(ROUTES)))
    with pytest.raises(LabError, match=r"route to 172\.29\.0\.0/16 by tun0"):
        ensure_network(FakeEngine().client(), load_settings({}))
