"""Shell text for a machine: parameters, the shared beginning and one step's script joined to one file."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

NODE_FOLDER = ".edge-gpu"
"""Folder in the SSH user's home, mode 0700: holds the steps as last run, and nothing secret once they ended."""

KILL_AFTER_SECONDS = 10
"""How long a script that ignored the time limit's TERM may go on before it is killed."""

_INCLUDE = re.compile(r"^# include: (shared_[a-z0-9_]+\.sh)\n", re.MULTILINE)


def node_script(script: str, *, step: str, node: str, parameters: Mapping[str, str]) -> str:
    """One self-contained script: a person can run it again on the machine as it lies there.

    Args:
        script: File name in this package, for example `k3s_node.sh`.
        step: Step name for messages.
        node: Machine name for messages.
        parameters: Shell variables by name.

    Raises:
        ValueError: A name in `parameters` is no upper-case shell variable name.
    """
    return f"{script_head(script, step=step, node=node, parameters=parameters)}{script_body(script)}"


def script_head(script: str, *, step: str, node: str, parameters: Mapping[str, str]) -> str:
    """The beginning of `node_script`: what differs from machine to machine. It raises what that raises."""
    for name in parameters:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            raise ValueError(
                f"{script}: parameter {name!r} is no shell variable name; use upper case, like K3S_VERSION"
            )
    values = {"STEP": step, "NODE": node, **parameters}
    assignments = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    return f"#!/bin/sh\n{assignments}"


@cache
def script_body(script: str) -> str:
    """The rest of `node_script`, the same on every machine.

    Args:
        script: File name in this package.
    """
    return f"{_text('node_script.sh', included=set())}{_text(script, included=set())}"


def _text(script: str, *, included: set[str]) -> str:
    """A script with each `# include: shared_NAME.sh` replaced by that file, once however often it is asked for."""

    def include(line: re.Match[str]) -> str:
        if line[1] in included:
            return ""
        included.add(line[1])
        return _text(line[1], included=included)

    return _INCLUDE.sub(include, files("constructs_lib").joinpath(script).read_text(encoding="utf-8"))


def step_record(script: str, *, step: str, node: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """What a step's resource remembers of it, for readers of a plan: nothing that runs uses it.

    Args:
        script: File name in this package.
        step: Step name.
        node: Machine name.
        parameters: Shell variables by name; nothing secret.
    """
    bare = node_script(script, step=step, node=node, parameters={})
    return {**parameters, "STEP": step, "NODE": node, "SCRIPT": f"{script} {hashlib.sha256(bare.encode()).hexdigest()}"}


def script_path(*, step: str, node: str) -> str:
    """Where a step lies, in the user's home. A server runs a step of the same name for several nodes, side by side."""
    return f"{NODE_FOLDER}/{step}-{node}.sh"


def secrets_path(script: str) -> str:
    """The folder whose contents belong to the step at `script`: what the step itself calls `$SECRETS`."""
    return f"{script.removesuffix('.sh')}.secrets"


def run_as_root(path: str, *, step: str, node: str, time_limit_seconds: int, arguments: Sequence[str] = ()) -> str:
    """The command that runs an uploaded script as root under a time limit and explains the two ways it can fail.

    Args:
        path: Where the script lies, from the user's home.
        step: Step name for messages.
        node: Machine name for messages.
        time_limit_seconds: When the script is ended.
        arguments: What the script gets as `$1` and so on; a Terraform expression is quoted by its result.
    """
    words = "".join(f' "{argument}"' for argument in arguments)
    where = f"ERROR node={node} step={step}"
    return "\n".join(
        [
            "if ! sudo -n true; then",
            f'  echo "{where}: $(id -un) may not use sudo without a password" >&2',
            "  echo \"  fix: add '$(id -un) ALL=(ALL) NOPASSWD: ALL' to a file in /etc/sudoers.d\" >&2",
            "  exit 1",
            "fi",
            f"sudo -n timeout --kill-after={KILL_AFTER_SECONDS} {time_limit_seconds} sh {path}{words} && exit 0 "
            "|| code=$?",
            f'if [ "$code" -eq 124 ] || [ "$code" -eq 137 ]; then echo "{where}: ended after the time limit of '
            f'{time_limit_seconds} s" >&2; fi',
            'exit "$code"',
        ]
    )


def terraform_literal(text: str) -> str:
    """`text` with Terraform's template sequences escaped, so that shell's `${x}` and curl's `%{x}` stay as they are."""
    return text.replace("${", "$${").replace("%{", "%%{")
