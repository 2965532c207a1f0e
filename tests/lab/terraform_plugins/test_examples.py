"""Terraform accepts what every example becomes: each resource is checked against its plugin's schema."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("**/*.py"))
_LIMIT_SECONDS = 300


def run(*argv: str, cwd: Path, **environment: str) -> None:
    """Run a command; a failure shows what it said."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**inherited, "CHECKPOINT_DISABLE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{argv}: {done.stdout[-3000:]}{done.stderr[-3000:]}"


def test_there_are_examples() -> None:
    assert {path.stem for path in EXAMPLES} >= {"device_plugin", "gpu_check", "own_machines"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid(example: Path, terraform_settings: Path, tmp_path: Path) -> None:
    shutil.copy(example, tmp_path)
    out = tmp_path / "out"
    run("python", example.name, cwd=tmp_path, PYTHONPATH=str(ROOT), CDKTF_OUTDIR=str(out))
    for stack in (out / "stacks").iterdir():
        settings = {"TF_CLI_CONFIG_FILE": str(terraform_settings)}
        run("terraform", "init", "-backend=false", "-input=false", "-no-color", cwd=stack, **settings)
        run("terraform", "validate", "-no-color", cwd=stack, **settings)
