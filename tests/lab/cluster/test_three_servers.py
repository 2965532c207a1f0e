"""The lab's three nodes as servers that share an etcd."""

from __future__ import annotations

import subprocess
import threading

import pytest

from lab.artifacts.k3s import K3S_RELINK_VERSION, K3S_VERSION
from tests.lab.cluster.conftest import ClusterLab, FleetData, kubectl, nodes_of, told
from tests.lab.main_job.conftest import on_node

FIRST, SECOND, THIRD = "server-1", "gpu-1", "gpu-2"


@pytest.fixture(scope="module", autouse=True)
def _deployed(lab: ClusterLab) -> None:
    first = lab.deploy(all_servers)
    assert first.code == 0, first.output


def all_servers(data: FleetData) -> None:
    """Every node a server."""
    for node in data["nodes"]:
        node["role"] = "server"


def test_all_three_are_members_of_one_etcd() -> None:
    for server in (FIRST, SECOND, THIRD):
        assert nodes_of(server) == dict.fromkeys((FIRST, SECOND, THIRD), K3S_VERSION)
    nodes = kubectl(SECOND, "get", "nodes")["items"]
    assert all("node-role.kubernetes.io/etcd" in node["metadata"]["labels"] for node in nodes)


def test_with_one_server_stopped_the_cluster_still_answers_and_writes() -> None:
    on_node(FIRST, "systemctl", "stop", "k3s")
    try:
        made = on_node(SECOND, "k3s", "kubectl", "create", "configmap", "written", "-n", "default")
        assert "created" in made
        assert kubectl(THIRD, "get", "configmap", "written", "-n", "default")["metadata"]["name"] == "written"
    finally:
        on_node(FIRST, "systemctl", "start", "k3s")


def test_a_new_machine_takes_a_lost_servers_place_under_its_name(lab: ClusterLab) -> None:
    lost = f"{lab.settings.name}-{THIRD}"
    subprocess.run(["docker", "rm", "--force", "--volumes", lost], check=True, capture_output=True, timeout=60)
    lab.power_on()  # Another machine: empty disks, another host key, which the lab writes into its fleet file.
    replaced = lab.deploy(all_servers)
    assert replaced.code == 0, replaced.output
    assert f"{THIRD} removal: NOT REMOVED" in told(replaced), "the lost machine is written down"
    for server in (FIRST, SECOND, THIRD):
        assert nodes_of(server) == dict.fromkeys((FIRST, SECOND, THIRD), K3S_VERSION)
    nodes = kubectl(FIRST, "get", "nodes")["items"]
    assert all("node-role.kubernetes.io/etcd" in node["metadata"]["labels"] for node in nodes)


def test_an_upgrade_stops_one_server_at_a_time(lab: ClusterLab) -> None:
    def newer(data: FleetData) -> None:
        all_servers(data)
        data["k3s"]["version"] = K3S_RELINK_VERSION

    most_down, done = 0, threading.Event()

    def watch() -> None:
        nonlocal most_down
        while not done.wait(0.3):
            states = [
                on_node(server, "systemctl", "is-active", "k3s", check=False).strip()
                for server in (FIRST, SECOND, THIRD)
            ]
            most_down = max(most_down, sum(state != "active" for state in states))

    watcher = threading.Thread(target=watch)
    watcher.start()
    upgraded = lab.deploy(newer)
    done.set()
    watcher.join()
    assert upgraded.code == 0, upgraded.output
    assert most_down == 1
    for server in (FIRST, SECOND, THIRD):
        assert nodes_of(server) == dict.fromkeys((FIRST, SECOND, THIRD), K3S_RELINK_VERSION)
