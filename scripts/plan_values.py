"""Values in a plan's JSON, with everything that Terraform calls sensitive taken out.

`terraform show -json` writes sensitive values in clear, beside a map that says which they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

MASK = "(sensitive)"
LONGEST_SHOWN = 80


def masked(value: Any, sensitive: Any) -> Any:
    """`value` with each part that `sensitive` marks replaced.

    Args:
        value: `before` or `after` of a change, or a part of it.
        sensitive: the same part of `before_sensitive` or `after_sensitive`.
    """
    if sensitive is True:
        return MASK
    if isinstance(value, dict) and isinstance(sensitive, dict):
        return {key: masked(item, sensitive.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(sensitive, list):
        marks = [*sensitive, *([None] * (len(value) - len(sensitive)))]
        return [masked(item, mark) for item, mark in zip(value, marks, strict=False)]
    return value


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """What differs between two flat mappings: by key, what to say of it.

    A value that is JSON itself, as K3s's configuration is, is told apart by its own keys.
    """
    found: dict[str, str] = {}
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        parsed_old, parsed_new = _json_object(old), _json_object(new)
        if parsed_old is not None and parsed_new is not None:
            pairs = _pairs(parsed_old, parsed_new)
            found[key] = ", ".join(_said(f"{key} {name}", *pair) for name, pair in pairs)
        else:
            found[key] = _said(key, old, new)
    return found


def _pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield name, (old.get(name), new.get(name))


def _said(name: str, old: Any, new: Any) -> str:
    texts = [_text(old), _text(new)]
    if any(len(text) > LONGEST_SHOWN or "\n" in text for text in texts) or texts[0] == texts[1]:
        return f"{name} differs"
    return f"{name} {texts[0]} → {texts[1]}"


def _text(value: Any) -> str:
    if value is None or value in ("", []):
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def _json_object(value: Any) -> dict[str, Any] | None:
    if not isinstance(value, str) or not value.startswith("{"):
        return None
    try:
        parsed = json.loads(value)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None
