"""The way out: Terraform accepts what `cdktf synth --hcl` writes, and would make the same of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.cluster_identity import ClusterIdentity
from lab.artifacts.terraform_plugins import build_terraform_plugins, write_terraform_rc
from lab.progress import Progress

pytestmark = pytest.mark.lab

_PROGRAM = """
import sys
from pathlib import Path
import main
from constructs_lib.cluster_identity import ClusterIdentity
from stacks.fleet.model import Fleet
from tests.snapshots.fleets import FLEETS
folder = Path(sys.argv[1])
fleet = Fleet.model_validate({**FLEETS["three-nodes"], "ssh": {"user": "edge", "private_key_path": sys.argv[2]}})
main.synthesize(fleet, identity=ClusterIdentity(folder), edge_folder=folder)
"""
_ROOT = Path(__file__).resolve().parents[3]
_LIMIT_SECONDS = 300


def run(*argv: str, cwd: Path, **environment: str) -> str:
    """A command's output; a failure shows it."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**{key: value for key, value in os.environ.items() if not key.startswith("TF_")}, **environment},
        capture_output=True,
        text=True,
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Terraform settings that take the plugins from the lab's stand-ins."""
    file = tmp_path_factory.mktemp("settings") / "terraform.rc"
    mirror = build_terraform_plugins(progress=Progress())[0].path
    write_terraform_rc(mirror=mirror, destination=file)
    return file


def test_the_export_is_valid_and_its_machines_are_planned_as_from_json(tmp_path: Path, settings: Path) -> None:
    identity = tmp_path / "identity"
    ClusterIdentity.create(directory=identity, cluster_name="three-nodes", server_addresses=["192.0.2.10"])
    key = tmp_path / "key"
    key.write_text("no key: validate and plan read it, nothing logs in with it")
    planned: dict[str, Any] = {}
    for form in ("false", "true"):
        out = tmp_path / f"hcl-{form}"
        run("python", "-c", _PROGRAM, str(identity), str(key), cwd=_ROOT, CDKTF_OUTDIR=str(out), SYNTH_HCL_OUTPUT=form)
        stack = out / "stacks" / "edge-gpu"
        assert (stack / "cdk.tf").exists() == (form == "true")
        terraform = {"TF_CLI_CONFIG_FILE": str(settings), "CHECKPOINT_DISABLE": "1"}
        run("terraform", "init", "-input=false", "-no-color", cwd=stack, **terraform)
        run("terraform", "validate", "-no-color", cwd=stack, **terraform)
        # Of the machines alone: Helm would ask for the chart.
        names = json.loads((tmp_path / "hcl-false/stacks/edge-gpu/cdk.tf.json").read_text())["resource"]
        targets = [f"-target=terraform_data.{name}" for name in names["terraform_data"] if name.startswith("cluster_")]
        run("terraform", "plan", "-input=false", "-no-color", "-out=plan", *targets, cwd=stack, **terraform)
        shown = json.loads(run("terraform", "show", "-json", "plan", cwd=stack, **terraform))
        planned[form] = {change["address"]: change["change"] for change in shown["resource_changes"]}
    assert len(planned["true"]) > 10
    assert planned["true"] == planned["false"]
