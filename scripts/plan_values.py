"""Values in a plan's JSON, with everything that Terraform calls sensitive taken out.

`terraform show -json` writes sensitive values in clear, beside a map that says which they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

MASK = "(sensitive)"
SHORTEST_SECRET = 6
LONGEST_SHOWN = 80


def without_secrets(plan: Mapping[str, Any]) -> tuple[dict[str, Any], frozenset[str]]:
    """A plan's JSON without sensitive values, and those values, for taking them out of other texts.

    Each is taken out wherever it stands, not only where it is marked: Terraform does not mark the copy of a sensitive
    input that a `terraform_data` has as its output, and shows it in clear.
    """
    found: set[str] = set()
    for change in (*plan.get("resource_changes", []), *plan.get("resource_drift", [])):
        _collect_change(change.get("change", {}), found)
    for change in plan.get("output_changes", {}).values():
        _collect_change(change, found)
    declared = plan.get("configuration", {}).get("root_module", {}).get("variables", {})
    for name, variable in plan.get("variables", {}).items():
        if declared.get(name, {}).get("sensitive"):
            _collect(variable.get("value"), True, found)
    secrets = frozenset(found)
    cleaned: dict[str, Any] = _cleaned(plan, secrets)
    return cleaned, secrets


def scrubbed(text: str, secrets: frozenset[str]) -> str:
    """`text` with each of `secrets` replaced, longest first, also where it is quoted or broken into lines."""
    for secret in sorted(secrets, key=len, reverse=True):
        for form in {secret, json.dumps(secret)[1:-1]}:
            text = text.replace(form, MASK)
        if "\n" in secret:
            for line in secret.splitlines():
                if len(line.strip()) >= SHORTEST_SECRET:
                    text = text.replace(line.strip(), MASK)
    return text


def _collect_change(change: Mapping[str, Any], found: set[str]) -> None:
    for side in ("before", "after"):
        _collect(change.get(side), change.get(f"{side}_sensitive"), found)


def _collect(value: Any, sensitive: Any, found: set[str]) -> None:
    if sensitive is True and isinstance(value, str):
        # Shorter ones would take ordinary words with them; where they are marked Terraform leaves them out itself.
        if len(value) >= SHORTEST_SECRET:
            found.add(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _collect(item, True if sensitive is True else _part(sensitive, key), found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _collect(item, True if sensitive is True else _part(sensitive, index), found)


def _part(sensitive: Any, key: Any) -> Any:
    if isinstance(sensitive, dict):
        return sensitive.get(key)
    return sensitive[key] if isinstance(sensitive, list) and key < len(sensitive) else None


def _cleaned(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, str):
        return scrubbed(value, secrets)
    if isinstance(value, list):
        return [_cleaned(item, secrets) for item in value]
    if not isinstance(value, Mapping):
        return value
    cleaned = {key: _cleaned(item, secrets) for key, item in value.items()}
    for side in ("before", "after"):
        if f"{side}_sensitive" in cleaned:
            cleaned[side] = _masked(cleaned.get(side), cleaned[f"{side}_sensitive"])
    return cleaned


def _masked(value: Any, sensitive: Any) -> Any:
    if sensitive is True:
        return MASK
    if isinstance(value, dict) and isinstance(sensitive, dict):
        return {key: _masked(item, sensitive.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(sensitive, list):
        return [_masked(item, _part(sensitive, index)) for index, item in enumerate(value)]
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
