"""Whether a secret of the fleet got to where it does not belong."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping

from scripts.checkout import BUILD, LOGS, STACK_DIRECTORY
from tests.lab.canaries import canaries
from tests.lab.faults.fault_lab import EDGE, container

_SEARCH = (
    # /proc is searched apart: of a process another user reads its arguments, and some other files have no end.
    "cat >/tmp/canaries; cd /; grep -rlFs -f /tmp/canaries --exclude=canaries --devices=skip "
    "etc home opt root run tmp usr/local var/log var/lib/rancher; "
    "grep -lFs -f /tmp/canaries /proc/[0-9]*/cmdline /proc/[0-9]*/environ; rm /tmp/canaries"
)


def assert_no_leak(outputs: Mapping[str, str], *, nodes: Iterable[str]) -> None:
    """That no secret is in an output, in the state, the stack, the logs, or where another user of a node can read it.

    Args:
        outputs: what commands printed, by a name for the message.
        nodes: running nodes to search.
    """
    secrets = canaries(EDGE)
    places = [EDGE / "terraform.tfstate", *STACK_DIRECTORY.glob("*.json"), *LOGS.rglob("*.log"), *BUILD.glob("*.json")]
    texts = {**outputs, **{str(path): path.read_text(errors="replace") for path in places if path.is_file()}}
    for secret, canary in secrets.items():
        for place, text in texts.items():
            assert canary not in text, f"{secret} is in {place}"
    for node in nodes:
        assert "etc/debian_version" in _readable(node, ["12."]), f"the search on {node} finds nothing"
        assert _readable(node, list(secrets.values())) == [], f"on {node} any user can read a secret"
        left = _as("root", node, "ls -d /home/edge/.edge-gpu/*.secrets 2>&- || :")
        assert left == "", f"{node}: secrets are left where steps are uploaded: {left}"


def _readable(node: str, words: list[str]) -> list[str]:
    return _as("nobody", node, _SEARCH, stdin="\n".join(words) + "\n").split()


def _as(user: str, node: str, script: str, *, stdin: str = "") -> str:
    done = subprocess.run(
        ["docker", "exec", "-i", "-u", user, container(node), "sh", "-c", script],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == "", done.stderr
    return done.stdout
