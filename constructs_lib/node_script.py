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

_LOCK_IS_TAKEN = 75

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


def lock_path(script: str) -> str:
    """The file whose lock a run of the step at `script` holds until its last process ended."""
    return f"{script.removesuffix('.sh')}.lock"


def receive_step(path: str, *, step: str, node: str, time_limit_seconds: int, with_secrets: bool = False) -> str:
    """The command that makes room for a step's upload, once an earlier run of the same step has ended.

    A deploy that lost its connection, or was killed, leaves its script running: it must neither read a new text in the
    middle of its own, nor remove the secrets that belong to the next run.

    Args:
        path: Where the script will lie, from the user's home.
        step: Step name for messages.
        node: Machine name for messages.
        time_limit_seconds: The step's own limit; an earlier run is waited for a little longer than that.
        with_secrets: Whether the step has secrets, default no.
    """
    lock = lock_path(path)
    limit = time_limit_seconds + 2 * KILL_AFTER_SECONDS
    return "\n".join(
        [
            f"install -d -m 0700 {NODE_FOLDER} && : >>{lock} || exit 1",
            f"if ! flock --nonblock {lock} true; then",
            f'  echo "{node} {step}: an earlier run of this step is still at work: waiting up to {limit} s"',
            f"  if ! flock --timeout {limit} {lock} true; then",
            f'    echo "ERROR node={node} step={step}: an earlier run of this step does not end" >&2',
            f'    echo "  cause: a process still holds {lock} after {limit} s" >&2',
            '    echo "  fix: on this machine, sudo lslocks names the process; end it, then deploy again" >&2',
            "    exit 1",
            "  fi",
            "fi",
            *([f"install -d -m 0700 {secrets_path(path)}"] if with_secrets else []),
        ]
    )


def run_as_root(path: str, *, step: str, node: str, time_limit_seconds: int, arguments: Sequence[str] = ()) -> str:
    """The command that runs an uploaded script as root, alone and under a time limit, and explains how that can fail.

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
            # timeout comes first: it must lead the terminal's foreground group, else a program that asks the terminal
            # for something is stopped for good.
            f"sudo -n timeout --kill-after={KILL_AFTER_SECONDS} {time_limit_seconds} flock --no-fork --nonblock "
            f"--conflict-exit-code {_LOCK_IS_TAKEN} {lock_path(path)} sh {path}{words} && exit 0 || code=$?",
            f'if [ "$code" -eq {_LOCK_IS_TAKEN} ]; then',
            f'  echo "{where}: another deploy runs this step right now" >&2',
            '  echo "  fix: wait for its end, then deploy again" >&2',
            "fi",
            'if [ "$code" -eq 124 ] || [ "$code" -eq 137 ]; then',
            f'  echo "{where}: ended after the time limit of {time_limit_seconds} s" >&2',
            f"  sudo -n rm -rf {secrets_path(path)}",
            "fi",
            'exit "$code"',
        ]
    )


def terraform_literal(text: str) -> str:
    """`text` with Terraform's template sequences escaped, so that shell's `${x}` and curl's `%{x}` stay as they are."""
    return text.replace("${", "$${").replace("%{", "%%{")
