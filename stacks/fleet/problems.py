"""What is wrong with a fleet file, as text a person can act on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""Where a value stands in the file: `("nodes", 1, "host_key")` is shown as `nodes[1].host_key`."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SECRETS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.DOTALL), "(a private key, not shown)"),
    (re.compile(r"K10[0-9a-f]{64}::\S*"), "(a K3s token, not shown)"),
    (re.compile(r"(?<=://)[^/\s@]+@"), "(credentials, not shown)@"),
    (re.compile(r"(://[^\s?]*\?)\S+"), r"\1(query, not shown)"),
)
_SHOWN_CHARACTERS = 100


class RuleError(ValueError):
    """A value that a rule of the fleet file does not accept.

    Args:
        what: What is wrong with it, to be read after the key: "has no port".
        fix: What to do. Default None: an example of the key.
    """

    def __init__(self, what: str, *, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong.

    Args:
        path: The key. Default (): the file as a whole.
        what: What is wrong, to be read after the key.
        fix: What to do.
        given: The value, already fit to be shown. Default None: there is none, or it must not be shown.
        allowed: What the value may be. Default None: `what` says it.
        line: Line in the file. Default None: that of `path`, where the file is known.
    """

    path: KeyPath = ()
    what: str
    fix: str
    given: str | None = None
    allowed: str | None = None
    line: int | None = None


class FleetError(Exception):
    """A fleet file that cannot be used; `str()` is the whole text for the user, all problems at once.

    Args:
        source: The file, as the user named it.
        problems: At least one.
        lines: Line of each key of the file, default none.

    Attributes:
        problems: In the order of the file.
    """

    def __init__(self, *, source: str, problems: Sequence[Problem], lines: Mapping[KeyPath, int] | None = None) -> None:
        known = lines or {}
        placed = sorted(((problem.line or _line(problem.path, known), problem) for problem in problems), key=_position)
        self.problems = tuple(problem for _, problem in placed)
        count = "1 problem" if len(placed) == 1 else f"{len(placed)} problems"
        blocks = [_block(problem, source=source, line=line) for line, problem in placed]
        super().__init__("\n\n".join([f"{source}: {count}, nothing was changed", *blocks]))


def shown_path(path: KeyPath) -> str:
    """`path` as people write it: `nodes[1].host_key`, `nodes[0].labels["example.com/rack"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text


def shown_value(value: object) -> str:
    """`value` on one line, cut to 100 characters, with what looks like a secret taken out."""
    if isinstance(value, Mapping):
        return f"a mapping with the keys {', '.join(map(str, value))}" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}" if value else "an empty list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    text = repr(text)[1:-1]
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}… ({len(str(value))} characters)"
    return f'"{text}"' if isinstance(value, str) else text


def _line(path: KeyPath, lines: Mapping[KeyPath, int]) -> int | None:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


def _position(placed: tuple[int | None, Problem]) -> tuple[int, str]:
    line, problem = placed
    return (line or 0, shown_path(problem.path))


def _block(problem: Problem, *, source: str, line: int | None) -> str:
    place = source if line is None else f"{source}:{line}"
    subject = f"{shown_path(problem.path)}: " if problem.path else ""
    details = (("given", problem.given), ("allowed", problem.allowed), ("fix", problem.fix))
    return "\n".join(
        [
            f"{place}: {subject}{problem.what}",
            *(f"    {word + ':':8} {text}" for word, text in details if text),
        ]
    )
