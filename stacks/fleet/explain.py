"""Pydantic's errors as problems in the words of the fleet file."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from stacks.fleet.problems import KeyPath, Problem, RuleError, shown_value
from stacks.fleet.schema import Place, locate
from stacks.fleet.secret_text import instead_of_secret, names_a_secret

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "text"),
    (dict, "a mapping"),
    (list, "a list"),
    (datetime.date, "a date"),
)
_WANTED = {
    "string_type": "text",
    "path_type": "text",
    "is_instance_of": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_OTHER_NAMES = {
    "ip": "address",
    "host": "address",
    "hostname": "address",
    "checksum": "sha256",
    "url": "address",
}
"""Names from other tools that spelling alone would lead elsewhere."""


def explain(error: ValidationError) -> list[Problem]:
    """One problem for each error of a validation."""
    return [
        _problem(details)
        for details in error.errors(include_url=False)
        # Pydantic counts only the valid items: a list is not too short because the items in it are wrong.
        if not (details["type"] == "too_short" and details["input"])
    ]


def _problem(details: Mapping[str, Any]) -> Problem:
    path, place = locate(details["loc"])
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "missing":
        return Problem(path=path, what="is missing", allowed=_allowed(place), fix=_add(path, place))
    if kind == "union_tag_not_found":
        return _problem({**details, "type": "missing", "loc": (*details["loc"], context["discriminator"].strip("'"))})
    if kind == "union_tag_invalid":
        path = (*path, "type")
        allowed = context["expected_tags"].replace("'", "").replace(", ", " or ")
        return Problem(
            path=path,
            what="is unknown",
            given=shown_value(context["tag"]),
            allowed=allowed,
            fix=_add(path, place, "local"),
        )
    what, fix = _what_and_fix(kind, value, context, key=str(path[-1]) if path else "")
    return Problem(
        path=path, what=what, given=shown_value(value), allowed=_allowed(place), fix=fix or _add(path, place)
    )


def _what_and_fix(kind: str, value: object, context: Mapping[str, Any], *, key: str) -> tuple[str, str | None]:
    refused = context.get("error")
    if isinstance(refused, RuleError):
        return refused.what, refused.fix
    if value is None:
        return "has no value", None
    if kind in _WANTED:
        wanted = _WANTED[kind]
        return f"is {_kind(value)}, not {wanted}", _conversion(value, wanted=wanted, key=key)
    if kind in ("greater_than_equal", "less_than_equal"):
        return "is out of range", None
    if kind == "too_short":
        return "is empty", None
    if kind == "literal_error":
        near = difflib.get_close_matches(str(value).lower(), context["expected"].replace("'", "").split(" or "), 1)
        return "is unknown", f"write {key}: {near[0]}" if near else None
    return f"is not accepted: {kind.replace('_', ' ')}", None


def _unknown_key(path: KeyPath) -> Problem:
    key = str(path[-1])
    _, section = locate(path[:-1])
    known = section.keys
    if names_a_secret(key):
        return Problem(
            path=path,
            what="looks like a secret; secrets do not belong into this file, which is committed and shown",
            allowed=", ".join(known),
            fix=instead_of_secret(path),
        )
    near = [name for name in [_OTHER_NAMES.get(key.lower(), "")] if name in known] or difflib.get_close_matches(
        key.lower().replace("-", "_"), known, 1, cutoff=0.5
    )
    return Problem(
        path=path,
        what="is no key of the fleet file",
        allowed=", ".join(known),
        fix=f"did you mean {near[0]}?" if near else "remove it",
    )


def _conversion(value: object, *, wanted: str, key: str) -> str | None:
    if wanted == "text" and not isinstance(value, dict | list):
        return "put the value in quotes: YAML reads it as something else"
    if wanted == "a whole number" and isinstance(value, str):
        digits = "".join(character for character in value if character.isdigit())
        return f"write {key}: {digits}, without quotes and unit" if digits else None
    if wanted == "true or false" and isinstance(value, str) and value.lower() in ("true", "false"):
        return f"write {key}: {value.lower()}, without quotes"
    return None


def _allowed(place: Place) -> str | None:
    if place.rule is not None:
        return place.rule.allowed
    return f"the keys {', '.join(place.keys)}" if place.models else None


def _add(path: KeyPath, place: Place, example: str | None = None) -> str:
    if example is None and place.rule is not None:
        example = place.rule.example
    if path and isinstance(path[-1], int):
        return f"write for example - {example}" if example else "correct or remove this item"
    key = path[-1] if path else "name"
    if example is not None:
        return f"write for example {key}: {example}"
    return f"write {key}: with its keys below it, see fleets/example.yaml"


def _kind(value: object) -> str:
    return next((words for kind, words in _KINDS if isinstance(value, kind)), type(value).__name__)
