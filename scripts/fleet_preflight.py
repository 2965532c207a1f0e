"""The preflight of a whole fleet: what each node found, and what only shows between nodes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from constructs_lib.ssh_access import SshResult

_SAME_IS_WRONG = {
    "machine_id": (
        "machine-id",
        "cloned machines: their network interfaces and journals get the same identity",
        "on all but one: rm /etc/machine-id && systemd-machine-id-setup, then reboot",
    ),
    "host_name": ("host-name", "cloned machines, or names that were never set", "hostnamectl set-hostname {node}"),
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """One check's result on one node.

    Attributes:
        result: `ok`, `warning` or `error`.
        check: the check's name.
        what: what was found, or seen when all is well.
        cause: why, empty when all is well.
        fix: what to do, empty when all is well.
    """

    result: str
    check: str
    what: str
    cause: str = ""
    fix: str = ""

    def as_json(self) -> dict[str, str]:
        """For build/preflight.json."""
        return {"result": self.result, "check": self.check, "what": self.what, "cause": self.cause, "fix": self.fix}


@dataclass(frozen=True, kw_only=True)
class NodePreflight:
    """One node's results.

    Attributes:
        node: its name.
        results: in the order they were made.
        facts: what is compared between nodes.
    """

    node: str
    results: Sequence[Result]
    facts: Mapping[str, str] = field(default_factory=dict)

    def count(self, result: str) -> int:
        """How many results are `ok`, `warning` or `error`."""
        return sum(found.result == result for found in self.results)

    def as_json(self) -> dict[str, Any]:
        """For build/preflight.json."""
        return {
            "node": self.node,
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "facts": dict(self.facts),
            "checks": [result.as_json() for result in self.results],
        }


def node_preflight(node: str, answer: SshResult, *, address: str, user: str) -> NodePreflight:
    """What a node's answer to `preflight.sh` says; an answer that cannot be read is an error of that node."""
    said = " ".join((answer.stderr or answer.stdout).split())
    if answer.code == 0:
        try:
            read = json.loads(answer.stdout)
            return NodePreflight(
                node=node, results=[Result(**result) for result in read["checks"]], facts=dict(read["facts"])
            )
        except (KeyError, TypeError, ValueError) as error:
            return _failed(
                node, "preflight", "the checks' answer cannot be read", f"{error}: {said}", "look at the node"
            )
    if "sudo:" in said:
        return _failed(
            node, "sudo", f"{user} may not use sudo without a password", said,
            f"add '{user} ALL=(ALL) NOPASSWD: ALL' to a file in /etc/sudoers.d",
        )  # fmt: skip
    if not answer.reached:
        if "Host key verification failed" in said or "IDENTIFICATION HAS CHANGED" in said:
            return _failed(
                node, "ssh", f"{address} has another host key than the fleet file pins", said,
                "compare ssh-keygen -lf /etc/ssh/ssh_host_ecdsa_key.pub on the node's console; then correct host_key",
            )  # fmt: skip
        return _failed(
            node, "ssh", f"{address} cannot be logged into", said, f"ssh {user}@{address} by hand; is the node up?"
        )
    return _failed(node, "preflight", f"the checks ended with exit code {answer.code}", said, "look at the node")


def compared(nodes: Sequence[NodePreflight]) -> list[NodePreflight]:
    """The same nodes; those that share what must be unique get an error each."""
    return [replace(node, results=[*node.results, *_shared(node, nodes)]) for node in nodes]


def as_json(fleet: str, nodes: Sequence[NodePreflight]) -> dict[str, Any]:
    """For build/preflight.json."""
    return {
        "fleet": fleet,
        "errors": total(nodes, "error"),
        "warnings": total(nodes, "warning"),
        "nodes": [node.as_json() for node in nodes],
    }


def total(nodes: Iterable[NodePreflight], result: str) -> int:
    """How many results of one kind all nodes have."""
    return sum(node.count(result) for node in nodes)


def _shared(node: NodePreflight, nodes: Sequence[NodePreflight]) -> Iterator[Result]:
    for fact, (check, cause, fix) in _SAME_IS_WRONG.items():
        value = node.facts.get(fact)
        same = [other.node for other in nodes if other is not node and value and other.facts.get(fact) == value]
        if same:
            yield Result(
                result="error",
                check=check,
                what=f"its {fact.replace('_', ' ')} {value} is the same as that of {', '.join(same)}",
                cause=cause,
                fix=fix.format(node=node.node),
            )


def _failed(node: str, check: str, what: str, cause: str, fix: str) -> NodePreflight:
    return NodePreflight(node=node, results=[Result(result="error", check=check, what=what, cause=cause, fix=fix)])
