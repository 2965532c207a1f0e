"""What makes a configuration that was synthesized without secrets harmless."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stacks.plan_only import GUARD, GUARD_NAME, REFUSAL, VARIABLE, PlanOnly, PlanOnlyError, disarm


def configuration() -> dict[str, Any]:
    provisioner = [
        {"local-exec": {"command": "touch ran", "when": "destroy"}},
        {"local-exec": {"command": "touch ran"}},
    ]
    step = {"triggers_replace": {"a": "b"}, "provisioner": provisioner, "connection": {"host": "192.0.2.1"}}
    return {
        "terraform": {"backend": {"http": {"address": "https://state.example.com"}}},
        "resource": {"terraform_data": {"one": step, "two": {**step, "depends_on": ["terraform_data.one"]}}},
        "data": {"kubernetes_resources": {"pods": {"kind": "Pod"}}},
        "removed": [{"from": "terraform_data.gone", "provisioner": provisioner, "lifecycle": {"destroy": True}}],
    }


def test_no_provisioner_stays_and_everything_waits_for_the_guard(tmp_path: Path) -> None:
    made = configuration()
    disarm(made, stack="edge-gpu", state=tmp_path / "copy")
    assert made["terraform"]["backend"] == {"local": {"path": str(tmp_path / "copy")}}
    blocks = made["resource"]["terraform_data"]
    guard = blocks.pop(GUARD_NAME)
    assert "depends_on" not in guard
    for block in (*blocks.values(), made["data"]["kubernetes_resources"]["pods"]):
        assert GUARD in block["depends_on"]
        assert not {"provisioner", "connection"} & set(block)
    assert blocks["two"]["depends_on"][0] == "terraform_data.one"
    assert made["removed"] == [{"from": "terraform_data.gone", "lifecycle": {"destroy": True}}]


def test_terraform_stops_at_the_guard_and_makes_nothing_else(tmp_path: Path) -> None:
    made = configuration()
    del made["data"], made["removed"]
    disarm(made, stack="edge-gpu", state=tmp_path / "copy.tfstate")
    (tmp_path / "cdk.tf.json").write_text(json.dumps(made))
    env = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}

    def terraform(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *arguments, "-no-color"],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert terraform("init").returncode == 0
    applied = terraform("apply", "-auto-approve")
    assert applied.returncode == 1
    assert REFUSAL in " ".join((applied.stdout + applied.stderr).split())
    state = json.loads((tmp_path / "copy.tfstate").read_text())
    # The guard itself is tainted: its creation failed.
    assert [one["name"] for one in state["resources"]] == [GUARD_NAME]
    assert not (tmp_path / "ran").exists()


def test_a_module_is_refused_because_its_provisioners_cannot_be_taken_out(tmp_path: Path) -> None:
    with pytest.raises(PlanOnlyError, match="stack site uses the module vms"):
        disarm({**configuration(), "module": {"vms": {}}}, stack="site", state=tmp_path / "copy")


def test_the_real_backend_is_kept_beside_for_reading(tmp_path: Path) -> None:
    stack = tmp_path / "out" / "stacks" / "edge-gpu"
    stack.mkdir(parents=True)
    (stack / "cdk.tf.json").write_text(json.dumps(configuration()))
    planning = PlanOnly(tmp_path)
    planning.disarm(tmp_path / "out")
    kept = json.loads((planning.backend("edge-gpu") / "backend.tf.json").read_text())
    assert kept == {"terraform": configuration()["terraform"]}
    assert REFUSAL in (stack / "cdk.tf.json").read_text()


def test_a_stack_in_hcl_is_refused(tmp_path: Path) -> None:
    stack = tmp_path / "out" / "stacks" / "edge-gpu"
    stack.mkdir(parents=True)
    (stack / "cdk.tf").write_text("")
    with pytest.raises(PlanOnlyError, match=f"with {VARIABLE} set, synthesize without --hcl"):
        PlanOnly(tmp_path).disarm(tmp_path / "out")


def test_without_the_variable_the_synthesis_is_the_usual_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert PlanOnly.from_environment() is None
