"""Waldur's tenants on the lab's real K3s: quota, roles, pause, resume, limits, terminate, import, interruptions."""

from __future__ import annotations

import subprocess

from lab.progress import Progress
from scripts.checkout import ROOT
from scripts.waldur_packages import PACKAGE, waldur_environment, waldur_python


def test_the_backend_does_on_a_real_cluster_what_its_own_tests_there_say(cluster_variables: dict[str, str]) -> None:
    python = waldur_python(progress=Progress())
    suite = PACKAGE / "cluster_tests"
    done = subprocess.run(
        [python, "-m", "pytest", "-c", PACKAGE / "pyproject.toml", "-v", "-p", "no:cacheprovider", suite],
        cwd=ROOT,  # `python -m lab` is found here.
        env={**waldur_environment(), **cluster_variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=540,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout.splitlines()[-1]
    assert "skipped" not in done.stdout.splitlines()[-1]
