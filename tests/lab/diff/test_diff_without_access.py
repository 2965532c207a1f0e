"""Plans on a machine that has neither secrets nor a way to the nodes, against the state of a deployed lab."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.checkout import LAB_FLEET, ROOT, STACK, STACK_DIRECTORY
from scripts.plan_make import plan_in
from stacks.fleet import Fleet
from stacks.plan_only import GUARD, REFUSAL, VARIABLE
from tests.lab.diff.conftest import Diff, k3s_started, run
from tests.lab.diff.state_server import StateServer, serving

Offline = Callable[..., Diff]
FleetFile = Callable[..., Path]


def test_the_last_deploys_state_shows_no_changes(offline: Offline, fleet_file: FleetFile) -> None:
    found = offline(fleet=fleet_file())
    assert found.code == 0, found.output
    assert found.json["result"] == "no-changes"
    assert found.json["refreshed"] is False
    assert "not refreshed: machines and cluster" in found.output
    assert "Not refreshed" in found.markdown
    # The state is read; no lock is taken, which a runner with a read-only credential could not.
    assert "the backend was asked: GET" in found.output
    assert not {"POST", "LOCK", "DELETE"} & set(found.output.split("the backend was asked: ")[1].split())


def test_an_empty_state_shows_every_node_as_new_and_says_so(
    offline: Offline, fleet_file: FleetFile, lab_fleet: Fleet
) -> None:
    found = offline(fleet=fleet_file(), state=None)
    assert found.code == 2, found.output
    assert "no state: the http backend has none yet, so everything is planned as new" in found.output
    assert set(found.json["nodes"]) == {node.name for node in lab_fleet.nodes}
    assert {step["action"] for steps in found.json["nodes"].values() for step in steps} == {"add"}
    assert found.json["k3s_restarts"] == []
    assert found.json["counts"]["destroy"] == 0
    assert f"Plan: {found.json['counts']['add']} to add" in found.output
    assert "plan-only" not in found.output + found.markdown + json.dumps(found.json)


def test_a_local_state_that_is_elsewhere_is_said(offline: Offline, fleet_file: FleetFile) -> None:
    found = offline(fleet=fleet_file(state=None))
    assert found.code == 2, found.output
    assert "no state: there is none on this machine" in found.output


def test_another_home_folder_is_no_change(
    offline: Offline, fleet_file: FleetFile, lab_fleet: Fleet, last_state: Path, tmp_path: Path
) -> None:
    key = str(lab_fleet.ssh.private_key_path)
    state = tmp_path / "operators.tfstate"
    state.write_text(last_state.read_text().replace(key, "/home/ada/.ssh/id_edge"))
    found = offline(fleet=fleet_file((key, "~/.ssh/id_edge")), state=state)
    assert found.code == 0, found.output
    assert "SSH key path" in found.json["not_refreshed"]


def test_another_k3s_version_restarts_every_node_and_needs_a_label(
    offline: Offline, fleet_file: FleetFile, lab_fleet: Fleet
) -> None:
    fleet = fleet_file((f"version: {lab_fleet.k3s.version}", "version: v1.35.1+k3s1"))
    found = offline(fleet=fleet)
    assert found.code == 1, found.output
    assert found.json["result"] == "refused"
    assert "refused: it restarts K3s on 1 server: server-1" in found.output
    assert {(one["node"], one["restart"]) for one in found.json["k3s_restarts"]} == {
        (node.name, "yes") for node in lab_fleet.nodes
    }
    assert f"K3S_VERSION {lab_fleet.k3s.version} → v1.35.1+k3s1" in found.output
    assert found.json["destroys"] == []


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [(("--allow-server-restart",), ""), ((), "size/S,allow-server-restart")],
    ids=["by a flag", "by a label"],
)
def test_a_server_restart_can_be_allowed(
    offline: Offline, fleet_file: FleetFile, lab_fleet: Fleet, arguments: tuple[str, ...], labels: str
) -> None:
    fleet = fleet_file((f"version: {lab_fleet.k3s.version}", "version: v1.35.1+k3s1"))
    found = offline(*arguments, fleet=fleet, EDGE_GPU_ALLOWED=labels)
    assert found.code == 2, found.output
    assert "refused:" not in found.output


def test_a_node_that_leaves_is_called_out_and_another_permission_does_not_help(
    offline: Offline, fleet_file: FleetFile, lab_fleet: Fleet
) -> None:
    text = LAB_FLEET.read_text()
    last = text[text.index("- name: gpu-2") : text.index("k3s:\n")]
    found = offline("--allow-server-restart", fleet=fleet_file((last, "")))
    assert found.code == 1, found.output
    address = lab_fleet.nodes[-1].address
    assert [one["what"] for one in found.json["destroys"] if one["node"] == "gpu-2"] == [
        f"K3s and its data are taken off gpu-2 ({address})"
    ]
    assert "[!CAUTION]" in found.markdown
    allowed = offline("--allow-destroy", fleet=fleet_file((last, "")))
    assert allowed.code == 2, allowed.output


def test_a_machine_that_is_replaced_is_uninstalled_first(
    offline: Offline, fleet_file: FleetFile, lab_fleet: Fleet
) -> None:
    old = lab_fleet.nodes[-1].address
    found = offline(fleet=fleet_file((f"address: {old}", "address: 192.0.2.77")))
    assert found.code == 1, found.output
    assert [one["what"] for one in found.json["destroys"]] == [
        f"K3s and its data are taken off gpu-2 ({old}), then K3s is installed anew"
    ]
    assert f"address {old} → 192.0.2.77" in found.output


def test_addresses_and_triggers_are_the_same_as_with_the_secrets(lab_fleet: Fleet, tmp_path: Path) -> None:
    """Else a plan without secrets would show changes that no deploy makes."""
    whole = run(["cdktf", "synth", "--no-color"])
    assert whole.returncode == 0, whole.stdout
    real = json.loads((STACK_DIRECTORY / "cdk.tf.json").read_text())
    folder = tmp_path / "plan"
    folder.mkdir(mode=0o700)
    plan_in(folder, STACK, fleet=LAB_FLEET)
    bare = json.loads((folder / "cdktf.out" / "stacks" / STACK / "cdk.tf.json").read_text())
    assert bare["resource"]["terraform_data"].pop("plan-only")
    for kind in ("resource", "data"):
        for blocks in (*real[kind].values(), *bare[kind].values()):
            for block in blocks.values():
                for ignored in ("provisioner", "connection", "depends_on"):
                    block.pop(ignored, None)
        assert bare[kind] == real[kind]
    assert lab_fleet.nodes


def test_what_was_planned_without_secrets_cannot_be_applied(
    fleet_file: FleetFile, lab_fleet: Fleet, last_state: Path, tmp_path: Path
) -> None:
    """Where the nodes can be reached, and with a plan that would take K3s off one of them."""
    before = {node.name: k3s_started(node.name) for node in lab_fleet.nodes}
    other_key = lab_fleet.nodes[0].host_key
    assert other_key is not None
    old_key = lab_fleet.nodes[-1].host_key
    assert old_key is not None
    folder = tmp_path / "plan"
    folder.mkdir(mode=0o700)
    with serving(StateServer(state=last_state.read_bytes())) as server:
        fleet = fleet_file((old_key, other_key), state=server.address)
        plan_in(folder, STACK, fleet=fleet)
        stack = folder / "cdktf.out" / "stacks" / STACK
        data = {"TF_DATA_DIR": str(ROOT / "build" / "plan" / fleet.stem / STACK)}
        applied = run(["terraform", "apply", "-input=false", "-no-color", "plan"], cwd=stack, **data)
        assert applied.returncode == 1
        assert REFUSAL in " ".join(applied.stdout.split())
        again = run(["terraform", "apply", "-auto-approve", "-refresh=false", "-no-color"], cwd=stack, **data)
        assert again.returncode == 1
        assert REFUSAL in " ".join(again.stdout.split())
        deployed = run(
            ["cdktf", "deploy", STACK, "--auto-approve", "--no-color", "--output", str(folder / "again")],
            FLEET=str(fleet), TF_DATA_DIR=str(folder / "data"), **{VARIABLE: str(folder)},
        )  # fmt: skip
        assert deployed.returncode == 1
        assert GUARD in deployed.stdout
        assert server.state == last_state.read_bytes()
    assert {node.name: k3s_started(node.name) for node in lab_fleet.nodes} == before


def test_nothing_of_a_plan_stays_behind(offline: Offline, fleet_file: FleetFile) -> None:
    folders = set(Path("/tmp").glob("edge-gpu-plan-*"))
    offline(fleet=fleet_file())
    assert set(Path("/tmp").glob("edge-gpu-plan-*")) == folders


def test_the_workflows_own_command_passes_with_changes_and_fails_without_the_label(
    bare_checkout: Path, fleet_file: FleetFile, lab_fleet: Fleet, last_state: Path
) -> None:
    command = str(bare_checkout / "scripts" / "diff-in-workflow")
    with serving(StateServer(state=last_state.read_bytes())) as server:
        version = (f"version: {lab_fleet.k3s.version}", "version: v1.35.1+k3s1")
        fleet = fleet_file(version, state=server.address)
        secret = "# comment\nTF_HTTP_USERNAME=runner\nTF_HTTP_PASSWORD=canary=="
        refused = run([command], cwd=bare_checkout, FLEET=str(fleet), BACKEND_ENVIRONMENT=secret)
        assert refused.returncode == 1, refused.stdout
        allowed = run(
            [command], cwd=bare_checkout, FLEET=str(fleet), BACKEND_ENVIRONMENT=secret,
            EDGE_GPU_ALLOWED="allow-server-restart",
        )  # fmt: skip
        assert allowed.returncode == 0, allowed.stdout
    written = (bare_checkout / "build" / "diff.md").read_text() + (bare_checkout / "build" / "diff.json").read_text()
    assert "canary" not in written + refused.stdout + allowed.stdout
    assert json.loads((bare_checkout / "build" / "diff.json").read_text())["result"] == "changes"


@pytest.mark.parametrize("line", ["LD_PRELOAD=/tmp/x.so", "TF_HTTP_PASSWORD$(id)=x", "no setting"])
def test_the_workflow_takes_only_a_backends_settings_from_its_secret(bare_checkout: Path, line: str) -> None:
    done = subprocess.run(
        [bare_checkout / "scripts" / "diff-in-workflow"],
        env={"PATH": "/usr/bin:/bin", "BACKEND_ENVIRONMENT": line},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "the secret backend-environment" in done.stderr
