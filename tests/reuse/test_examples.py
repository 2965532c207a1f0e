"""Other repositories: the wheel is built, installed into an environment of its own, and each example synthesized."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "infra"
CORE = "cdktf" if importlib.util.find_spec("cdktf") else "cdktn"
_LIMIT_SECONDS = 900


def run(*argv: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command outside of the checkout's own Python path; its output is in the failure."""
    variables = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env={**variables, **environment},
        capture_output=True,
        text=True,
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{argv}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy so that the build leaves nothing in the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "constructs_lib", source / "constructs_lib", ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", folder, source, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, its extra and what they need, and nothing of this checkout."""
    folder = tmp_path_factory.mktemp("environment")
    python = folder / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    run(python, "-m", "pip", "install", "--quiet", "--no-compile", f"{wheel}[{CORE}]", cwd=folder)
    return python


def test_the_wheel_holds_the_types_marker_and_every_file_that_a_construct_reads(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = [path for path in (ROOT / "constructs_lib").iterdir() if path.suffix in (".py", ".sh", ".cjs", ".typed")]
    assert {f"constructs_lib/{path.name}" for path in [*wanted, Path("py.typed")]} <= names
    assert not {name.split("/")[0] for name in names if ".dist-info" not in name} - {"constructs_lib"}


@pytest.mark.parametrize(
    ("example", "types"),
    [
        ("own_machines", {"terraform_data"}),
        ("device_plugin", {"helm_release", "kubernetes_namespace_v1"}),
        ("gpu_check", {"kubernetes_job_v1", "kubernetes_namespace_v1"}),
    ],
)
def test_an_example_synthesizes_from_the_installed_package_alone(
    example: str, types: set[str], environment: Path, tmp_path: Path
) -> None:
    configuration = synthesized(example, environment, tmp_path)
    assert set(configuration["resource"]) == types


def test_the_cluster_on_own_machines_waits_for_them_and_is_valid_terraform(environment: Path, tmp_path: Path) -> None:
    configuration = synthesized("own_machines", environment, tmp_path)
    steps = configuration["resource"]["terraform_data"]
    machines = {f"terraform_data.{name}" for name in steps if name.startswith("vm-stand-in")}
    assert len(machines) == 2
    assert all(machines <= set(body["depends_on"]) for name, body in steps.items() if name.startswith("cluster"))
    stack = next((tmp_path / "out" / "stacks").iterdir())
    # No provider's plugin is needed here, nor a setting of this checkout that says where plugins lie.
    run("terraform", "init", "-backend=false", "-input=false", cwd=stack, TF_CLI_CONFIG_FILE="")
    run("terraform", "validate", cwd=stack, TF_CLI_CONFIG_FILE="")


def synthesized(example: str, python: Path, folder: Path) -> dict[str, Any]:
    """What one example becomes, run from a copy of its file: nothing of the checkout is beside it."""
    shutil.copy(EXAMPLES / f"{example}.py", folder)
    run(python, f"{example}.py", cwd=folder, CDKTF_OUTDIR=str(folder / "out"))
    found: dict[str, Any] = json.loads(next((folder / "out" / "stacks").glob("*/cdk.tf.json")).read_text())
    return found
