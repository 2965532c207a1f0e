"""Pydantic's errors as problems in the words of the fleet file."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Mapping, Sequence
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
_NUMBER = re.compile(r"(\d+) ?(s|m|h|)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
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
        return _unknown_key(details["loc"])
    if kind == "missing":
        return Problem(path=path, what="is missing", allowed=_allowed(place), fix=_example(path, place))
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return _unchosen(context.get("tag"), path=path, place=place)
    what, fix = _what_and_fix(kind, value, context, key=str(path[-1]) if path else "")
    if fix is None:
        is_key = details["loc"][-1] == "[key]" and place.rule is not None
        fix = f"use a key like {place.rule.example}" if is_key and place.rule else _example(path, place)
    given = None if value is None else shown_value(value)
    return Problem(path=path, what=what, given=given, allowed=_allowed(place), fix=fix)


def _unchosen(tag: object, *, path: KeyPath, place: Place) -> Problem:
    """The key that chooses among sections is missing, or chooses none."""
    key = str(place.tag_key)
    what, fix = ("is missing", None) if tag is None else _unknown(tag, place.tags, key=key)
    return Problem(
        path=(*path, key),
        what=what,
        given=None if tag is None else shown_value(tag),
        allowed=", ".join(place.tags),
        fix=fix or f"write {key}: {place.tags[0]}",
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
        return _unknown(value, context["expected"].replace("'", "").split(" or "), key=key)
    return f"is not accepted: {kind.replace('_', ' ')}", None


def _unknown(value: object, known: Sequence[str], *, key: str) -> tuple[str, str | None]:
    near = difflib.get_close_matches(str(value).lower(), known, 1)
    return "is unknown", f"write {key}: {near[0]}" if near else None


def _unknown_key(location: Sequence[str | int]) -> Problem:
    path, _ = locate(location)
    key, known = str(path[-1]), locate(location[:-1])[1].keys
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
        number = _NUMBER.fullmatch(value.strip())
        return f"write {key}: {int(number[1]) * _UNITS[number[2]]}, without quotes and unit" if number else None
    if wanted == "true or false" and isinstance(value, str) and value.lower() in ("true", "false"):
        return f"write {key}: {value.lower()}, without quotes"
    return None


def _allowed(place: Place) -> str | None:
    if place.rule is not None:
        return place.rule.allowed
    if place.is_list:
        return f"a list of mappings with the keys {', '.join(place.inside(0).keys)}"
    return f"the keys {', '.join(place.keys)}" if place.models else None


def _example(path: KeyPath, place: Place) -> str:
    key = path[-1] if path else ""
    if isinstance(key, int):
        return f"write for example - {place.rule.example}" if place.rule else "correct or remove this item"
    if place.rule is not None:
        return f"write for example {key}: {place.rule.example}"
    content = "items, each after a dash" if place.is_list else "its keys"
    return f"write {key}: and below it {content}, as in fleets/example.yaml"


def _kind(value: object) -> str:
    return next((words for kind, words in _KINDS if isinstance(value, kind)), type(value).__name__)
