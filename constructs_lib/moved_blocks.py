"""Renames that Terraform must follow instead of recreating."""

from __future__ import annotations

import re
from collections.abc import Mapping

from constructs_lib.cdk import TerraformStack

_ADDRESS = re.compile(r"(?!data\.)[A-Za-z_][\w-]*\.[A-Za-z_][\w-]*")


def moved(stack: TerraformStack, addresses: Mapping[str, str]) -> None:
    """Emit a `moved` block for each address, so that a renamed construct keeps its resource: no node is recreated.

    A resource's address follows from its construct's path; a snapshot of the addresses shows what a rename changed.
    Keep the blocks until every state has been deployed with them. May be called once a stack.

    Args:
        stack: The stack that holds the resources.
        addresses: New address by old address, for example
            `{"terraform_data.old_node_k3s_run_1A2B3C4D": "terraform_data.new_node_k3s_run_5E6F7A8B"}`.

    Raises:
        ValueError: An address is no resource address, both are the same, or of different types, or a new address is
            given twice.
    """
    for old, new in addresses.items():
        for address in (old, new):
            if not _ADDRESS.fullmatch(address):
                raise ValueError(f"moved: {address!r} is no resource address; give one like terraform_data.name")
        if old == new:
            raise ValueError(f"moved: {old!r} would move to itself; give its new address")
        if old.partition(".")[0] != new.partition(".")[0]:
            raise ValueError(f"moved: {old!r} and {new!r} are of different types; Terraform cannot move between them")
    targets = list(addresses.values())
    twice = sorted({address for address in targets if targets.count(address) > 1})
    if twice:
        raise ValueError(f"moved: two resources would move to {twice[0]!r}; each needs an address of its own")
    stack.add_override("moved", [{"from": old, "to": new} for old, new in addresses.items()])
