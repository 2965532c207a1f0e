"""What a lab was put together from, kept for `lab status`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.part import Part


def part_fields(part: Part) -> dict[str, str]:
    """A part as plain text fields."""
    return {
        "name": part.name,
        "version": part.version,
        "source": part.source,
        "kind": part.kind,
        "path": str(part.path),
    }


def parts_text(parts: Sequence[Part]) -> str:
    """The file's text."""
    return json.dumps([part_fields(part) for part in parts], indent=1) + "\n"


def read_parts(path: Path) -> list[Part]:
    """The parts that the file lists; none when the lab was never up or the file is not readable."""
    try:
        listed: list[Any] = json.loads(path.read_text())
        return [Part(**{**fields, "path": Path(fields["path"])}) for fields in listed]
    except (OSError, ValueError, TypeError, KeyError):
        return []
