"""The shell that runs on nodes: clean by shellcheck, and what all steps share behaves as its comments say."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from constructs_lib.node_script import node_script, receive_step, run_as_root, terraform_literal

PACKAGE = Path(__file__).parents[2] / "constructs_lib"
PRELUDE = "node_script.sh"
STEPS = sorted(
    path.name
    for path in PACKAGE.glob("*.sh")
    if path.name not in (PRELUDE, "gpu_check.sh") and not path.name.startswith("shared_")
)


def run(body: str, *, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `body` after the shared beginning, as a step in `folder`."""
    script = folder / "step.sh"
    script.write_text(f"STEP=test\nNODE=node-1\n{(PACKAGE / PRELUDE).read_text()}{body}")
    return subprocess.run(["sh", str(script)], cwd=folder, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("script", STEPS)
def test_a_step_as_it_is_uploaded_is_clean(script: str) -> None:
    assert shutil.which("shellcheck"), "shellcheck is missing: run make setup"
    text = node_script(script, step="this-step", node="node-1", parameters={})
    # SC2034, SC2317: the beginning is shared, no step uses all of it.
    checked = subprocess.run(
        ["shellcheck", "--shell=sh", "--exclude=SC2034,SC2317", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("script", STEPS)
def test_a_step_says_first_what_it_guarantees(script: str) -> None:
    assert (PACKAGE / script).read_text().startswith("# Exits 0 when ")


def test_the_check_in_the_pod_is_clean() -> None:
    text = "#!/bin/sh\nEXPECTED_GPUS=1\n" + (PACKAGE / "gpu_check.sh").read_text()
    checked = subprocess.run(["shellcheck", "--shell=sh", "-"], input=text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_a_middle_line_that_fails_ends_the_step(tmp_path: Path) -> None:
    ended = run("false\necho reached\n", folder=tmp_path)
    assert ended.returncode != 0
    assert "reached" not in ended.stdout


def test_a_missing_parameter_ends_the_step(tmp_path: Path) -> None:
    ended = run((PACKAGE / "nvidia_driver.sh").read_text(), folder=tmp_path)
    assert ended.returncode != 0
    assert "GPUS" in ended.stderr


def test_secrets_are_gone_however_the_step_ends(tmp_path: Path) -> None:
    for body in ("exit 0\n", "exit 7\n", "fail what cause fix\n"):
        (tmp_path / "step.secrets").mkdir()
        (tmp_path / "step.secrets" / "token").write_text("canary")
        run(body, folder=tmp_path)
        assert not (tmp_path / "step.secrets").exists(), body


def test_a_failure_names_node_step_cause_and_fix(tmp_path: Path) -> None:
    ended = run("fail 'no disk' 'full' 'free space'\n", folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == "ERROR node=node-1 step=test: no disk\n  cause: full\n  fix: free space\n"


def test_put_writes_once_with_its_mode_and_tells_whether_it_changed_anything(tmp_path: Path) -> None:
    body = f"put 0600 {tmp_path}/new/file <<TEXT\na\nTEXT\necho changed=$CHANGED\n"
    assert "changed=1" in run(body, folder=tmp_path).stdout
    assert (tmp_path / "new" / "file").stat().st_mode & 0o777 == 0o600
    assert "changed=0" in run(body, folder=tmp_path).stdout
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def test_fetch_takes_only_the_wanted_bytes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("content")
    sha256 = hashlib.sha256(b"content").hexdigest()
    body = f"fetch file://{source} {{sha256}} {tmp_path}/got\necho changed=$CHANGED\n"
    refused = run(body.format(sha256="0" * 64), folder=tmp_path)
    assert refused.returncode == 1
    assert f"wrong sha256: expected {'0' * 64}, seen {sha256}" in refused.stderr
    assert not (tmp_path / "got").exists()
    assert "changed=1" in run(body.format(sha256=sha256), folder=tmp_path).stdout
    source.unlink()
    assert "changed=0" in run(body.format(sha256=sha256), folder=tmp_path).stdout, "what is there is not fetched again"


def test_a_failed_download_says_which_address(tmp_path: Path) -> None:
    ended = run(f"fetch file://{tmp_path}/nothing {'0' * 64} {tmp_path}/got\n", folder=tmp_path)
    assert ended.returncode == 1
    assert f"download of file://{tmp_path}/nothing failed" in ended.stderr


def test_a_wait_is_bounded_and_keeps_the_last_probe(tmp_path: Path) -> None:
    ended = run("wait_until 1 sh -c 'echo almost; false' || echo \"gave up: $LAST_PROBE\"\n", folder=tmp_path)
    assert ended.stdout == "gave up: almost\n"


def test_tokens_are_masked_in_log_lines(tmp_path: Path) -> None:
    token = f"K10{'a' * 64}::server:canary"
    ended = run(f"echo 'x {token} y token=canary z' | masked\n", folder=tmp_path)
    assert ended.stdout == "x K10*** y token=*** z\n"


def test_parameters_are_quoted_and_their_names_checked() -> None:
    value = 'it\'s $(reboot) `x` "y"\n${z}'
    text = node_script("nvidia_driver.sh", step="s", node="n", parameters={"GPUS": value})
    printed = subprocess.run(
        ["sh", "-c", text.split("set -eu")[0] + 'printf %s "$GPUS"'], capture_output=True, text=True, check=True
    )
    assert printed.stdout == value
    with pytest.raises(ValueError, match="parameter 'gpus' is no shell variable name"):
        node_script("nvidia_driver.sh", step="s", node="n", parameters={"gpus": "1"})


def test_terraform_leaves_shell_and_curl_braces_alone() -> None:
    assert terraform_literal("${a:-b} %{http_code} $c") == "$${a:-b} %%{http_code} $c"


def assert_shellcheck_is_content(command: str) -> None:
    checked = subprocess.run(
        ["shellcheck", "--shell=sh", "-"], input=f"#!/bin/sh\n{command}\n", capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_an_earlier_run_of_a_step_is_waited_for_before_anything_is_uploaded(tmp_path: Path) -> None:
    command = receive_step(".edge-gpu/x.sh", step="x", node="n", time_limit_seconds=7, with_secrets=True)
    assert_shellcheck_is_content(command)
    (tmp_path / ".edge-gpu").mkdir()
    earlier = ["flock", ".edge-gpu/x.lock", "sh", "-c", "echo started; read end; touch ended"]
    with subprocess.Popen(earlier, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stdout.readline() == "started\n"
        with subprocess.Popen(["sh", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as received:
            assert received.stdout is not None
            assert (
                received.stdout.readline() == "n x: an earlier run of this step is still at work: waiting up to 27 s\n"
            )
            assert not (tmp_path / ".edge-gpu" / "x.secrets").exists()
            running.stdin.write("\n")
            running.stdin.flush()
            assert received.wait(timeout=20) == 0
            assert (tmp_path / "ended").exists()
            assert (tmp_path / ".edge-gpu" / "x.secrets").stat().st_mode & 0o777 == 0o700


def test_an_earlier_run_that_does_not_end_is_an_error_with_its_fix(tmp_path: Path) -> None:
    command = receive_step(".edge-gpu/x.sh", step="x", node="n", time_limit_seconds=-19)
    (tmp_path / ".edge-gpu").mkdir()
    with subprocess.Popen(
        ["flock", ".edge-gpu/x.lock", "cat"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(b"up\n")
        running.stdin.flush()
        assert running.stdout.readline() == b"up\n"
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ERROR node=n step=x: an earlier run of this step does not end" in done.stderr
    assert "fix: on this machine, sudo lslocks names the process" in done.stderr


def test_the_command_that_runs_a_step_is_clean_and_bounded() -> None:
    command = run_as_root(".edge-gpu/x.sh", step="x", node="n", time_limit_seconds=7)
    assert_shellcheck_is_content(command)
    assert "timeout --kill-after=10 7 flock --no-fork --nonblock --conflict-exit-code 75 .edge-gpu/x.lock sh" in command


@pytest.mark.parametrize("last", ["sleep 60", "trap '' TERM; sleep 60"])
def test_a_step_that_the_time_limit_ends_leaves_no_secret(tmp_path: Path, last: str) -> None:
    folder = tmp_path / ".edge-gpu"
    (folder / "x.secrets").mkdir(parents=True)
    (folder / "x.secrets" / "token").write_text("secret")
    begin = files("constructs_lib").joinpath("node_script.sh").read_text()
    (folder / "x.sh").write_text(f"NODE=n STEP=x\n{begin}\nsay started\n{last}\n")
    (tmp_path / "sudo").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    (tmp_path / "sudo").chmod(0o755)
    command = run_as_root(".edge-gpu/x.sh", step="x", node="n", time_limit_seconds=1)
    done = subprocess.run(
        ["sh", "-c", command.replace("--kill-after=10", "--kill-after=1")],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "n x: started\n"
    assert done.returncode in (124, 137), done.stderr
    assert "ERROR node=n step=x: ended after the time limit of 1 s" in done.stderr
    assert not (folder / "x.secrets").exists()
