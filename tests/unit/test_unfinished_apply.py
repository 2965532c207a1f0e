"""What a Terraform that was killed left, with a real Terraform: its own part needs no plugin."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from scripts.environment import command_environment
from scripts.terraform import find_terraform
from scripts.unfinished_apply import forget_unfinished_steps, note_unfinished_steps, replacing, unfinished_steps

# As long as Terraform takes to save the state while it applies, and a little more.
SAVED_AFTER_SECONDS = 21
STEPS = f"""
resource "terraform_data" "long" {{
  triggers_replace = {{ script_sha256 = "1" }}
  provisioner "local-exec" {{ command = "touch begun; [ -e again ] || sleep 120; touch finished" }}
}}
resource "terraform_data" "short" {{
  triggers_replace = {{ script_sha256 = "2" }}
  provisioner "local-exec" {{ command = "[ -e again ] || sleep {SAVED_AFTER_SECONDS}" }}
}}
resource "terraform_data" "no_step" {{}}
"""


def terraform(folder: Path, *arguments: str, env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [find_terraform().command, *arguments, "-input=false", "-no-color"],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def env() -> dict[str, str]:
    environment = command_environment(fleet=Path("/nowhere.yaml"))
    return {name: value for name, value in environment.items() if name != "TF_DATA_DIR"}


def test_a_step_that_was_killed_half_way_runs_again(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "main.tf").write_text(STEPS)
    assert terraform(tmp_path, "init", env=env).wait(60) == 0
    killed = terraform(tmp_path, "apply", "-auto-approve", env=env)
    assert killed.stdout is not None
    for line in killed.stdout:
        if "short: Creation complete" in line:
            break
    assert unfinished_steps(tmp_path) == [], "one that runs is not one that was killed"
    time.sleep(1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(30)
    assert not (tmp_path / "finished").exists()

    steps = note_unfinished_steps(tmp_path)
    assert steps == ["terraform_data.long", "terraform_data.short"]
    said = terraform(tmp_path, "plan", env=env).communicate(timeout=60)[0]
    assert "No changes." in said, "Terraform itself knows; then this module is not needed any more"
    assert note_unfinished_steps(tmp_path) == steps, "a plan in between made them forgotten"
    (tmp_path / "again").touch()
    assert terraform(tmp_path, "apply", "-auto-approve", env=replacing(steps, env=env)).wait(60) == 0
    assert (tmp_path / "finished").exists()
    forget_unfinished_steps(tmp_path)
    assert note_unfinished_steps(tmp_path) == []


def test_without_unfinished_steps_the_environment_stays_as_it_is(tmp_path: Path) -> None:
    assert unfinished_steps(tmp_path) == []
    assert replacing([], env={"A": "b"}) == {"A": "b"}
    assert replacing(["x.y"], env={"TF_CLI_ARGS_apply": "-parallelism=20"}) == {
        "TF_CLI_ARGS_apply": "-parallelism=20 -replace=x.y"
    }
