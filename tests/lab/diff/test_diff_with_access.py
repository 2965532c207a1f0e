"""Plans where the cluster can be asked: real drift is seen, and what is said of restarts is what then happens."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.checkout import LAB_FLEET, ROOT, STACK_DIRECTORY
from stacks.fleet import Fleet
from tests.lab.diff.conftest import deploy, diff, k3s_started, kubectl, on_node, run
from tests.lab.diff.state_server import StateServer, serving

FleetFile = Callable[..., Path]


def test_a_deployed_fleet_has_no_changes(lab_fleet: Fleet, fleet_file: FleetFile) -> None:
    found = diff(fleet=fleet_file(state=None))
    assert found.code == 0, found.output
    assert found.json["refreshed"] is True
    assert found.json["not_refreshed"] == []
    assert lab_fleet.nodes


def test_a_job_that_somebody_deleted_is_seen(fleet_file: FleetFile) -> None:
    kubectl("delete", "job", "-n", "gpu-check", "gpu-check-gpu-2", "--wait=true")
    try:
        found = diff(fleet=fleet_file(state=None))
        assert found.code == 2, found.output
        assert [step["phase"] for step in found.json["nodes"]["gpu-2"]] == ["GPU check"]
        assert "gpu-1" not in found.json["nodes"]
        (gone,) = found.json["changed_outside"]
        assert gone.startswith("kubernetes_job_v1.gpu-check_gpu-2_job_")
        assert gone.endswith(" is gone")
        assert "Changed outside of Terraform" in found.markdown
        blind = diff("--no-refresh", fleet=fleet_file(state=None))
        assert blind.json["not_refreshed"]
    finally:
        deploy()


def test_a_device_plugin_that_somebody_uninstalled_is_seen(fleet_file: FleetFile) -> None:
    kubectl("delete", "secret", "-n", "nvidia-device-plugin", "-l", "owner=helm")
    kubectl("delete", "daemonset", "-n", "nvidia-device-plugin", "--all", "--wait=true")
    try:
        found = diff(fleet=fleet_file(state=None))
        # Its GPUs may be gone from the node already, which fails the plan with the node's name.
        if found.code == 1:
            assert "nvidia.com/gpu allocatable, seen 0" in " ".join(found.output.split())
        else:
            assert found.code == 2, found.output
            assert any("helm_release" in one["address"] for one in found.json["objects"])
            assert any("helm_release" in one for one in found.json["changed_outside"])
    finally:
        deploy_until_the_plugin_is_back()


def deploy_until_the_plugin_is_back() -> None:
    """The first deploy brings the release back, looks at the nodes at once and fails; its message names them."""
    try:
        deploy()
    except AssertionError as failed:
        if "nvidia.com/gpu allocatable, seen 0" not in " ".join(str(failed).split()):
            raise
        on_node(
            "server-1", "k3s", "kubectl", "wait", "node/gpu-1", "node/gpu-2", "--timeout=120s",
            "--for=jsonpath={.status.allocatable.nvidia\\.com/gpu}",
        )  # fmt: skip
        deploy()


def test_k3s_restarts_where_the_diff_said_so_and_nowhere_else(
    lab_fleet: Fleet, fleet_file: FleetFile, tmp_path: Path
) -> None:
    """A label for one node restarts K3s there; a time limit runs every node's step and restarts nothing."""
    text = LAB_FLEET.read_text()
    last = text[text.index("- name: gpu-2") : text.index("k3s:\n")]
    changed = fleet_file(
        (last, f"{last.rstrip()}\n  labels:\n    example.com/rack: r1\n"),
        ("k3s:\n", "k3s:\n  start_timeout_seconds: 179\n"),
        state=None,
    )
    found = diff(fleet=changed)
    assert found.code == 2, found.output
    said = {one["node"]: one["restart"] for one in found.json["k3s_restarts"]}
    assert said == {"gpu-2": "yes"}
    runs = {node: [step["step"] for step in steps if step["runs"]] for node, steps in found.json["nodes"].items()}
    assert all("k3s" in runs[node.name] for node in lab_fleet.nodes)
    before = {node.name: k3s_started(node.name) for node in lab_fleet.nodes}
    try:
        # By the same file, so that the plan is the one that was shown.
        deploy(changed)
        after = {node.name: k3s_started(node.name) for node in lab_fleet.nodes}
        assert {name for name in before if before[name] != after[name]} == {"gpu-2"}
    finally:
        deploy()
    assert tmp_path.exists()


def test_a_locked_state_is_said_with_the_locks_id(fleet_file: FleetFile, last_state: Path) -> None:
    lock = {
        "ID": "2f3a-lock", "Operation": "OperationTypeApply", "Who": "ada@laptop", "Version": "1.11.4",
        "Created": "2026-11-24T09:00:00Z", "Info": "", "Path": "",
    }  # fmt: skip
    with serving(StateServer(state=last_state.read_bytes(), lock=lock)) as server:
        fleet = fleet_file(state=server.address)
        found = diff(fleet=fleet)
        assert found.code == 1, found.output
        assert "error: the state is locked: a deploy or another diff is going on" in found.output, found.output
        assert "2f3a-lock" in found.json["error"]
        assert "--no-refresh" in found.json["error"]
        assert server.lock == lock
        assert "POST" not in server.asked
        # What the message offers works.
        unlocked = diff("--no-refresh", fleet=fleet)
        assert unlocked.code == 0, unlocked.output
        assert server.lock == lock


@pytest.mark.parametrize("arguments", [(), ("--no-refresh",)], ids=["with access", "without"])
def test_a_backend_that_does_not_answer_is_said(fleet_file: FleetFile, arguments: tuple[str, ...]) -> None:
    found = diff(*arguments, fleet=fleet_file(state="http://127.0.0.1:1/state"))
    assert found.code == 1, found.output
    assert "error: the state cannot be read from the fleet file's backend; nothing was planned" in found.output
    assert "127.0.0.1:1" in found.json["error"]


@pytest.mark.parametrize("arguments", [(), ("--no-refresh",)], ids=["with access", "without"])
def test_a_wrong_stack_names_the_nearest_one(fleet_file: FleetFile, arguments: tuple[str, ...]) -> None:
    found = diff(*arguments, "--stack", "edge-gpus", fleet=fleet_file(state=None))
    assert found.code == 1, found.output
    assert "there is no stack 'edge-gpus' here; there are edge-gpu" in found.json["error"]
    assert "did you mean edge-gpu?" in found.json["error"]


def test_a_cluster_that_does_not_answer_is_said_with_the_way_around(
    fleet_file: FleetFile, last_state: Path, site: Path, lab_fleet: Fleet
) -> None:
    fleet = fleet_file()
    address = lab_fleet.device_plugin.chart_repository.split("/")[2]
    alone = (
        "unshare", "-n", "python", "-m", "tests.lab.diff.offline", "--site", str(site), "--site-address", address,
        "--state", str(last_state), "--",
    )  # fmt: skip
    found = diff(fleet=fleet, before=alone)
    assert found.code == 1, found.output
    assert "error: the cluster cannot be asked from here" in found.output
    assert "edge-gpu diff --no-refresh" in found.json["error"]


def test_a_chart_repository_that_does_not_answer_is_said(
    fleet_file: FleetFile, lab_fleet: Fleet, last_state: Path
) -> None:
    del last_state
    charts = lab_fleet.device_plugin.chart_repository
    found = diff("--no-refresh", fleet=fleet_file((charts, "http://127.0.0.1:1/charts"), state=None))
    assert found.code == 1, found.output
    assert "error: the chart repository does not answer" in found.output


def test_a_diff_changes_nothing(fleet_file: FleetFile, edge_folder: Path) -> None:
    state = (edge_folder / "terraform.tfstate").read_bytes()
    other = fleet_file((f"name: {edge_folder.name}\n", "name: never-deployed\n"), state=None)
    found = diff(fleet=other)
    assert found.code == 2, found.output
    # A diff of a fleet that nobody deployed makes no secrets for it.
    assert not (ROOT / ".edge" / "never-deployed").exists()
    assert (edge_folder / "terraform.tfstate").read_bytes() == state


def test_make_diff_is_the_same_command(lab_fleet: Fleet) -> None:
    del lab_fleet
    shown = run(["make", "-s", "-n", "diff"])
    assert "python -m scripts.edge_gpu diff" in shown.stdout
    done = run(["make", "-s", "diff"])
    assert done.returncode == 0, done.stdout
    assert "No changes." in done.stdout


def test_no_secret_of_the_fleet_is_in_what_a_diff_writes(fleet_file: FleetFile, edge_folder: Path) -> None:
    fleet = fleet_file(("gpus: 1", "gpus: 2"), state=None)
    found = diff(fleet=fleet)
    written = found.output + found.markdown + str(found.json)
    saved = subprocess.run(
        ["unzip", "-p", STACK_DIRECTORY / "plan"], capture_output=True, timeout=60, check=False
    ).stdout.decode(errors="replace")
    for path in edge_folder.rglob("*"):
        if path.name in ("token", "agent-token"):
            canary = path.read_text().strip().rsplit(":", 1)[-1]
        elif path.suffix == ".key":
            canary = max((line for line in path.read_text().splitlines() if "-" not in line), key=len)
        else:
            continue
        assert canary not in written, path
        assert canary not in saved, path
