"""`run_after` reaches Terraform, and refuses what would silently order nothing."""

from __future__ import annotations

import pytest

from constructs_lib.cdk import Construct
from constructs_lib.ordering import run_after
from constructs_lib.terraform_data import TerraformData
from constructs_lib.testing import new_stack, resources, synth


def test_every_resource_of_a_construct_waits_for_every_resource_of_the_other() -> None:
    stack = new_stack()
    first, second = Construct(stack, "first"), Construct(stack, "second")
    for name in ("a", "b"):
        TerraformData(first, name, triggers_replace={})
        TerraformData(second, name, triggers_replace={})
    run_after(second, first)
    found = resources(synth(stack), "terraform_data")
    wanted = sorted(f"terraform_data.{name}" for name in found if name.startswith("first"))
    for name, resource in found.items():
        if name.startswith("second"):
            assert sorted(resource["depends_on"]) == wanted
        else:
            assert "depends_on" not in resource


def test_ordering_twice_lists_a_dependency_once_and_keeps_what_was_there() -> None:
    stack = new_stack()
    zero, first, second = (TerraformData(stack, name, triggers_replace={}) for name in ("zero", "first", "second"))
    second.depends_on = ["terraform_data.zero"]
    for _ in range(2):
        run_after(second, first)
    assert zero.friendly_unique_id == "zero"
    waits_for = resources(synth(stack), "terraform_data")["second"]["depends_on"]
    assert sorted(waits_for) == ["terraform_data.first", "terraform_data.zero"]


def test_a_construct_without_resources_is_refused_on_either_side() -> None:
    stack = new_stack()
    empty, full = Construct(stack, "empty"), TerraformData(stack, "full", triggers_replace={})
    with pytest.raises(ValueError, match="'test/empty' holds no resource to wait for"):
        run_after(full, empty)
    with pytest.raises(ValueError, match="'test/empty' holds no resource"):
        run_after(empty, full)


def test_a_construct_that_would_wait_for_itself_is_refused() -> None:
    stack = new_stack()
    group = Construct(stack, "group")
    TerraformData(group, "part", triggers_replace={})
    with pytest.raises(ValueError, match="'test/group/part' would wait for itself"):
        run_after(group, group)
