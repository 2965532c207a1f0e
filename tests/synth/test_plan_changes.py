"""What a plan says of a fleet, from plans that the real Terraform made of real steps.

The steps' provisioners are taken out, so that an apply makes a state and reaches no machine: neither a state nor a plan
has anything of them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.k3s_cluster import K3sCluster
from constructs_lib.k3s_release import ImageArchive, K3sRelease
from constructs_lib.machine import Machine
from constructs_lib.testing import new_stack, synth
from scripts.plan_changes import Changes, read_changes
from scripts.plan_file import read_plan
from scripts.plan_markdown import as_markdown
from scripts.plan_text import as_text
from scripts.plan_verdict import Verdict, refusals
from tests.synth.conftest import RELEASE, TOOLKIT, host, machine

MACHINES = [
    machine("server-1", role="server", host=host("192.0.2.1")),
    machine("gpu-1", host=host("192.0.2.2"), gpus=2),
    machine("worker-1", host=host("192.0.2.3")),
]
ROLES = {one.name: one.role for one in MACHINES}

Configuration = dict[str, Any]
Plan = Callable[..., Changes]


def configuration(
    machines: list[Machine], *, identity: ClusterIdentity, release: K3sRelease = RELEASE, timeout: int = 180
) -> Configuration:
    """A cluster's configuration without provisioners."""
    stack = new_stack("edge-gpu")
    K3sCluster(
        stack,
        "cluster",
        machines=machines,
        release=release,
        toolkit=TOOLKIT,
        identity=identity,
        start_timeout_seconds=timeout,
    )
    made = synth(stack)
    for block in made["resource"]["terraform_data"].values():
        block.pop("provisioner", None)
        block.pop("connection", None)
    return made


def steps(made: Configuration, ending: str) -> list[dict[str, Any]]:
    return [block for name, block in made["resource"]["terraform_data"].items() if ending in name]


@pytest.fixture
def terraform(tmp_path: Path) -> Callable[..., str]:
    """Runs Terraform in an empty folder; what it printed."""
    folder = tmp_path / "stack"
    folder.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}

    def run(*arguments: str, write: Configuration | None = None, check: bool = True) -> str:
        if write is not None:
            (folder / "cdk.tf.json").write_text(json.dumps(write))
        done = subprocess.run(
            ["terraform", *arguments, "-no-color"],
            cwd=folder,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.fixture
def changes_between(terraform: Callable[..., str], tmp_path: Path) -> Plan:
    """Applies one configuration and plans the other; what read_changes() makes of it."""

    def plan(old: Configuration, new: Configuration, *arguments: str, taint: str | None = None) -> Changes:
        terraform("init", write=old)
        terraform("apply", "-auto-approve")
        if taint is not None:
            terraform("taint", taint)
        terraform("plan", "-out=plan", *arguments, write=new)
        saved = read_plan(tmp_path / "stack" / "plan", env=os.environ)
        return read_changes(saved.data, nodes=ROLES, refreshed=True)

    return plan


def restarts(changes: Changes) -> dict[str, str]:
    return {one.step.node: one.restart for one in changes.restarts}


def runs(changes: Changes) -> set[tuple[str, str]]:
    return {(one.step.node, one.step.step) for one in changes.steps if one.runs}


def test_the_same_configuration_is_no_change(changes_between: Plan, identity: ClusterIdentity) -> None:
    same = configuration(MACHINES, identity=identity)
    changes = changes_between(same, same)
    assert not changes.any
    assert Verdict(fleet="f", stack="s", changes=changes).exit_code == 0


def test_image_archives_and_time_limits_run_k3ss_step_and_restart_nothing(
    changes_between: Plan, identity: ClusterIdentity
) -> None:
    archive = ImageArchive(url="http://192.0.2.9/pause.tar", sha256="c" * 64)
    changes = changes_between(
        configuration(MACHINES, identity=identity),
        configuration(MACHINES, identity=identity, release=replace(RELEASE, image_archives=(archive,)), timeout=300),
    )
    assert runs(changes) == {(name, "k3s") for name in ROLES}
    assert restarts(changes) == {}
    assert refusals(changes, allow_destroy=False, allow_server_restart=False) == ()
    assert Verdict(fleet="f", stack="s", changes=changes).exit_code == 2


def test_another_version_restarts_k3s_everywhere(changes_between: Plan, identity: ClusterIdentity) -> None:
    newer = K3sRelease(version="v1.36.3+k3s1", sha256={"amd64": "d" * 64, "arm64": "e" * 64})
    changes = changes_between(
        configuration(MACHINES, identity=identity), configuration(MACHINES, identity=identity, release=newer)
    )
    assert restarts(changes) == dict.fromkeys(ROLES, "yes")
    assert [one.step.node for one in changes.server_restarts] == ["server-1"]
    assert "K3S_VERSION v1.36.2+k3s1 → v1.36.3+k3s1" in changes.restarts[0].why
    (refusal,) = refusals(changes, allow_destroy=False, allow_server_restart=False)
    assert "restarts K3s on 1 server: server-1" in refusal


def test_a_label_restarts_k3s_on_its_node_alone_and_is_told_from_the_rest_of_the_configuration(
    changes_between: Plan, identity: ClusterIdentity
) -> None:
    labelled = [*MACHINES[:2], replace(MACHINES[2], labels={"rack": "r1"})]
    changes = changes_between(configuration(MACHINES, identity=identity), configuration(labelled, identity=identity))
    assert restarts(changes) == {"worker-1": "yes"}
    assert changes.restarts[0].why == ('CONFIG node-label none → ["rack=r1"]',)
    assert changes.server_restarts == []


def test_gpus_where_there_were_none_bring_driver_check_toolkit_and_a_restart(
    changes_between: Plan, identity: ClusterIdentity
) -> None:
    equipped = [*MACHINES[:2], replace(MACHINES[2], gpus=1)]
    changes = changes_between(configuration(MACHINES, identity=identity), configuration(equipped, identity=identity))
    # Preflight looks at more on a machine with GPUs.
    assert runs(changes) == {("worker-1", step) for step in ("preflight", "driver", "toolkit", "k3s")}
    assert restarts(changes) == {"worker-1": "yes"}


def test_another_version_of_the_script_may_restart_k3s(changes_between: Plan, identity: ClusterIdentity) -> None:
    old = configuration(MACHINES, identity=identity)
    for block in steps(old, "_k3s_run"):
        block["input"]["SCRIPT"] = "k3s_node.sh 0000"
        block["triggers_replace"]["script_sha256"] = "0000"
    changes = changes_between(old, configuration(MACHINES, identity=identity))
    assert restarts(changes) == dict.fromkeys(ROLES, "possible")
    assert changes.restarts[0].why == ("k3s_node.sh is another version",)
    (refusal,) = refusals(changes, allow_destroy=True, allow_server_restart=False)
    assert "may restart K3s on 1 server" in refusal


def test_a_state_that_does_not_tell_its_steps_is_read_by_the_names(
    changes_between: Plan, identity: ClusterIdentity
) -> None:
    old = configuration(MACHINES, identity=identity)
    for block in steps(old, "_run_"):
        del block["input"]
        block["triggers_replace"]["script_sha256"] = "0000"
    changes = changes_between(old, configuration(MACHINES[:2], identity=identity))
    assert restarts(changes) == {"server-1": "possible", "gpu-1": "possible"}
    assert {one.node for one in changes.losses} == {"worker-1"}
    assert ("gpu-1", "toolkit") in runs(changes)


def test_a_failed_step_runs_again_because_it_failed(changes_between: Plan, identity: ClusterIdentity) -> None:
    same = configuration(MACHINES, identity=identity)
    (name,) = [one for one in same["resource"]["terraform_data"] if "worker-1_node_k3s" in one]
    changes = changes_between(same, same, taint=f"terraform_data.{name}")
    (change,) = changes.steps
    assert (change.step.node, change.why, change.restart) == ("worker-1", ("its last run failed",), "possible")


def test_another_host_key_takes_k3s_off_and_is_refused(changes_between: Plan, identity: ClusterIdentity) -> None:
    other = replace(MACHINES[0].host, host_key="ecdsa-sha2-nistp256 BBBB")
    changes = changes_between(
        configuration(MACHINES, identity=identity),
        configuration([replace(MACHINES[0], host=other), *MACHINES[1:]], identity=identity),
    )
    assert [loss.what for loss in changes.losses] == [
        "K3s and its data are taken off server-1 (192.0.2.1), then K3s is installed anew"
    ]
    assert len(refusals(changes, allow_destroy=False, allow_server_restart=False)) == 2
    assert refusals(changes, allow_destroy=True, allow_server_restart=True) == ()


def test_k3s_is_taken_off_a_machine_that_leaves_the_file_as_off_all_when_all_is_destroyed(
    changes_between: Plan, identity: ClusterIdentity
) -> None:
    whole = configuration(MACHINES, identity=identity)
    left = changes_between(whole, configuration(MACHINES[:2], identity=identity))
    assert runs(left) == {("worker-1", "uninstall")}
    assert [loss.what for loss in left.losses] == ["K3s and its data are taken off worker-1 (192.0.2.3)"]
    assert left.server_restarts == []
    gone = changes_between(whole, whole, "-destroy")
    assert {(name, "uninstall") for name in ROLES} <= runs(gone)
    assert "K3s and its data are taken off worker-1 (192.0.2.3)" in [loss.what for loss in gone.losses]


def test_a_renamed_construct_that_is_moved_is_told_from_one_that_is_made_anew(
    changes_between: Plan, identity: ClusterIdentity
) -> None:
    old = configuration(MACHINES, identity=identity)
    new = configuration(MACHINES, identity=identity)
    blocks = new["resource"]["terraform_data"]
    (name,) = [one for one in blocks if "worker-1" in one and "preflight" in one]
    blocks["renamed_worker-1_preflight_run_00000000"] = blocks.pop(name)
    for block in blocks.values():
        block["depends_on"] = [one for one in block.get("depends_on", []) if name not in one]
    anew = changes_between(old, new)
    assert anew.counts == {"add": 1, "change": 0, "replace": 0, "destroy": 1}
    moved = {"from": f"terraform_data.{name}", "to": "terraform_data.renamed_worker-1_preflight_run_00000000"}
    kept = changes_between(old, {**new, "moved": [moved]})
    assert kept.counts == {"add": 0, "change": 0, "replace": 0, "destroy": 0}
    assert kept.moved == {moved["from"]: moved["to"]}
    assert Verdict(fleet="f", stack="s", changes=kept).exit_code == 2


def test_a_cleaning_step_that_leaves_the_configuration_is_said_not_to_run(
    changes_between: Plan, identity: ClusterIdentity
) -> None:
    new = configuration(MACHINES, identity=identity)
    old = configuration(MACHINES, identity=identity)
    step = {"triggers_replace": {"address": "192.0.2.3"}, "input": {"STEP": "image-removal-x", "NODE": "worker-1"}}
    old["resource"]["terraform_data"]["images_worker-1_image-removal-x_on-destroy_00000000"] = step
    changes = changes_between(old, new)
    assert [loss.what for loss in changes.losses] == [
        "image-removal-x of worker-1 (192.0.2.3) is forgotten; nothing is cleaned up there"
    ]
    assert runs(changes) == set()


def everything_written(saved: Any, changes: Changes) -> str:
    verdict = Verdict(fleet="f", stack="s", changes=changes)
    return as_text(verdict) + json.dumps(verdict.as_json()) + as_markdown(verdict, plan_text=saved.text)


def test_no_sensitive_value_is_in_anything_that_is_written(terraform: Callable[..., str], tmp_path: Path) -> None:
    def with_secret(secret: str) -> Mapping[str, Any]:
        step = {
            "input": {"STEP": "k3s", "NODE": "gpu-1", "SCRIPT": "x 1", "PASSWORD": "${var.password}"},
            "triggers_replace": {
                "address": "${var.password}",
                "script_sha256": "${sha256(nonsensitive(var.password))}",
            },
        }
        return {
            "variable": {"password": {"default": secret, "sensitive": True}},
            "resource": {
                "terraform_data": {
                    "cluster_gpu-1_node_k3s_run_00000000": step,
                    "other": {"input": "${var.password}", "triggers_replace": {"a": "${var.password}"}},
                }
            },
            "output": {"shown": {"value": "${var.password}", "sensitive": True}},
        }

    terraform("init", write=dict(with_secret("canary-before")))
    terraform("apply", "-auto-approve")
    terraform("plan", "-out=plan", write=dict(with_secret("canary-after")))
    saved = read_plan(tmp_path / "stack" / "plan", env=os.environ)
    # Terraform itself leaves it in both: in its JSON by design, in its text by not marking an output.
    assert "canary-after" in terraform("show", "-json", "plan")
    assert "canary-before" in terraform("show", "plan")
    changes = read_changes(saved.data, nodes=ROLES, refreshed=True)
    written = everything_written(saved, changes)
    assert "gpu-1" in written
    assert "canary" not in written


def test_a_reboot_that_may_follow_a_driver_may_restart_k3s_but_not_on_a_new_machine(
    changes_between: Plan, identity: ClusterIdentity
) -> None:
    old = configuration(MACHINES, identity=identity)
    new = configuration(MACHINES, identity=identity)
    step = {"triggers_replace": {"address": "192.0.2.2"}, "input": {"STEP": "reboot", "NODE": "gpu-1", "SCRIPT": "x 1"}}
    new["resource"]["terraform_data"]["cluster_gpu-1_reboot_reboot_run_00000000"] = step
    assert restarts(changes_between(old, new)) == {"gpu-1": "possible"}
    assert restarts(changes_between({"output": {"nothing": {"value": ""}}}, new)) == {}
