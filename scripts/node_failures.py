"""Which node failed in which phase, from what cdktf printed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from scripts.cdktf_output import without_frame
from scripts.resource_path import node_and_step

_SCRIPT_ERROR = re.compile(r"ERROR node=(?P<node>\S+) step=(?P<phase>[^:\s]+): (?P<text>.*)")
_FAILED_RESOURCE = re.compile(r"\s*with [^\s\[]+ \((?P<path>[^)]+)\)(?:\[\"(?P<instance>[^\"]+)\"\])?,$")
_NO_WORDS = re.compile(r"\s*(?:$|with |on cdk\.tf\.json line|\d+:\s|Invoking (?:Terraform|OpenTofu))")
_WORDS_SHOWN = 400


@dataclass(frozen=True, kw_only=True)
class NodeFailure:
    """Where a node's part of a deploy ended.

    Attributes:
        phase: the step, for example "preflight", "toolkit", "k3s", "gpu-gate".
        text: what went wrong, one line.
    """

    phase: str
    text: str


def node_failures(lines: Iterable[str], *, nodes: Collection[str]) -> dict[str, NodeFailure]:
    """The first failure of each node that has one. What a step's script said wins over Terraform's words.

    Args:
        lines: all that cdktf printed.
        nodes: names of the fleet's nodes.
    """
    texts = [without_frame(line) for line in lines]
    by_script: dict[str, NodeFailure] = {}
    for said in filter(None, map(_SCRIPT_ERROR.search, texts)):
        if said["node"] in nodes:
            by_script.setdefault(said["node"], NodeFailure(phase=said["phase"], text=said["text"].strip()))
    by_terraform: dict[str, NodeFailure] = {}
    for block in _blocks(texts):
        for resource in filter(None, map(_FAILED_RESOURCE.match, block)):
            if resource["instance"] in nodes:
                node, phase = str(resource["instance"]), "removal"
            else:
                node, phase = node_and_step(resource["path"], nodes=nodes)
            if node:
                words = " ".join(line.strip() for line in block if not _NO_WORDS.match(line))
                by_terraform.setdefault(node, NodeFailure(phase=phase, text=words[:_WORDS_SHOWN]))
    return {**by_terraform, **by_script}


def _blocks(texts: Iterable[str]) -> list[list[str]]:
    """Terraform's errors, each from its title to the next one's."""
    blocks: list[list[str]] = []
    for text in texts:
        if text.startswith("Error: "):
            blocks.append([text.removeprefix("Error: ")])
        elif blocks:
            blocks[-1].append(text)
    return blocks
