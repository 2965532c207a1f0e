"""Which files of a folder a `.dockerignore` keeps from the engine, by Docker's own rules."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Rule:
    expression: re.Pattern[str]
    keeps: bool


class DockerIgnore:
    """The rules of one `.dockerignore`; the last rule that matches a path, or a folder above it, decides.

    Args:
        text: The file's content; empty: nothing is ignored.

    Raises:
        ValueError: A pattern that Docker refuses, with its line number.
    """

    def __init__(self, text: str) -> None:
        self._rules: list[_Rule] = []
        for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
            if line.startswith("#") or not line.strip():
                continue
            self._rules.append(_rule(line.strip(), number=number))

    @property
    def has_exceptions(self) -> bool:
        """Whether a file below an ignored folder may be kept, so that the folder has to be looked into."""
        return any(rule.keeps for rule in self._rules)

    def ignores(self, path: str) -> bool:
        """Whether `path` stays out.

        Args:
            path: Relative to the context, with `/`.
        """
        ignored = False
        candidates = _with_parents(path)
        for rule in self._rules:
            if rule.keeps is ignored and any(rule.expression.fullmatch(candidate) for candidate in candidates):
                ignored = not rule.keeps
        return ignored


def _with_parents(path: str) -> Sequence[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]


def _rule(pattern: str, *, number: int) -> _Rule:
    keeps = pattern.startswith("!")
    pattern = pattern.removeprefix("!").strip()
    cleaned = posixpath.normpath(pattern).removeprefix("/") if pattern else ""
    if not cleaned:
        raise ValueError(f".dockerignore line {number}: {'!' if keeps else ''}{pattern} names nothing; remove the line")
    try:
        return _Rule(expression=re.compile(_expression(cleaned), re.DOTALL), keeps=keeps)
    except re.error as error:
        raise ValueError(f".dockerignore line {number}: {pattern!r} is no pattern: {error}") from error


def _expression(pattern: str) -> str:
    result = ""
    index = 0
    while index < len(pattern):
        character = pattern[index]
        if pattern.startswith("**", index):
            index += 2
            if index == len(pattern):
                result += ".*"
            else:
                index += pattern.startswith("/", index)
                result += "(.*/)?"
            continue
        if character == "\\" and index + 1 < len(pattern):
            index += 1
            result += re.escape(pattern[index])
        elif character == "*":
            result += "[^/]*"
        elif character == "?":
            result += "[^/]"
        elif character in "[]^-":
            # A class, as it stands; Python's and Go's agree on these.
            result += character
        else:
            result += re.escape(character)
        index += 1
    return result
