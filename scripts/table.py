"""Plain-text tables."""

from __future__ import annotations

from collections.abc import Sequence

Cell = str | Sequence[str]
"""One line, or several below each other."""


def render(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """The table as text, columns as wide as their longest line, without spaces at line ends.

    Args:
        header: one word or two a column.
        rows: cells in the order of `header`.
    """
    lines: list[Sequence[str]] = [header]
    for row in rows:
        cells = [[cell] if isinstance(cell, str) else list(cell) or [""] for cell in row]
        height = max(len(cell) for cell in cells)
        lines += [[cell[n] if n < len(cell) else "" for cell in cells] for n in range(height)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    ruled = [lines[0], ["-" * width for width in widths], *lines[1:]]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in ruled
    )
