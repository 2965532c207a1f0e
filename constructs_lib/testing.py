"""For tests of stacks and constructs, here and in repositories that import this library.

CDKTF's own `Testing.synth_scope` cannot be called from Python (terraform-cdk issue 2871), and its matchers answer
with a bare boolean; these helpers give the synthesized JSON as a dict and failures with a diff.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from constructs_lib.cdk import TerraformStack, Testing


def new_stack(name: str = "test") -> TerraformStack:
    """An empty stack in an app of its own.

    Args:
        name: Stack name, default `test`.
    """
    return TerraformStack(Testing.app(), name)


def synth(stack: TerraformStack) -> dict[str, Any]:
    """The stack's Terraform configuration, after CDKTF's own validations.

    Raises:
        RuntimeError: A validation failed, for example a resource without its provider.
    """
    result: dict[str, Any] = json.loads(Testing.synth(stack, True))
    return result


def resources(configuration: Mapping[str, Any], type_: str) -> dict[str, Any]:
    """The resources (or, for a `data.` prefix, data sources) of one type by name.

    Args:
        configuration: What `synth` gave.
        type_: For example `terraform_data` or `data.kubernetes_resources`.
    """
    section = "resource"
    if type_.startswith("data."):
        section, type_ = "data", type_.removeprefix("data.")
    found: dict[str, Any] = configuration.get(section, {}).get(type_, {})
    return found


def only(configuration: Mapping[str, Any], type_: str) -> dict[str, Any]:
    """The only resource of a type.

    Raises:
        AssertionError: There is none or more than one.
    """
    found = resources(configuration, type_)
    assert len(found) == 1, f"expected one {type_}, found {len(found)}: {', '.join(sorted(found)) or 'none'}"
    resource: dict[str, Any] = next(iter(found.values()))
    return resource


def assert_contains(actual: Any, expected: Any) -> None:
    """Assert that `actual` holds everything in `expected`: mappings as a subset at every depth, lists exactly.

    Raises:
        AssertionError: With a unified diff of both sides, reduced to the keys that were expected.
    """
    reduced = _reduced(actual, expected)
    if reduced == expected:
        return
    wanted, seen = (
        json.dumps(side, indent=2, sort_keys=True, default=str).splitlines() for side in (expected, reduced)
    )
    raise AssertionError("\n".join(difflib.unified_diff(wanted, seen, "expected", "synthesized", lineterm="")))


def _reduced(actual: Any, expected: Any) -> Any:
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        return {key: _reduced(actual[key], expected[key]) for key in expected if key in actual}
    if isinstance(actual, list) and isinstance(expected, list) and len(actual) == len(expected):
        return [_reduced(one, other) for one, other in zip(actual, expected, strict=True)]
    return actual
