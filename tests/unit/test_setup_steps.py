"""The steps of set-up: what they refuse, and what they leave."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lab.progress import Progress
from lab.settings import load_settings
from scripts import debian_packages, environment
from scripts.checkout import LAB_FLEET, LAB_TERRAFORM_CONFIG, NODE_BIN, ROOT, chosen_fleet, shown
from scripts.debian_packages import Need, install_missing
from scripts.errors import SetupError
from scripts.lock import strip_sources
from scripts.terraform import find_terraform

PRESENT = Need("already-here", "a test", lambda: True)
ABSENT = Need("shellcheck", "make lint", lambda: False)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would have run."""
    commands: list[list[str]] = []
    monkeypatch.setattr(debian_packages, "run_command", lambda argv, **_: commands.append(list(argv)))
    monkeypatch.setattr(debian_packages.shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    return commands


def write_program(directory: Path, *, name: str, prints: str) -> None:
    program = directory / name
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{prints}\nEND\n")
    program.chmod(0o755)


def test_without_root_a_missing_package_is_named_with_its_reason_and_the_command(
    monkeypatch: pytest.MonkeyPatch, ran: list[list[str]]
) -> None:
    monkeypatch.setattr(debian_packages.os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError) as refusal:
        install_missing([PRESENT, ABSENT], refresh_lists=True, progress=Progress())
    message = str(refusal.value)
    assert "shellcheck: for make lint" in message
    assert "sudo apt-get install shellcheck" in message
    assert "already-here" not in message
    assert ran == []


def test_as_root_only_what_is_missing_is_installed(monkeypatch: pytest.MonkeyPatch, ran: list[list[str]]) -> None:
    monkeypatch.setattr(debian_packages.os, "geteuid", lambda: 0)
    install_missing([PRESENT, ABSENT], refresh_lists=False, progress=Progress())
    assert [command[-1] for command in ran] == ["update", "shellcheck"]


def test_with_everything_there_and_fresh_lists_apt_is_not_called(
    monkeypatch: pytest.MonkeyPatch, ran: list[list[str]], tmp_path: Path
) -> None:
    monkeypatch.setattr(debian_packages.os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian_packages, "APT_LISTS", tmp_path)
    (tmp_path / "mirror_dists_bookworm_InRelease").touch()
    install_missing([PRESENT], refresh_lists=True, progress=Progress())
    assert ran == []


def test_without_package_lists_apt_is_asked_for_them(
    monkeypatch: pytest.MonkeyPatch, ran: list[list[str]], tmp_path: Path
) -> None:
    monkeypatch.setattr(debian_packages.os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian_packages, "APT_LISTS", tmp_path)
    install_missing([PRESENT], refresh_lists=True, progress=Progress())
    assert [command[-1] for command in ran] == ["update"]


def test_without_terraform_and_opentofu_the_fix_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("TERRAFORM_BINARY_NAME", raising=False)
    with pytest.raises(SetupError, match=r"neither terraform nor tofu is in the PATH\. Fix: install Terraform"):
        find_terraform()


def test_a_terraform_that_is_too_old_is_refused_with_its_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_program(tmp_path, name="terraform", prints=json.dumps({"terraform_version": "1.5.7"}))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("TERRAFORM_BINARY_NAME", raising=False)
    with pytest.raises(SetupError, match=r"is version 1\.5\.7; needed is 1\.6 or newer"):
        find_terraform()


def test_opentofu_is_used_when_there_is_no_terraform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_program(tmp_path, name="tofu", prints=json.dumps({"terraform_version": "1.10.2"}))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("TERRAFORM_BINARY_NAME", raising=False)
    assert find_terraform().command == "tofu"
    assert environment.project_variables(fleet=LAB_FLEET)["TERRAFORM_BINARY_NAME"] == "tofu"


def test_the_env_file_puts_our_node_first_and_lets_a_typed_fleet_win(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environment, "ENV_FILE", tmp_path / ".env")
    environment.write_env_file(fleet=LAB_FLEET)
    lines = (tmp_path / ".env").read_text().splitlines()
    assert f'FLEET="${{FLEET:-{shown(LAB_FLEET)}}}"' in lines
    assert f'PATH="{NODE_BIN}:{ROOT}/node_modules/.bin:${{PATH}}"' in lines
    assert f'TF_CLI_CONFIG_FILE="{LAB_TERRAFORM_CONFIG}"' in lines
    assert f'TF_CLI_ARGS_apply="${{TF_CLI_ARGS_apply:--parallelism={environment.PARALLELISM}}}"' in lines
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_arguments_for_terraform_that_are_typed_win_and_keep_the_projects_own() -> None:
    ours = environment.project_variables(fleet=LAB_FLEET)["TF_CLI_ARGS_apply"]
    assert ours == f"-parallelism={environment.PARALLELISM}"
    typed = environment.command_environment(fleet=LAB_FLEET, base={"TF_CLI_ARGS_apply": "-parallelism=1"})
    assert typed["TF_CLI_ARGS_apply"] == f"{ours} -parallelism=1"
    again = environment.command_environment(fleet=LAB_FLEET, base=typed)
    assert again["TF_CLI_ARGS_apply"] == typed["TF_CLI_ARGS_apply"]
    assert environment.command_environment(fleet=LAB_FLEET, base={})["TF_CLI_ARGS_apply"] == ours


def test_the_lab_and_the_commands_mean_the_same_fleet_file() -> None:
    assert load_settings(os.environ).fleet_file == LAB_FLEET


def test_the_labs_plugins_are_not_used_for_another_fleet() -> None:
    assert "TF_CLI_CONFIG_FILE" in environment.project_variables(fleet=LAB_FLEET)
    assert "TF_CLI_CONFIG_FILE" not in environment.project_variables(fleet=ROOT / "fleets" / "site.yaml")


def test_a_fleet_name_counts_from_the_checkout_wherever_one_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLEET", "fleets/site.yaml")
    assert chosen_fleet() == ROOT / "fleets" / "site.yaml"
    monkeypatch.setenv("FLEET", "/etc/edge/site.yaml")
    assert chosen_fleet() == Path("/etc/edge/site.yaml")


def test_locking_takes_the_registry_out_and_leaves_the_hashes(tmp_path: Path) -> None:
    lock = tmp_path / "Pipfile.lock"
    package = {"hashes": ["sha256:00"], "version": "==1"}
    lock.write_text(
        json.dumps(
            {
                "_meta": {"sources": [{"name": "main", "url": "https://registry.example/simple"}]},
                "default": {"a": {**package, "index": "main"}},
                "develop": {"b": package},
            }
        )
    )
    strip_sources(lock)
    assert json.loads(lock.read_text()) == {
        "_meta": {"sources": []},
        "default": {"a": package},
        "develop": {"b": package},
    }
