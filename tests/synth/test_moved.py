"""Moved blocks."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from constructs_lib.moved_blocks import moved
from constructs_lib.testing import new_stack, synth

pytestmark = pytest.mark.synth


def test_each_address_becomes_a_moved_block() -> None:
    stack = new_stack()
    moved(stack, {"terraform_data.old_1": "terraform_data.new_1", "helm_release.a": "helm_release.b"})
    assert synth(stack)["moved"] == [
        {"from": "terraform_data.old_1", "to": "terraform_data.new_1"},
        {"from": "helm_release.a", "to": "helm_release.b"},
    ]


@pytest.mark.parametrize(
    ("addresses", "said"),
    [
        ({"old": "terraform_data.new"}, "is no resource address"),
        ({"data.x.y": "data.x.z"}, "is no resource address"),
        ({"terraform_data.a": "terraform_data.a"}, "would move to itself"),
        ({"terraform_data.a": "helm_release.a"}, "different types"),
        ({"terraform_data.a": "terraform_data.c", "terraform_data.b": "terraform_data.c"}, "two resources would move"),
    ],
)
def test_addresses_that_cannot_move_are_refused(addresses: Mapping[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        moved(new_stack(), addresses)
