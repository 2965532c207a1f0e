"""Reading a saved plan with the real Terraform: which plans are refused, and with what words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from scripts import edge_gpu
from scripts.checkout import ROOT
from scripts.errors import CommandError
from scripts.plan_file import SavedPlan, read_plan
from scripts.terraform import find_terraform
from stacks.plan_only import GUARD_NAME

FLEET = str(ROOT / "fleets" / "example.yaml")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plan of two new resources, one of them a plan-only guard."""
    folder = tmp_path_factory.mktemp("planned")
    names = {name: {"input": "x", "triggers_replace": {"a": "b"}} for name in (GUARD_NAME, "other")}
    (folder / "main.tf.json").write_text(json.dumps({"resource": {"terraform_data": names}}))
    for arguments in (["init"], ["plan", "-out=plan"]):
        subprocess.run(
            ["terraform", *arguments], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, timeout=60
        )
    return folder


@pytest.fixture
def folder(planned: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    return Path(shutil.copytree(planned, tmp_path / "stack"))


def read(path: Path) -> SavedPlan:
    return read_plan(path, env=ENVIRONMENT)


def test_a_saved_plan_and_its_json_say_the_same(folder: Path) -> None:
    saved = read(folder / "plan")
    (folder / "plan.json").write_text(json.dumps(saved.data))
    assert read(folder / "plan.json") == SavedPlan(data=saved.data, text=None)


def test_the_guard_of_a_plan_without_secrets_is_left_out_of_text_and_sum(folder: Path) -> None:
    text = read(folder / "plan").text
    assert text is not None
    assert "terraform_data.other will be created" in text
    assert GUARD_NAME not in text
    assert "Plan: 1 to add, 0 to change, 0 to destroy." in text


def test_a_plan_that_is_not_there_is_said_with_the_command_that_makes_it(folder: Path) -> None:
    with pytest.raises(CommandError, match=r"there is no plan at .*none: No such file.* Fix: edge-gpu diff makes one"):
        read(folder / "none")


def test_a_plan_of_another_terraform_version_names_both(folder: Path) -> None:
    ours = find_terraform().version
    theirs = ours[:-1] + ("0" if ours[-1] != "0" else "9")
    other = folder / "other"
    with zipfile.ZipFile(folder / "plan") as old, zipfile.ZipFile(other, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename == "tfplan":
                assert ours.encode() in content
                content = content.replace(ours.encode(), theirs.encode())
            new.writestr(entry, content)
    with pytest.raises(CommandError, match=rf"made by version {theirs}, here is {ours}.*make the plan anew"):
        read(other)


@pytest.mark.parametrize("content", ["", "no plan at all", "{}", '{"format_version": "1.2"'])
def test_what_is_no_plan_is_refused(folder: Path, content: str) -> None:
    (folder / "garbage").write_text(content)
    with pytest.raises(CommandError, match="garbage"):
        read(folder / "garbage")


def test_json_of_another_format_names_the_one_that_is_read(folder: Path) -> None:
    (folder / "next.json").write_text('{"format_version": "2.0", "terraform_version": "2.0.0"}')
    with pytest.raises(CommandError, match=r"format_version 2\.0; read is 1\.x"):
        read(folder / "next.json")


def test_a_plan_that_failed_half_way_is_refused(folder: Path) -> None:
    (folder / "half.json").write_text('{"format_version": "1.2", "terraform_version": "1.11.4", "errored": true}')
    with pytest.raises(CommandError, match="failed half way"):
        read(folder / "half.json")


def test_a_given_plan_is_shown_with_the_exit_code_of_one_that_was_made(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "result.json"
    code = edge_gpu.main(["diff", "--fleet", FLEET, "--plan", str(folder / "plan"), "--json", str(result)])
    assert code == 2
    assert "1 to add" in capsys.readouterr().out
    assert json.loads(result.read_text())["objects"] == [
        {"action": "add", "address": "terraform_data.other", "why": []}
    ]


def test_a_bad_plan_is_an_error_in_the_exit_code_the_comment_and_the_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    comment, result = tmp_path / "diff.md", tmp_path / "diff.json"
    arguments = ["--plan", str(tmp_path / "none"), "--markdown", str(comment), "--json", str(result)]
    assert edge_gpu.main(["diff", "--fleet", FLEET, *arguments]) == 1
    assert "error: there is no plan at" in capsys.readouterr().err
    assert "there is no plan at" in comment.read_text()
    assert json.loads(result.read_text())["result"] == "error"


def test_a_fleet_file_that_is_not_there_names_the_nearest_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(FLEET, tmp_path / "berlin.yaml")
    assert edge_gpu.main(["diff", "--fleet", str(tmp_path / "berlim.yaml")]) == 1
    said = capsys.readouterr().err
    assert "does not exist" in said
    assert f"did you mean {tmp_path / 'berlin.yaml'}?" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["berlin.yaml"]
