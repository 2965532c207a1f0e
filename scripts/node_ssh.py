"""Runs a script on a node with OpenSSH's client, over the same way, keys and host keys as Terraform."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stacks.fleet import Fleet
from stacks.fleet.model import Bastion, Node

CONNECT_TIMEOUT_SECONDS = 10
SCRIPT_TIMEOUT_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a node said.

    Attributes:
        code: exit code; 255 is ssh's own, None that the time limit ended it.
        output: standard output.
        errors: standard error.
    """

    code: int | None
    output: str
    errors: str


def run_script(fleet: Fleet, node: Node, *, script: str, arguments: Sequence[str] = ()) -> Answer:
    """Run a shell script as root on a node; it comes in over standard input, and no file is written there.

    Args:
        fleet: how to log in.
        node: where.
        script: its text.
        arguments: its `$1` and so on.
    """
    words = " ".join(shlex.quote(argument) for argument in arguments)
    with tempfile.TemporaryDirectory(prefix="edge-gpu-") as folder:
        known_hosts = Path(folder, "known_hosts")
        known_hosts.write_text(_known_hosts(fleet, node))
        command = [*ssh_command(fleet, node, known_hosts=known_hosts), f"sudo -n sh -s -- {words}"]
        try:
            done = subprocess.run(
                command,
                input=script,
                capture_output=True,
                text=True,
                timeout=SCRIPT_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Answer(code=None, output="", errors=f"no answer within {SCRIPT_TIMEOUT_SECONDS} s")
        except FileNotFoundError:
            return Answer(code=255, output="", errors="ssh is not installed here: apt-get install openssh-client")
    return Answer(code=done.returncode, output=done.stdout, errors=done.stderr)


def ssh_command(fleet: Fleet, node: Node, *, known_hosts: Path) -> list[str]:
    """The command line that logs in; it has no secret in it, and no configuration of the operator's counts.

    Args:
        fleet: user, key or agent, bastion.
        node: where.
        known_hosts: file with the host keys that the fleet file pins.
    """
    ssh = fleet.ssh
    options = _options(fleet, known_hosts=known_hosts, checked=node.host_key is not None)
    if ssh.bastion is not None:
        hop = [*_options(fleet, known_hosts=known_hosts, checked=True), "-W", "[%h]:%p", *_target(ssh.bastion)]
        options += ["-o", f"ProxyCommand={shlex.join(hop)}"]
    return [*options, "-p", str(node.port), "-l", ssh.user, "--", node.address]


def _target(bastion: Bastion) -> list[str]:
    return ["-p", str(bastion.port), "-l", bastion.user, "--", bastion.address]


def _options(fleet: Fleet, *, known_hosts: Path, checked: bool) -> list[str]:
    key = fleet.ssh.private_key_path
    settings = {
        "BatchMode": "yes",
        "ConnectTimeout": str(CONNECT_TIMEOUT_SECONDS),
        "ServerAliveInterval": "10",
        "StrictHostKeyChecking": "yes" if checked else "no",
        "UserKnownHostsFile": str(known_hosts) if checked else "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
        **({"IdentitiesOnly": "yes", "IdentityAgent": "none"} if key is not None else {}),
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    return ["ssh", "-F", "none", *(["-i", str(key)] if key is not None else []), *options]


def _known_hosts(fleet: Fleet, node: Node) -> str:
    pinned = [(node.address, node.port, node.host_key)]
    if fleet.ssh.bastion is not None:
        bastion = fleet.ssh.bastion
        pinned.append((bastion.address, bastion.port, bastion.host_key))
    return "".join(
        f"{address if port == 22 else f'[{address}]:{port}'} {key}\n"
        for address, port, key in pinned
        if key is not None
    )
