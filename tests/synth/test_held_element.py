"""Elements whose blocks stay in Python until synthesis: nothing that the CDK's own elements can do is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from constructs_lib import cdk
from constructs_lib.cdk import App, Construct, Fn, TerraformOutput, TerraformStack
from constructs_lib.hcl_export import prepare_for_hcl
from constructs_lib.moved_blocks import moved
from constructs_lib.place import Group, Place, place_of
from constructs_lib.stack_contents import StackContents
from constructs_lib.terraform_data import TerraformData
from constructs_lib.testing import new_stack, resources, synth

IDS = [
    ("a",),
    ("a.b",),
    ("group", "run"),
    ("node-1", "machine", "preflight", "run"),
    ("Default", "a"),
    ("a", "Resource", "b"),
    ("gpu-1", "1", "1"),
    ("up", "a.up", "b"),
    ("x" * 130, "y" * 130, "z"),
]


@pytest.mark.parametrize("ids", IDS, ids="/".join)
def test_the_name_worked_out_here_is_the_one_that_the_cdk_gives(ids: tuple[str, ...]) -> None:
    scope: Construct = new_stack()
    for id_ in ids[:-1]:
        scope = Group(scope, id_)
    data = TerraformData(scope, ids[-1], triggers_replace={})
    assert data.name == data.friendly_unique_id == place_of(data).name
    assert place_of(data).ids == ids


@pytest.mark.parametrize("id_", ["a/b", "a:b", "a b"])
def test_an_id_that_the_cdk_changes_is_asked_for(id_: str) -> None:
    data = TerraformData(Construct(new_stack(), id_), id_, triggers_replace={})
    assert data.name == data.friendly_unique_id


def test_a_construct_of_somebody_else_is_found_too() -> None:
    stack = new_stack()
    inner = Construct(Construct(stack, "outer"), "inner")
    assert place_of(inner) == Place(stack, ("outer", "inner"))


def test_another_name_is_used_for_the_block_and_in_the_address() -> None:
    stack = new_stack()
    data = TerraformData(Group(stack, "group"), "run", triggers_replace={"a": "b"})
    data.override_logical_id("stable")
    assert data.address == "terraform_data.stable"
    assert {name: body["triggers_replace"] for name, body in resources(synth(stack), "terraform_data").items()} == {
        "stable": {"a": "b"}
    }


def test_a_stack_with_names_of_its_own_is_asked() -> None:
    class Named(TerraformStack):
        def _allocate_logical_id(self, tf_element: Any) -> str:
            return f"own_{tf_element.node.id}"

    stack = Named(cdk.Testing.app(), "named")
    assert TerraformData(stack, "run", triggers_replace={}).address == "terraform_data.own_run"
    assert list(resources(synth(stack), "terraform_data")) == ["own_run"]


def test_an_override_wins_over_what_the_construct_set_wherever_it_is_in_the_tree() -> None:
    stack = new_stack()
    data = TerraformData(Group(stack, "group"), "run", triggers_replace={"a": "b"}, input={"c": "d", "e": "f"})
    data.add_override("input.c", "changed")
    data.add_override("lifecycle.prevent_destroy", True)
    other = TerraformData(stack, "other", triggers_replace={}, input={"c": "d"})
    found = resources(synth(stack), "terraform_data")
    assert found[data.name]["input"] == {"c": "changed", "e": "f"}
    assert found[data.name]["lifecycle"] == {"prevent_destroy": True}
    assert found[other.name]["input"] == {"c": "d"}


def test_a_stack_is_written_whole_each_time_it_is_synthesized() -> None:
    stack = new_stack()
    data = TerraformData(stack, "run", triggers_replace={"a": "b"})
    assert synth(stack) == synth(stack)
    data.set_argument("input", {"c": "d"})
    assert resources(json.loads(cdk.Testing.synth(stack)), "terraform_data")["run"]["input"] == {"c": "d"}


def test_a_reference_to_another_stack_in_a_block_becomes_one_in_terraform(tmp_path: Any) -> None:
    app = App(outdir=str(tmp_path))
    first, second = TerraformStack(app, "first"), TerraformStack(app, "second")
    made = TerraformData(first, "made", triggers_replace={"a": "b"})
    TerraformData(second, "uses", triggers_replace={"id": made.get_string_attribute("id"), "n": Fn.upper("x")})
    app.synth()
    read = json.loads((tmp_path / "stacks" / "second" / "cdk.tf.json").read_text())
    (uses,) = resources(read, "terraform_data").values()
    assert "data.terraform_remote_state" in uses["triggers_replace"]["id"]
    assert uses["triggers_replace"]["n"] == '${upper("x")}'
    (output,) = json.loads((tmp_path / "stacks" / "first" / "cdk.tf.json").read_text())["output"].values()
    assert "terraform_data.made.id" in output["value"]


def test_stacks_do_not_share_what_they_hold() -> None:
    one, other = new_stack("one"), new_stack("other")
    TerraformData(one, "run", triggers_replace={})
    TerraformOutput(other, "nothing", value="x")
    assert "resource" not in synth(other)
    assert list(resources(synth(one), "terraform_data")) == ["run"]


def test_one_name_cannot_stand_for_two_shared_texts() -> None:
    contents = StackContents.of(new_stack())
    assert contents.shared_text("name", "text") == contents.shared_text("name", "text") == "${local.name}"
    with pytest.raises(ValueError, match="'name' is the name of another text"):
        contents.shared_text("name", "another")


def test_a_moved_block_follows_a_renamed_one() -> None:
    stack = new_stack()
    data = TerraformData(stack, "new", triggers_replace={})
    moved(stack, {"terraform_data.old": data.address})
    assert synth(stack)["moved"] == [{"from": "terraform_data.old", "to": "terraform_data.new"}]


def test_hcl_without_the_preparation_for_it_is_an_error_and_no_empty_resource() -> None:
    stack = new_stack()
    data = TerraformData(stack, "run", triggers_replace={"a": "b"}, input={"c": "d"})
    with pytest.raises(Exception, match=r"terraform_data.run cannot be written as HCL yet. Fix: call prepare_for_hcl"):
        stack.to_hcl_terraform()
    prepare_for_hcl(stack)
    assert data.is_for_hcl
    written = stack.to_hcl_terraform()["hcl"]
    assert 'resource "terraform_data" "run"' in written
    assert 'c = "d"' in written
