"""The reference of the fleet file's keys, written from the model: `python -m stacks.fleet.reference FILE`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stacks.fleet.model import Fleet
from stacks.fleet.schema import Place

BEGIN = "<!-- begin: written by `python -m stacks.fleet.reference docs/fleet-file.md` -->"
END = "<!-- end -->"


def reference() -> str:
    """All sections and keys as Markdown, without the marks around it."""
    return "\n\n".join(_section(name, model) for name, model in sections(Fleet, name=""))


def sections(model: type[BaseModel], *, name: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """`model` and all sections below it, each with the key it stands at: "", "ssh", "ssh.bastion", "nodes[]", …"""
    yield name, model
    for key, field in model.model_fields.items():
        place = Place(field.annotation, field.metadata)
        below = f"{name}.{key}" if name else key
        if place.is_list:
            place, below = place.inside(0), f"{below}[]"
        for found in place.models:
            yield from sections(found, name=below + _choice(found))


def rewritten(document: str) -> str:
    """`document` with what stands between the marks replaced by the reference.

    Raises:
        ValueError: A mark is missing.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no line {END if begin else BEGIN}: put it where the reference is to stand")
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}"


def _section(name: str, model: type[BaseModel]) -> str:
    rows = [_row(key, field) for key, field in model.model_fields.items()]
    purpose = " ".join((model.__doc__ or "").split()) if name else "The file as a whole."
    table = ["| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows]
    return f"### {f'`{name}`' if name else 'Top level'}\n\n{purpose}\n\n" + "\n".join(table)


def _row(key: str, field: FieldInfo) -> str:
    place = Place(field.annotation, field.metadata)
    if place.rule is not None:
        allowed = place.rule.allowed
    elif place.is_list:
        item = place.inside(0)
        allowed = f"a list of mappings, see `{key}[]`" if item.models else f"a list; {item.rule and item.rule.allowed}"
    else:
        allowed = "a mapping, see below"
    return f"| `{key}` | {allowed} | {_default(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return "its keys' defaults"
    if value is None or value == () or value == {}:
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _choice(model: type[BaseModel]) -> str:
    """How a section of a tagged union is told from the others; empty for one that stands alone."""
    place = Place(model)
    return f" ({place.tag_key}: {', '.join(place.tags)})" if place.tags else ""


def main(arguments: list[str]) -> int:
    """Rewrite the reference in the named file."""
    if len(arguments) != 1:
        print("usage: python -m stacks.fleet.reference docs/fleet-file.md", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
