"""What Terraform says when a machine's SSH fails, in words that name node, step, cause and fix."""

from __future__ import annotations

import re
from collections.abc import Sequence

from scripts.resource_path import node_and_step

_ABOUT_SSH = re.compile(r"Error: (?:remote-exec|file) provisioner error\b")
_RESOURCE = re.compile(r"with \S+ \((?P<path>[^)]+)\)(?:\[[^]]*\])?,")
_ENDPOINT = re.compile(r"\d+\.\d+\.\d+\.\d+:\d+|\[[0-9a-f:]+\]:\d+")
_LOST = (
    "the connection was lost while the step ran",
    "the machine went away, rebooted, or its sshd ended",
    "look at the machine (uptime; journalctl -n 50), then deploy again: the step goes on from what is done",
)
_FAILURES = {
    r"knownhosts: key mismatch": (
        "its SSH host key is not the fleet file's; nothing was sent",
        "the machine was installed anew, the address is another machine's, or somebody is in between",
        "read the key on the machine itself (/etc/ssh/ssh_host_ecdsa_key.pub); only if it may be trusted, put it into"
        " the fleet file as the node's host_key",
    ),
    r"unable to authenticate": (
        "its sshd refuses the login",
        "the user or the key is not the one that the machine knows",
        "put the public key into ~/.ssh/authorized_keys of the fleet's ssh user on the machine",
    ),
    r"no route to host|network is unreachable|i/o timeout|last error: <nil>|connection refused|connection reset": (
        "no SSH connection",
        "nothing answers there",
        "is the machine on, is this its address, and does its firewall let the SSH port through? Then deploy again",
    ),
    r"remote command exited without exit status|connection lost|use of closed network connection|: EOF": _LOST,
}


def explain_ssh_failure(error: Sequence[str]) -> list[str]:
    """Lines to add below one of Terraform's errors; none when it is not about SSH.

    Args:
        error: the error's lines, as Terraform wrapped them.
    """
    text = " ".join(" ".join(error).split())
    # Helm and Kubernetes speak of connections too, to the API server.
    if not _ABOUT_SSH.match(text):
        return []
    resource = _RESOURCE.search(text)
    if resource is None:
        return []
    for pattern, (what, cause, fix) in _FAILURES.items():
        found = re.search(pattern, text)
        if found:
            node, step = node_and_step(resource["path"])
            endpoint = _ENDPOINT.search(text)
            seen = f" ({found[0]}{f' at {endpoint[0]}' if endpoint else ''})"
            return [f"  {node}: {what} (step {step})", f"  cause: {cause}{seen}", f"  fix: {fix}"]
    return []
