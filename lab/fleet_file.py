"""Writes the fleet file of a lab: what a user would write by hand for machines like these."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from lab.nodes import ReadyNode
from lab.settings import SSH_USER, LabSettings
from lab.site import Site

_HEADER = """\
# Written by `python -m lab up`: the embedded lab's nodes. Changes here are overwritten by its next run.
# For machines of your own start from fleets/example.yaml.
"""


def fleet_text(settings: LabSettings, *, nodes: Sequence[ReadyNode], site: Site) -> str:
    """The fleet file's text.

    Args:
        settings: the lab.
        nodes: all of them, in the file's order.
        site: where the nodes get K3s, the toolkit, the chart and the images.
    """
    fleet = {
        "name": settings.fleet_name,
        "ssh": {"user": SSH_USER, "private_key_path": str(settings.private_key)},
        "nodes": [
            {
                "name": ready.node.name,
                "address": ready.node.address,
                "role": ready.node.role,
                "host_key": ready.host_key,
                "gpus": ready.node.gpus,
            }
            for ready in nodes
        ],
        **site.fleet_values(mirror_url=f"http://{settings.site_address}"),
    }
    return _HEADER + yaml.safe_dump(fleet, sort_keys=False, width=4096)


def write_if_changed(path: Path, text: str) -> bool:
    """Write a file whole or not at all; whether anything changed."""
    if path.is_file() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text)
    unfinished.replace(path)
    return True
