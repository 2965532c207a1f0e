"""What `synthesize` writes beside the CDK is what the CDK itself would have written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.cdk import App, Fn, TerraformStack
from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.stack_contents import StackContents, synthesize
from constructs_lib.terraform_data import TerraformData
from stacks.edge_gpu import STACK, EdgeGpuStack
from stacks.fleet.model import Fleet
from tests.snapshots.fleets import FLEETS


def written(app: App, stack: str) -> Any:
    return json.loads(Path(app.outdir, "stacks", stack, "cdk.tf.json").read_text())


@pytest.mark.parametrize("name", ["one-node", "three-nodes", "ha"])
def test_a_fleets_stack_is_the_same_by_both_ways(name: str, tmp_path: Path) -> None:
    found = []
    for way, write in (("cdk", App.synth), ("beside", synthesize)):
        app = App(outdir=str(tmp_path / way))
        edge_folder = Path("/edge") / name
        EdgeGpuStack(
            app,
            STACK,
            fleet=Fleet.model_validate(FLEETS[name]),
            identity=ClusterIdentity(edge_folder),
            edge_folder=edge_folder,
        )
        write(app)
        found.append(written(app, STACK))
    assert found[0]["resource"]["terraform_data"]
    assert found[0] == found[1]


def elements(stack: TerraformStack) -> None:
    """A token, an override, and what is set on the CDK's side alone."""
    first = TerraformData(stack, "first", triggers_replace={"a": "é\n"})
    TerraformData(stack, "token", triggers_replace={"a": Fn.upper("x"), "b": first.get_string_attribute("id")})
    second = TerraformData(stack, "second", triggers_replace={"a": "b"}, input={"c": "d"})
    second.add_override("input.e", "f")
    second.wait_for(["terraform_data.first"])
    second.depends_on = ["terraform_data.token"]


@pytest.mark.parametrize("write", [App.synth, synthesize])
def test_tokens_overrides_and_what_the_cdk_holds_are_in_the_file(write: Callable[[App], None], tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path))
    elements(TerraformStack(app, "stack"))
    write(app)
    blocks = written(app, "stack")["resource"]["terraform_data"]
    assert blocks["first"]["triggers_replace"] == {"a": "é\n"}
    assert blocks["token"]["triggers_replace"] == {"a": '${upper("x")}', "b": "${terraform_data.first.id}"}
    assert blocks["second"]["input"] == {"c": "d", "e": "f"}
    assert sorted(blocks["second"]["depends_on"]) == ["terraform_data.first", "terraform_data.token"]
    assert blocks["second"]["//"]["metadata"]["path"] == "stack/second"


def test_what_was_kept_back_once_is_told_the_next_time(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path))
    stack = TerraformStack(app, "stack")
    elements(stack)
    synthesize(app)
    assert not StackContents.of(stack).keeps_back
    before = written(app, "stack")
    app.synth()
    assert written(app, "stack") == before


def test_another_apps_stacks_are_left_alone(tmp_path: Path) -> None:
    one, other = App(outdir=str(tmp_path / "one")), App(outdir=str(tmp_path / "other"))
    for app in (one, other):
        elements(TerraformStack(app, "stack"))
    synthesize(one)
    assert list((tmp_path / "other").glob("stacks/*/cdk.tf.json")) == []
    other.synth()
    assert written(other, "stack") == written(one, "stack")
