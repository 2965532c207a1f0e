"""The workflow files: what they may do, and that each of their commands is one that this suite runs too."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.checkout import ROOT
from scripts.debian_packages import CHECK_NEEDS, LAB_NEEDS

FOLDER = ROOT / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
NAMES = [path.name for path in FILES]

# Each command of a workflow, and the test file that runs it or, for targets of make, what make does for it.
COMMANDS = {
    "make check": None,
    "make setup": None,
    "make test-cdktn": None,
    "scripts/diff-in-workflow": "tests/lab/diff/test_diff_without_access.py",
    ".venv/bin/python -m scripts.plan_comment build/diff.md": "tests/unit/test_plan_comment.py",
}


def workflow(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    # YAML 1.1 reads the key `on` as true.
    loaded["on"] = loaded.pop(True)
    return loaded


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = workflow(path)["jobs"]
    return found


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path).values() for step in job.get("steps", [])]


def test_there_are_the_three_workflows() -> None:
    assert NAMES == ["check.yml", "diff.yml", "fleet-diff.yml"]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it(path: Path) -> None:
    uses = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert uses
    for action, comment in uses:
        if action.startswith("./"):
            assert (ROOT / action).is_file()
            continue
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+(\.\d+\.\d+)?", comment), action


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_workflow_may_more_than_it_needs(path: Path) -> None:
    assert workflow(path)["permissions"] == {"contents": "read"}
    for job in jobs(path).values():
        extra = {name: level for name, level in job.get("permissions", {}).items() if level != "read"}
        assert extra in ({}, {"pull-requests": "write"})
        assert "timeout-minutes" in job or job["uses"].startswith("./")


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_workflow_runs_a_forks_code_with_a_secret(path: Path) -> None:
    triggers = workflow(path)["on"]
    assert "pull_request_target" not in triggers
    assert "workflow_run" not in triggers
    for job in jobs(path).values():
        if "secrets." in str(job) or "github.token" in str(job):
            assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_no_command_contains_what_a_pull_request_can_choose(path: Path) -> None:
    for step in steps(path):
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_every_command_is_one_that_this_suite_runs(path: Path) -> None:
    for step in steps(path):
        command = step.get("run")
        if command is None or command.startswith("sudo apt-get "):
            continue
        assert command in COMMANDS, f"{path.name}: {command!r} is run nowhere else"
        tested_by = COMMANDS[command]
        if tested_by is None:
            target = command.removeprefix("make ")
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        else:
            program = shlex.split(command)
            name = program[0] if program[0].startswith("scripts/") else program[2].rsplit(".", 1)[1]
            assert Path(name).name in (ROOT / tested_by).read_text()


@pytest.mark.parametrize(
    "target", [command.removeprefix("make ") for command in COMMANDS if command.startswith("make ")]
)
def test_what_make_would_run_for_a_workflow_is_there(target: str) -> None:
    argv = ["make", "--dry-run", "--no-print-directory", target]
    shown = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    modules = re.findall(r" -m (scripts(?:\.\w+)+)", shown)
    assert modules
    for module in modules:
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module
    for path in re.findall(r"\b(?:tests|scripts)/[\w/.-]+", shown):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_called_workflow_gets_what_it_declares_and_no_more(path: Path) -> None:
    for job in jobs(path).values():
        if not job.get("uses", "").startswith("./"):
            continue
        declared = workflow(ROOT / job["uses"])["on"]["workflow_call"]
        for kind, given in (("inputs", job.get("with", {})), ("secrets", job.get("secrets", {}))):
            # `secrets: inherit` would hand over all that there are.
            assert isinstance(given, dict)
            assert set(given) <= set(declared[kind])
            assert {name for name, one in declared[kind].items() if one.get("required")} <= set(given)
        called = workflow(ROOT / job["uses"])
        # A called job may do no more than its caller's.
        for inner in called["jobs"].values():
            assert inner["permissions"].items() <= job["permissions"].items()


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_what_may_write_runs_for_no_fork(path: Path) -> None:
    for job in jobs(path).values():
        if "write" in job.get("permissions", {}).values():
            assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_secret_is_seen_by_one_step_and_by_none_that_installs(path: Path) -> None:
    for job in jobs(path).values():
        assert "secrets." not in str(job.get("env", {}))
    for step in steps(path):
        if "secrets." in str(step):
            assert step["run"] == "scripts/diff-in-workflow"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_terraform_is_one_version_everywhere_and_python_the_oldest_that_the_project_allows(path: Path) -> None:
    for step in steps(path):
        if "setup-terraform@" in step.get("uses", ""):
            others = [one for file in FILES for one in steps(file) if "setup-terraform@" in one.get("uses", "")]
            assert {one["with"]["terraform_version"] for one in others} == {step["with"]["terraform_version"]}
        if "setup-python@" in step.get("uses", ""):
            required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
            assert required.removeprefix(">=") == step["with"]["python-version"]


def test_check_is_what_make_test_runs_without_the_lab_and_checkov() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (needs,) = re.findall(r"^check: ([a-z ]+) ##", makefile, re.MULTILINE)
    assert needs.split() == ["lint", "types", "unit", "checkov"]
    tests = [re.findall(rf"^{name}:.*\n\t@\$\(RUN\) pytest (.*)$", makefile, re.MULTILINE) for name in ("unit", "test")]
    (without,), (whole,) = tests
    assert whole.startswith(f"{without} tests/lab")


def test_check_installs_the_debian_packages_that_set_up_would_ask_a_user_for() -> None:
    (install,) = [
        step["run"] for step in steps(FOLDER / "check.yml") if step.get("run", "").startswith("sudo apt-get install")
    ]
    assert {need.package for need in (*CHECK_NEEDS, *LAB_NEEDS)} <= set(install.split())


def test_newer_pushes_stop_older_runs() -> None:
    for name in ("check.yml", "fleet-diff.yml"):
        assert workflow(FOLDER / name)["concurrency"]["cancel-in-progress"]


def test_what_is_downloaded_again_and_again_is_cached() -> None:
    for name in ("check.yml", "fleet-diff.yml"):
        (cache,) = [step for step in steps(FOLDER / name) if step.get("uses", "").startswith("actions/cache@")]
        paths = cache["with"]["path"].split()
        assert {"~/.cache/pip", "~/.cache/aws/jsii", "~/.npm"} <= set(paths)
    assert "~/.cache/terraform-plugins" in paths
    assert workflow(FOLDER / "fleet-diff.yml")["jobs"]["diff"]["env"]["TF_PLUGIN_CACHE_DIR"].endswith(
        "/.cache/terraform-plugins"
    )
