"""The backend for waldur-site-agent: its own tests, in its own venv, and that pip installs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab.progress import Progress
from scripts.waldur_packages import PACKAGE, waldur_environment, waldur_python


@pytest.fixture(scope="module")
def python() -> Path:
    """The venv's Python."""
    return waldur_python(progress=Progress())


def test_the_backends_own_tests_pass_with_the_agent_it_is_written_for(python: Path) -> None:
    done = subprocess.run(
        [python, "-m", "pytest", "-c", PACKAGE / "pyproject.toml", "-q", "-p", "no:cacheprovider", PACKAGE / "tests"],
        env=waldur_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout.splitlines()[-1]


def test_installed_by_pip_the_agent_finds_it_under_its_name(python: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    # Not in the checkout: setuptools writes beside what it builds.
    subprocess.run(["cp", "-r", PACKAGE, source], check=True, timeout=60)
    install = ["-m", "pip", "install", "-q", "--no-deps", "--target", tmp_path / "site", source]
    subprocess.run([python, *install], check=True, timeout=300)
    program = (
        "from waldur_site_agent.common.utils import BACKENDS\n"
        "from waldur_site_agent.common.plugin_schemas import get_plugin_backend_settings_schemas as schemas\n"
        "print(BACKENDS['k3s'], schemas()['k3s'].__name__)\n"
    )
    done = subprocess.run(
        [python, "-c", program],
        env={"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "K3sBackend" in done.stdout, done.stderr
    assert "'waldur-site-agent-k3s', '0.1.0'" in done.stdout
    assert "K3sSettingsSchema" in done.stdout


def test_edge_gpu_hands_over_to_the_registration_and_names_what_there_is() -> None:
    command = [sys.executable, "-m", "scripts.edge_gpu", "waldur"]
    shown = subprocess.run([*command, "register", "--help"], capture_output=True, text=True, timeout=120, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "waldur register" in shown.stdout
    assert "--check" in shown.stdout
    wrong = subprocess.run([*command, "regster"], capture_output=True, text=True, timeout=120, check=False)
    assert wrong.returncode == 1
    assert "waldur {register}" in wrong.stderr
