"""One server and its agents over time, in the order of a cluster's life; each test leaves a whole cluster."""

from __future__ import annotations

import json
import sys

import pytest

from lab.artifacts.k3s import K3S_RELINK_VERSION, K3S_VERSION
from tests.lab.cluster.conftest import EDGE, RECORDS, ClusterLab, FleetData, kubectl, nodes_of, processes, told
from tests.lab.main_job.conftest import on_node, run

SERVER, FIRST_AGENT, LAST_AGENT = "server-1", "gpu-1", "gpu-2"
REGISTRY = "registry.example"
PASSWORD = f"{LAST_AGENT}.node-password.k3s"


@pytest.fixture(scope="module", autouse=True)
def _deployed(lab: ClusterLab) -> None:
    first = lab.deploy()
    assert first.code == 0, first.output


def newer(data: FleetData) -> None:
    """The fleet at the newer version, with a mirror for one registry's images."""
    data["k3s"]["version"] = K3S_RELINK_VERSION
    data["k3s"]["registries"] = [{"name": REGISTRY, "endpoints": [data["k3s"]["artifact_url"]]}]


def without_last_agent(data: FleetData) -> None:
    """The newer fleet, its last node taken out."""
    newer(data)
    data["nodes"] = [node for node in data["nodes"] if node["name"] != LAST_AGENT]


def test_an_upgrade_is_proven_by_the_version_that_every_kubelet_reports(lab: ClusterLab) -> None:
    upgraded = lab.deploy(newer)
    assert upgraded.code == 0, upgraded.output
    assert nodes_of(SERVER) == dict.fromkeys(lab.node_names(), K3S_RELINK_VERSION)
    assert f"gpu-check/{FIRST_AGENT}/job: Creation complete" in upgraded.output, "GPUs are checked anew"


def test_a_registrys_images_are_asked_of_its_mirror_by_every_node(lab: ClusterLab) -> None:
    for node in lab.settings.nodes:
        # There is no such image; what counts is who is asked for it.
        on_node(node.name, "k3s", "crictl", "pull", f"{REGISTRY}/edge/camera:1", check=False)
        assert f"{node.address} /v2/edge/camera/manifests/1?ns={REGISTRY}" in lab.asked


def test_an_older_version_is_refused_and_changes_nothing(lab: ClusterLab) -> None:
    before = processes(*lab.node_names())
    refused = lab.deploy()
    assert refused.code == 1
    assert f"K3s {K3S_RELINK_VERSION} is here, the fleet file has the older {K3S_VERSION}" in told(refused)
    assert processes(*lab.node_names()) == before
    assert nodes_of(SERVER) == dict.fromkeys(lab.node_names(), K3S_RELINK_VERSION)
    healed = lab.deploy(newer)
    assert healed.code == 0, healed.output
    assert processes(*lab.node_names()) == before


def test_a_node_with_data_leaves_only_with_a_word_and_touches_no_other(lab: ClusterLab) -> None:
    before = processes(SERVER, FIRST_AGENT)
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "recordings"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "local": {"path": "/recordings"},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {"key": "kubernetes.io/hostname", "operator": "In", "values": [LAST_AGENT]}
                            ]
                        }
                    ]
                }
            },
        },
    }
    on_node(SERVER, "sh", "-c", f"echo '{json.dumps(volume)}' | k3s kubectl apply -f -")
    refused = lab.deploy(without_last_agent)
    assert refused.code == 1
    assert f"ERROR node={LAST_AGENT} step=removal: not removed, it holds data" in told(refused)
    assert "recordings" in told(refused)
    assert LAST_AGENT in nodes_of(SERVER)

    def with_word(data: FleetData) -> None:
        without_last_agent(data)
        data["removal"] = {"may_lose_data": [LAST_AGENT]}

    removed = lab.deploy(with_word)
    assert removed.code == 0, removed.output
    assert nodes_of(SERVER).keys() == {SERVER, FIRST_AGENT}
    secrets = kubectl(SERVER, "get", "secrets", "-n", "kube-system")["items"]
    assert PASSWORD not in [secret["metadata"]["name"] for secret in secrets]
    assert on_node(LAST_AGENT, "ls", "/usr/local/bin") == ""
    assert processes(SERVER, FIRST_AGENT) == before
    on_node(SERVER, "k3s", "kubectl", "delete", "pv", "recordings", "--wait=false")


def test_a_node_that_is_off_leaves_the_fleet_and_is_cleaned_when_it_is_back(lab: ClusterLab) -> None:
    rejoined = lab.deploy(newer)
    assert rejoined.code == 0, rejoined.output
    assert nodes_of(SERVER).keys() == set(lab.node_names())
    lab.power_off(LAST_AGENT)
    removed = lab.deploy(without_last_agent)
    assert removed.code == 0, removed.output
    assert f"{LAST_AGENT} removal: NOT REMOVED" in told(removed)
    assert nodes_of(SERVER).keys() == {SERVER, FIRST_AGENT}
    (record,) = [json.loads(line) for line in RECORDS.read_text().splitlines()]
    assert record["node"] == LAST_AGENT
    lab.power_on()
    again = run([sys.executable, "-m", "scripts.removals", str(lab.file)])
    assert again.code == 0, again.output
    assert on_node(LAST_AGENT, "ls", "/usr/local/bin") == ""
    assert not RECORDS.exists()


def test_destroy_ends_although_the_only_server_is_off(lab: ClusterLab) -> None:
    lab.power_off(SERVER)
    gone = lab.destroy()
    assert gone.code == 0, gone.output
    assert f"NOT REMOVED  {SERVER}" in gone.output
    assert json.loads((EDGE / "terraform.tfstate").read_text())["resources"] == []
    assert on_node(FIRST_AGENT, "ls", "/usr/local/bin") == ""
    lab.power_on()
    again = run([sys.executable, "-m", "scripts.removals", str(lab.file)])
    assert again.code == 0, again.output
