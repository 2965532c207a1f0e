"""The labels by which the lab knows what is its own on a Docker engine that others use too."""

from __future__ import annotations

from lab.settings import LabNode, LabSettings

LAB = "edge-gpu-lab.lab"
NODE = "edge-gpu-lab.node"
ROLE = "edge-gpu-lab.role"
GPUS = "edge-gpu-lab.gpus"
# The checkout whose key and fleet file go with a node.
CHECKOUT = "edge-gpu-lab.checkout"
# What a container was made from, as a content key: another key is another container.
MADE_FROM = "edge-gpu-lab.made-from"


def lab_labels(settings: LabSettings) -> dict[str, str]:
    """Labels of everything that belongs to a lab."""
    return {LAB: settings.name}


def node_labels(settings: LabSettings, node: LabNode) -> dict[str, str]:
    """Labels of a node's container and volumes."""
    return {
        **lab_labels(settings),
        NODE: node.name,
        ROLE: node.role,
        GPUS: str(node.gpus),
        CHECKOUT: str(settings.project),
    }


def lab_filter(settings: LabSettings) -> dict[str, str | list[str] | bool]:
    """The engine's filter for everything that belongs to a lab."""
    return {"label": f"{LAB}={settings.name}"}
