"""Texts that CDKTF's HCL writer can write."""

from __future__ import annotations

import base64
import re

_EXPRESSION = re.compile(r"(?<!\$)\$\{|(?<!%)%\{")
_NEEDS_QUOTING = re.compile(r'^[\[{]|["\n\\]|\$\$\{|%\{')


def encoded(text: str) -> str:
    """`text` with its literal parts as expressions without quotes to escape; unchanged when it needs none.

    Args:
        text: A Terraform template: `$${` in it stands for `${`.
    """
    if not _NEEDS_QUOTING.search(text):
        return text
    parts, rest = [], text
    while found := _EXPRESSION.search(rest):
        end = _end_of_expression(rest, found.end())
        parts += [_literal(rest[: found.start()]), rest[found.start() : end]]
        rest = rest[end:]
    return "".join([*parts, _literal(rest)])


def _end_of_expression(text: str, position: int) -> int:
    depth, quoted = 1, False
    while depth:
        character = text[position]
        if character == '"' and text[position - 1] != "\\":
            quoted = not quoted
        elif not quoted and character in "{}":
            depth += 1 if character == "{" else -1
        position += 1
    return position


def _literal(text: str) -> str:
    plain = text.replace("$${", "${").replace("%%{", "%{")
    return f'${{base64decode("{base64.b64encode(plain.encode()).decode()}")}}' if text else ""
