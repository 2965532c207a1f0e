"""Makes cdktf's output readable, and finds the cause in it when a command fails."""

from __future__ import annotations

import re
from collections.abc import Iterable

CAUSE_LINES = 40

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def without_colour(text: str) -> str:
    """The text without the terminal's control sequences, which `--no-color` leaves in cdktf's own messages."""
    return _COLOUR.sub("", text)


def cause(lines: Iterable[str]) -> list[str]:
    """What made a command fail: Terraform's error boxes, each once; without any, the last lines that say something.

    Args:
        lines: all that the command printed.
    """
    said = [without_colour(line).rstrip() for line in lines]
    boxes: list[list[str]] = []
    box: list[str] | None = None
    for line in said:
        # cdktf puts the stack's name before the first line of what it passes on, and spaces before the others.
        start = line.find("╷")
        if start >= 0:
            box = []
        elif box is not None and "╵" in line:
            if any("Error:" in inner for inner in box) and box not in boxes:
                boxes.append(box)
            box = None
        elif box is not None:
            box.append(line[line.find("│") + 1 :].strip() if "│" in line else line.strip())
    found = [line for one in boxes for line in one if line]
    return (found or [line for line in said if line.strip()])[-CAUSE_LINES:]
