"""A step's script as Terraform uploads it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from constructs_lib.cdk import IConstruct
from constructs_lib.node_script import script_body, script_head, terraform_literal
from constructs_lib.place import place_of
from constructs_lib.stack_contents import StackContents


def script_template(scope: IConstruct, script: str, *, step: str, node: str, parameters: Mapping[str, str]) -> str:
    """`node_script` as a Terraform template. What is the same on every machine, a stack holds once, as a `local` value.

    Args:
        scope: A construct in the stack.
        script: File name in this package.
        step: Step name for messages.
        node: Machine name for messages.
        parameters: Shell variables by name.

    Raises:
        ValueError: A name in `parameters` is no upper-case shell variable name.
    """
    head = script_head(script, step=step, node=node, parameters=parameters)
    contents = StackContents.of(place_of(scope).stack)
    return terraform_literal(head) + contents.shared_text(f"edge_gpu_{script.removesuffix('.sh')}", _body(script))


@cache
def _body(script: str) -> str:
    return terraform_literal(script_body(script))
