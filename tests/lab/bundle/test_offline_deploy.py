"""A bundle is made from the lab's own mirror; then the mirror is gone, and the same nodes come up from the bundle."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.settings import load_settings
from scripts.bundle_file import read_manifest, verify_bundle
from scripts.checkout import LAB_FLEET, ROOT
from stacks.fleet import Fleet, load_fleet
from tests.lab.main_job.conftest import Run, edge_gpu, gpu_report, main_pid, on_node, run


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """The lab's fleet on bare nodes; afterwards the nodes are bare again, and reach the mirror."""
    up = run([sys.executable, "-m", "lab", "up"])
    assert up.code == 0, up.output
    fleet = load_fleet(LAB_FLEET)
    if (ROOT / ".edge" / fleet.name / "terraform.tfstate").exists():
        gone = edge_gpu("destroy")
        assert gone.code == 0, gone.output
    yield fleet
    for node in fleet.nodes:
        open_mirror(node.name)


@pytest.fixture(scope="module")
def bundle(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fleet's bundle, made while the mirror answers."""
    path = tmp_path_factory.mktemp("bundle") / "site.bundle"
    made = run([sys.executable, "-m", "scripts.bundle", "create", str(LAB_FLEET), "-o", str(path)])
    assert made.code == 0, made.output
    assert read_manifest(path)["k3s"] == fleet.k3s.version
    return path


@pytest.fixture(scope="module")
def offline_fleet(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's fleet file with the bundle."""
    sha256 = bundle.with_name(f"{bundle.name}.sha256").read_text().split()[0]
    path = tmp_path_factory.mktemp("fleet") / "offline.yaml"
    path.write_text(f"{LAB_FLEET.read_text()}bundle:\n  path: {bundle}\n  sha256: {sha256}\n")
    return path


@pytest.fixture(scope="module")
def deployed_offline(fleet: Fleet, offline_fleet: Path) -> Run:
    """A first deploy whose nodes reach neither the mirror nor anything else outside of their network."""
    for node in fleet.nodes:
        close_mirror(node.name)
        reached = on_node(node.name, "curl", "-sS", "--max-time", "3", f"{mirror_url()}/charts/index.yaml", check=False)
        assert reached == "", f"{node.name} reaches the mirror, so this test would prove nothing"
    deployed = edge_gpu("deploy", fleet=offline_fleet)
    assert deployed.code == 0, deployed.output
    return deployed


def mirror_url() -> str:
    return f"http://{load_settings(os.environ).site_address}"


def egress_rules() -> list[list[str]]:
    settings = load_settings(os.environ)
    return [["-d", settings.site_address], ["!", "-d", str(settings.subnet), "-o", "eth0"]]


def close_mirror(node: str) -> None:
    """Nothing leaves the node but to the other nodes and the operator. The default route stays: K3s insists on one."""
    for rule in egress_rules():
        on_node(node, "iptables", "-I", "OUTPUT", *rule, "-j", "REJECT")


def open_mirror(node: str) -> None:
    for rule in egress_rules():
        on_node(node, "iptables", "-D", "OUTPUT", *rule, "-j", "REJECT", check=False)


def what_is_installed(node: str, fleet: Fleet) -> dict[str, str]:
    """What a deploy brought to a node, byte for byte, without what names its source."""
    commands = {
        "images": "k3s crictl images -q | sort",
        "packages": "dpkg-query -W nvidia-container-toolkit nvidia-container-toolkit-base 2>/dev/null || true",
        "files": "sha256sum /usr/local/bin/k3s /etc/rancher/k3s/config.yaml /var/lib/rancher/k3s/agent/images/*.tar",
        "containerd": "cat /var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    }
    found = {name: on_node(node, "sh", "-c", command) for name, command in commands.items()}
    assert fleet.k3s.sha256["amd64"] in found["files"]
    return found


def test_the_bundle_is_whole_and_made_again_it_has_the_same_bytes(bundle: Path) -> None:
    verify_bundle(bundle)
    again = bundle.with_name("again.bundle")
    made = run([sys.executable, "-m", "scripts.bundle", "create", str(LAB_FLEET), "-o", str(again)])
    assert made.code == 0, made.output
    assert again.read_bytes() == bundle.read_bytes()
    again.unlink()


def test_nodes_without_a_way_out_come_up_and_their_gpus_are_proven(
    fleet: Fleet, offline_fleet: Path, deployed_offline: Run
) -> None:
    assert "Nothing is missing: 3 nodes, 3 GPUs." in deployed_offline.output
    report = gpu_report(fleet=offline_fleet)
    assert {name: entry["exit_code"] for name, entry in report.items()} == {n.name: 0 for n in fleet.nodes if n.gpus}


@pytest.mark.usefixtures("deployed_offline")
def test_a_second_offline_deploy_changes_nothing(offline_fleet: Path, fleet: Fleet) -> None:
    before = [main_pid(node.name) for node in fleet.nodes]
    second = edge_gpu("deploy", fleet=offline_fleet)
    assert second.code == 0, second.output
    assert "0 added, 0 changed, 0 destroyed" in second.output
    assert [main_pid(node.name) for node in fleet.nodes] == before


@pytest.mark.usefixtures("deployed_offline")
def test_the_mirror_brings_the_same_and_restarts_nothing(fleet: Fleet) -> None:
    offline = {node.name: what_is_installed(node.name, fleet) for node in fleet.nodes}
    before = [main_pid(node.name) for node in fleet.nodes]
    for node in fleet.nodes:
        open_mirror(node.name)
    online = edge_gpu("deploy")
    assert online.code == 0, online.output
    assert {node.name: what_is_installed(node.name, fleet) for node in fleet.nodes} == offline
    assert [main_pid(node.name) for node in fleet.nodes] == before


@pytest.mark.usefixtures("deployed_offline")
def test_shared_gpus_are_proven_by_pods_that_run_at_once_and_a_pod_gets_one_share(
    fleet: Fleet, offline_fleet: Path
) -> None:
    shared = offline_fleet.with_name("shared.yaml")
    shared.write_text(
        offline_fleet.read_text().replace("device_plugin:\n", "device_plugin:\n  time_slicing: {replicas: 2}\n", 1)
    )
    deployed = edge_gpu("deploy", fleet=shared)
    assert deployed.code == 0, deployed.output
    report = gpu_report(fleet=shared)
    for node in (node for node in fleet.nodes if node.gpus):
        assert list(report[node.name]["pods_by_uuid"].values()) == [2] * node.gpus, report
        assert len(report[node.name]["uuids"]) == node.gpus
    second = edge_gpu("deploy", fleet=shared)
    assert "0 added, 0 changed, 0 destroyed" in second.output, second.output
    assert "UnexpectedAdmissionError" in _ended_for(_ask_for_gpus(2), seconds=60)


def _ask_for_gpus(count: int) -> str:
    """A pod that asks for so many shares; its name."""
    name = f"asks-for-{count}"
    limits = json.dumps({"spec": {"containers": [{"name": name, "image": "edge-gpu-lab/gpu-check-base:bookworm",
        "command": ["/bin/sh", "-c", "true"], "resources": {"limits": {"nvidia.com/gpu": str(count)}}}]}})  # fmt: skip
    kubectl = ["k3s", "kubectl", "run", name, "--restart=Never", "--image=edge-gpu-lab/gpu-check-base:bookworm"]
    on_node("server-1", *kubectl, f"--overrides={limits}")
    return name


def _ended_for(pod: str, *, seconds: int) -> str:
    """Why a pod ended."""
    field = "jsonpath={.status.phase} {.status.reason} {.status.message}"
    for _ in range(seconds):
        said = on_node("server-1", "k3s", "kubectl", "get", "pod", pod, "-o", field)
        if said.split()[:1] in (["Failed"], ["Succeeded"]):
            return said
        time.sleep(1)
    return said


def test_a_bundle_for_other_versions_is_refused_before_anything_is_planned(offline_fleet: Path, fleet: Fleet) -> None:
    other = offline_fleet.with_name("other.yaml")
    text = offline_fleet.read_text()
    other.write_text(text.replace(f"version: {fleet.k3s.version}", "version: v1.34.9+k3s1", 1))
    refused = edge_gpu("diff", fleet=other)
    assert refused.code == 1
    assert f"holds k3s {fleet.k3s.version}, the fleet file wants v1.34.9+k3s1" in refused.output


def test_a_bundle_that_changed_since_the_plan_is_refused_on_the_node_and_leaves_nothing(
    offline_fleet: Path, fleet: Fleet
) -> None:
    wrong = offline_fleet.with_name("wrong.yaml")
    settings = load_fleet(offline_fleet).bundle
    assert settings is not None
    sha256 = settings.sha256
    wrong.write_text(offline_fleet.read_text().replace(sha256, "a" * 63 + "b"))
    refused = edge_gpu("deploy", fleet=wrong)
    assert refused.code == 1
    assert f"the uploaded bundle has the wrong sha256: expected {'a' * 63}b, seen {sha256}" in refused.output
    for node in fleet.nodes:
        files = "/var/lib/edge-gpu/bundle.edge-gpu-new /home/edge/.edge-gpu/bundle.tar"
        assert on_node(node.name, "sh", "-c", f"ls -d {files} 2>/dev/null || true") == ""


def test_destroy_takes_the_bundle_off_the_nodes(offline_fleet: Path, fleet: Fleet) -> None:
    deployed = edge_gpu("deploy", fleet=offline_fleet)
    assert deployed.code == 0, deployed.output
    gone = edge_gpu("destroy", fleet=offline_fleet)
    assert gone.code == 0, gone.output
    for node in fleet.nodes:
        assert on_node(node.name, "sh", "-c", "ls -d /var/lib/edge-gpu 2>/dev/null || true") == ""
