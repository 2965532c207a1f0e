"""What stops a deploy before or while it reaches a node, with a message that names the place and the fix."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from stacks.fleet import Fleet
from tests.lab.main_job.conftest import edge_gpu, on_node

# They run before the main job's tests (by name), on the same nodes, and leave them as bare as they were.
pytestmark = pytest.mark.usefixtures("bare_nodes")

ChangedFleet = Callable[..., Path]


def test_an_invalid_fleet_file_stops_before_anything_is_planned(changed_fleet: ChangedFleet) -> None:
    failed = edge_gpu("deploy", fleet=changed_fleet("lab-invalid", ("role: server", "role: servant")))
    assert failed.code == 1
    assert "servant" in failed.output
    assert "server" in failed.output
    assert "Terraform" not in failed.output


def test_a_missing_fleet_file_is_named(tmp_path: Path) -> None:
    failed = edge_gpu("deploy", fleet=tmp_path / "nothing.yaml")
    assert failed.code == 1
    assert "nothing.yaml" in failed.output


def test_a_wrong_host_key_is_refused_before_anything_is_sent(fleet: Fleet, changed_fleet: ChangedFleet) -> None:
    server, other = fleet.nodes[0], fleet.nodes[1]
    assert server.host_key is not None
    assert other.host_key is not None
    path = changed_fleet("lab-wrong-key", (server.host_key, other.host_key))
    marker = "test -e /home/edge/.edge-gpu && echo sent"
    on_node(server.name, "rm", "-rf", "/home/edge/.edge-gpu")
    try:
        failed = edge_gpu("deploy", fleet=path)
        assert failed.code == 1
        assert server.name in failed.output
        assert "host key" in failed.output or "knownhosts" in failed.output
        assert on_node(server.name, "sh", "-c", marker, check=False) == ""
    finally:
        edge_gpu("destroy", fleet=path)


def test_an_unreachable_node_fails_alone(fleet: Fleet, changed_fleet: ChangedFleet) -> None:
    gone = fleet.nodes[-1]
    path = changed_fleet("lab-unreachable", (f"address: {gone.address}", "address: 172.29.0.99"))
    failed = edge_gpu("deploy", fleet=path)
    try:
        assert failed.code == 1
        assert gone.name in failed.output
        ready = on_node(fleet.nodes[0].name, "k3s", "kubectl", "get", "nodes", "--no-headers")
        assert sorted(line.split()[0] for line in ready.splitlines()) == sorted(n.name for n in fleet.nodes[:-1])
        assert "gpu-check/gpu-1/job: Creation complete" in failed.output, "the GPUs of the others are checked"
        assert f"PROBLEM  {gone.name} failed in phase preflight:" in failed.output
        assert f"fine     {', '.join(node.name for node in fleet.nodes[:-1])}" in failed.output
    finally:
        rest = edge_gpu("destroy", fleet=path)
        assert rest.code == 0, rest.output


def test_a_wrong_checksum_stops_the_node_and_leaves_no_binary(fleet: Fleet, changed_fleet: ChangedFleet) -> None:
    wrong = hashlib.sha256(b"another binary").hexdigest()
    path = changed_fleet("lab-wrong-sha256", (fleet.k3s.sha256["amd64"], wrong))
    try:
        failed = edge_gpu("deploy", fleet=path)
        assert failed.code == 1
        assert f"wrong sha256: expected {wrong}, seen {fleet.k3s.sha256['amd64']}" in failed.output
        assert on_node(fleet.nodes[0].name, "ls", "/usr/local/bin/") == ""
    finally:
        edge_gpu("destroy", fleet=path)
