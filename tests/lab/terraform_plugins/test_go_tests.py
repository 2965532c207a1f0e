"""The stand-ins' own Go tests, on the schemas of the pinned bindings."""

from __future__ import annotations

from pathlib import Path

from lab.artifacts.go_module import run_go
from lab.artifacts.terraform_plugins import prepare_tree


def test_the_go_tests_pass_on_the_generated_schemas(tmp_path: Path) -> None:
    prepare_tree(tmp_path / "tree")
    # The flags of the build itself, so that Go's cache holds the dependencies already.
    for command in (["vet", "-trimpath"], ["test", "-trimpath", "-count=1"]):
        said = run_go([*command, "./..."], cwd=tmp_path / "tree", timeout_seconds=900, env={"CGO_ENABLED": "0"})
    assert said.count("\nok ") + said.startswith("ok ") >= 7
