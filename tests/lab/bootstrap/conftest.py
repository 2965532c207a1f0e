"""Lab nodes for the tests of single steps, and steps that run as Terraform would send them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from constructs_lib.node_script import node_script
from scripts.checkout import ROOT
from tests.lab.main_job.conftest import Run, bare_nodes, fleet

__all__ = ["bare_nodes", "fleet", "run_step"]


def run_step(node: str, script: str, *, step: str, arguments: Sequence[str] = (), **parameters: str) -> Run:
    """Run a step's script as root on a lab node, as it is uploaded."""
    text = node_script(script, step=step, node=node, parameters=parameters)
    done = subprocess.run(
        [sys.executable, "-m", "lab", "exec", node, "--", "sh", "-s", "--", *arguments],
        cwd=ROOT,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return Run(code=done.returncode, output=done.stdout, seconds=0)
