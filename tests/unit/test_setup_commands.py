"""Running cdktf: its output kept and shown, its cause found, its time bounded."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from scripts import edge_gpu
from scripts.cdktf_output import Readable, cause
from scripts.errors import CommandError
from scripts.process import Outcome, run_shown

FAILED_DEPLOY = """\
⠋  Synthesizing
edge-gpu  Initializing the backend...
edge-gpu  - Installed hashicorp/helm v3.1.1 (unauthenticated)
          Warning: Incomplete lock file information for providers
          Terraform has been successfully initialized!
edge-gpu  Terraform used the selected providers to generate the following execution plan.
edge-gpu  + create

            # terraform_data.gpu-1_install (gpu-1/install) will be created
          Plan: 1 to add, 0 to change, 0 to destroy.
          terraform_data.gpu-1_install (gpu-1/install): Creating...
          terraform_data.gpu-1_install (gpu-1/install): Provisioning with 'remote-exec'...
          terraform_data.gpu-1_install (gpu-1/install) (remote-exec): Connecting to remote host via SSH...
          terraform_data.gpu-1_install (gpu-1/install) (remote-exec):   Private key: true
          terraform_data.gpu-1_install (gpu-1/install) (remote-exec): Connected!
          terraform_data.gpu-1_install (gpu-1/install) (remote-exec): gpu-1: expected 2 GPUs, seen 1
          terraform_data.gpu-2_install (gpu-2/install) (remote-exec): gpu-2: all is well
          terraform_data.gpu-2_install (gpu-2/install): Creation complete after 2s [id=36407d4b-929a]
edge-gpu  Warning: something old

          It is old.
edge-gpu  Error: remote-exec provisioner error

            with terraform_data.gpu-1_install (gpu-1/install),
            on cdk.tf.json line 24, in resource.terraform_data.gpu-1_install (gpu-1/install).provisioner[0]:
            24:             }

          error executing "/tmp/terraform_1.sh": Process exited with status 1


0 Stacks deploying     1 Stack done     0 Stacks waiting
\x1b[91mInvoking Terraform CLI failed with exit code 1\x1b[39m
"""


def run(code: str, *, tmp_path: Path, timeout_seconds: float = 20.0) -> tuple[Outcome, str]:
    """A Python program as run_shown runs it, and what was shown."""
    shown = io.StringIO()
    outcome = run_shown(
        [sys.executable, "-c", code],
        title="program",
        log=tmp_path / "log" / "program.log",
        env=os.environ,
        cwd=tmp_path,
        timeout_seconds=timeout_seconds,
        stream=shown,
    )
    return outcome, shown.getvalue()


def test_output_is_shown_and_kept_with_the_exit_code(tmp_path: Path) -> None:
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    outcome, shown = run(code, tmp_path=tmp_path)
    assert (outcome.exit_code, outcome.lines) == (3, ("out", "err"))
    assert shown == "out\nerr\n"
    assert outcome.log.read_text().splitlines()[1:] == ["out", "err"]


def test_a_command_over_its_time_is_interrupted_and_may_still_finish_its_work(tmp_path: Path) -> None:
    code = "import time\ntry:\n time.sleep(30)\nexcept KeyboardInterrupt:\n print('state written'); raise SystemExit(1)"
    # Long enough for a busy machine to get Python into the `try`.
    outcome, _ = run(code, tmp_path=tmp_path, timeout_seconds=5.0)
    assert (outcome.exit_code, outcome.lines) == (1, ("state written",))
    assert outcome.seconds < 30


def test_a_silent_command_is_said_to_be_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.process.SILENCE_SECONDS", 1.0)
    _, shown = run("import time; time.sleep(3.5)", tmp_path=tmp_path)
    assert shown.startswith("...   program: ")


def test_the_cause_is_each_terraform_error_with_the_last_words_of_its_script() -> None:
    assert cause(FAILED_DEPLOY.splitlines()) == [
        "Error: remote-exec provisioner error",
        "  with terraform_data.gpu-1_install (gpu-1/install),",
        'error executing "/tmp/terraform_1.sh": Process exited with status 1',
        "Invoking Terraform CLI failed with exit code 1",
        "  its script: gpu-1: expected 2 GPUs, seen 1",
    ]


def test_an_error_in_a_box_is_read_like_one_without() -> None:
    boxed = ["edge-gpu  ╷", "          │ Error: no such chart", "          │", "          │   with a.b,", "          ╵"]
    assert cause(boxed) == ["Error: no such chart", "  with a.b,"]


def test_a_deploy_shows_steps_without_frames_and_leaves_the_plan_to_its_log() -> None:
    readable = Readable(with_plan=False)
    shown = [text for text in map(readable, FAILED_DEPLOY.splitlines()[:18]) if text is not None]
    assert shown == [
        "Plan: 1 to add, 0 to change, 0 to destroy.",
        "gpu-1/install: Creating...",
        "gpu-1/install: | gpu-1: expected 2 GPUs, seen 1",
        "gpu-2/install: | gpu-2: all is well",
        "gpu-2/install: Creation complete after 2s",
    ]


def test_outputs_are_left_to_the_report_and_an_error_after_them_is_not_lost() -> None:
    lines = [
        "edge-gpu  Apply complete! Resources: 20 added, 0 changed, 0 destroyed.",
        "          Outputs:",
        '          gpu_report = "{}"',
        "  edge-gpu",
        "  gpu_report = {}",
        "Invoking Terraform CLI failed with exit code 1",
    ]
    shown = [text for text in map(Readable(with_plan=False), lines) if text is not None]
    assert shown == [
        "Apply complete! Resources: 20 added, 0 changed, 0 destroyed.",
        "Invoking Terraform CLI failed with exit code 1",
    ]


def test_what_the_app_says_is_shown_without_cdktfs_log_prefix() -> None:
    line = "[2026-11-24T07:48:48.968] [ERROR] default - WARNING plain http"
    assert Readable(with_plan=False)(line) == "WARNING plain http"


def test_a_diff_shows_the_plan() -> None:
    readable = Readable(with_plan=True)
    shown = [text for text in map(readable, FAILED_DEPLOY.splitlines()) if text is not None]
    assert "  # terraform_data.gpu-1_install (gpu-1/install) will be created" in shown


def test_without_a_terraform_error_the_cause_is_the_last_lines_without_colour() -> None:
    assert cause(["", "\x1b[91mfleets/lab.yaml: name is missing\x1b[39m", " "]) == ["fleets/lab.yaml: name is missing"]


def test_a_failing_command_is_named_with_its_log_and_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "cdktf"
    program.write_text("#!/bin/sh\necho 'no such stack'\nexit 4\n")
    program.chmod(0o755)
    monkeypatch.setattr(edge_gpu, "command_environment", lambda **_: {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    monkeypatch.setattr(edge_gpu, "LOGS", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(
        CommandError, match=r"(?s)cdktf destroy edge-gpu failed .* exit code 4 .*cdktf-destroy\.log.*no such stack"
    ):
        edge_gpu.run_cdktf("destroy", fleet=tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("last", "whole"),
    [
        ("          terraform_data.a (gpu-1/install): Creating...", False),
        ("          Apply complete! Resources: 1 added, 0 changed, 0 destroyed.", True),
        ("edge-gpu  No changes. Your infrastructure matches the configuration.", True),
        ("          Destroy complete! Resources: 1 destroyed.", True),
    ],
)
def test_a_terraform_that_was_killed_is_no_success_although_cdktf_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, last: str, whole: bool
) -> None:
    outcome = Outcome(
        exit_code=0, seconds=1, lines=("No outputs found.", last), seconds_at=(0, 1), log=tmp_path / "log"
    )
    monkeypatch.setattr(edge_gpu, "run_shown", lambda *_, **__: outcome)
    if whole:
        assert edge_gpu.run_cdktf("destroy", fleet=tmp_path / "x.yaml") is outcome
    else:
        with pytest.raises(
            CommandError, match=r"ended from outside before it was done .*Fix: run the same command again"
        ):
            edge_gpu.run_cdktf("destroy", fleet=tmp_path / "x.yaml")


def test_a_fleet_file_that_does_not_exist_is_said_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEET", str(tmp_path / "site.yaml"))
    assert edge_gpu.main(["deploy"]) == 1
    assert "site.yaml does not exist. Fix: start from fleets/example.yaml" in capsys.readouterr().err
