"""`edge-gpu diff edge-images`: the real Terraform plans the images' stack from a state, without engine or nodes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.cluster_identity import ClusterIdentity
from scripts.checkout import ROOT
from scripts.environment import command_environment

pytestmark = pytest.mark.lab

NAME = "diff-images-test"
_HOST_KEY = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGu8swdvBuavOXr0RYW+yTMQ0h5Be9zhh/"
    "M4m8shG8tIbOPInM/fABZlW8eTpOVIRQNvPDIIA5CRUoswJ8t/8Mk="
)
FLEET = f"""
name: {NAME}
ssh: {{user: edge, agent: true}}
nodes:
  - name: server-1
    role: server
    address: 192.0.2.10
    host_key: {_HOST_KEY}
  - name: gpu-1
    role: agent
    gpus: 1
    address: 192.0.2.11
    host_key: {_HOST_KEY}
k3s: {{version: v1.36.2+k3s1, sha256: {{amd64: {"0123456789abcdef" * 4}}}}}
images:
  allow_unlocked_bases: true
  build:
    - {{image: gpu-check, kernel: false, hand_over_to: [gpu-1]}}
"""
STATE = ROOT / ".edge" / NAME
IMAGE_ID = "sha256:" + "a" * 64
Diff = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def diff(tmp_path: Path, terraform_settings: Path) -> Iterator[Diff]:
    """Runs the command; exit code, JSON and Markdown."""
    fleet = tmp_path / f"{NAME}.yaml"

    def run(text: str = FLEET) -> tuple[int, dict[str, Any], str]:
        fleet.write_text(text)
        out, markdown = tmp_path / "diff.json", tmp_path / "diff.md"
        argv = ["python", "-m", "scripts.edge_gpu", "diff", "edge-images", "--no-refresh", "--fleet", str(fleet)]
        done = subprocess.run(
            [*argv, "--json", str(out), "--markdown", str(markdown)],
            cwd=ROOT,
            env={**command_environment(fleet=fleet), "TF_CLI_CONFIG_FILE": str(terraform_settings)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert out.exists(), done.stdout
        return done.returncode, json.loads(out.read_text()), done.stdout + markdown.read_text()

    yield run
    shutil.rmtree(STATE, ignore_errors=True)
    shutil.rmtree(ROOT / "build" / "plan" / NAME, ignore_errors=True)


def deployed(fleet: Path, settings: Path) -> None:
    """Write the state that a deploy of the fleet file's images would have left: all that Terraform plans, and made."""
    out, identity = fleet.parent / "synthesized", fleet.parent / "identity"
    ClusterIdentity.create(directory=identity, cluster_name=NAME, server_addresses=["192.0.2.10"])
    program = (
        "import sys, main; from pathlib import Path; from constructs_lib.cluster_identity import ClusterIdentity;"
        "from stacks.fleet import load_fleet; fleet, state, identity = map(Path, sys.argv[1:]);"
        "main.synthesize(load_fleet(fleet), identity=ClusterIdentity(identity), edge_folder=state)"
    )
    stack = out / "stacks" / "edge-images"
    env = {**command_environment(fleet=fleet), "CDKTF_OUTDIR": str(out), "PYTHONPATH": str(ROOT)}
    env |= {"TF_CLI_CONFIG_FILE": str(settings), "TF_DATA_DIR": str(fleet.parent / "data")}

    def run(*argv: str, cwd: Path = stack) -> str:
        return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=True).stdout

    run("python", "-c", program, str(fleet), str(STATE), str(identity), cwd=ROOT)
    made = json.loads(re.sub(r"\$\{docker_image\.[\w-]+\.image_id\}", IMAGE_ID, (stack / "cdk.tf.json").read_text()))
    (stack / "cdk.tf.json").write_text(json.dumps(made))
    run("terraform", "init", "-input=false")
    run("terraform", "plan", "-input=false", "-out=plan")
    planned = json.loads(run("terraform", "show", "-json", "plan"))["planned_values"]
    resources = [
        {
            "mode": "managed",
            "type": one["type"],
            "name": one["name"],
            "provider": f'provider["{one["provider_name"]}"]',
            "instances": [{"schema_version": 0, "attributes": attributes(one["type"], one["values"])}],
        }
        for one in planned["root_module"]["resources"]
    ]
    outputs = {name: dynamic(output["value"]) for name, output in made["output"].items()}
    path = Path(made["terraform"]["backend"]["local"]["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": NAME}
    path.write_text(json.dumps({**state, "outputs": outputs, "resources": resources}))


def attributes(type_: str, planned: dict[str, Any]) -> dict[str, Any]:
    """What a state holds of a resource once it is made."""
    if type_ == "docker_image":
        return {**planned, "id": IMAGE_ID, "image_id": IMAGE_ID, "repo_digest": ""}
    remembered = {key: dynamic(planned[key]) for key in ("triggers_replace", "input") if planned.get(key) is not None}
    return {"id": "1", **remembered, **({"output": remembered["input"]} if "input" in remembered else {})}


def dynamic(value: Any) -> dict[str, Any]:
    """A value of any type, as a state holds it."""

    def type_of(item: Any) -> Any:
        return ["object", {key: type_of(inner) for key, inner in item.items()}] if isinstance(item, dict) else "string"

    return {"value": value, "type": type_of(value)}


def test_images_that_were_never_built_are_planned_as_new(diff: Diff) -> None:
    code, found, text = diff()
    assert code == 2, text
    assert found["stack"] == "edge-images"
    assert found["counts"] == {"add": 4, "change": 0, "replace": 0, "destroy": 0}
    assert [step["step"] for step in found["nodes"]["gpu-1"]] == [
        "image-edge-gpu-check",
        "image-removal-edge-gpu-check",
    ]
    assert "server-1" not in found["nodes"]
    assert "add `docker_image." in text
    assert "private_key" not in json.dumps(found)


def test_images_as_they_are_deployed_are_no_change_and_a_changed_one_is_built_and_handed_over_again(
    diff: Diff, tmp_path: Path, terraform_settings: Path
) -> None:
    diff()
    deployed(tmp_path / f"{NAME}.yaml", terraform_settings)
    code, found, text = diff()
    assert (code, found["result"]) == (0, "no-changes"), text

    code, found, text = diff(f"{FLEET}  registry_mirrors: {{docker.io: mirror.example}}\n")
    assert code == 2, text
    assert found["counts"] == {"add": 0, "change": 0, "replace": 3, "destroy": 0}
    (step,) = found["nodes"]["gpu-1"]
    assert (step["step"], step["action"], step["runs"]) == ("image-edge-gpu-check", "replace", True)
    assert found["destroys"] == found["k3s_restarts"] == []


def test_an_image_that_leaves_the_fleet_file_is_a_destroy_that_needs_a_label(
    diff: Diff, tmp_path: Path, terraform_settings: Path
) -> None:
    diff()
    deployed(tmp_path / f"{NAME}.yaml", terraform_settings)
    code, found, text = diff(FLEET.replace(", hand_over_to: [gpu-1]", ", hand_over_to: []"))
    assert code == 1, text
    assert found["refusals"]
    assert any("gpu-1" in json.dumps(loss) for loss in found["destroys"])
