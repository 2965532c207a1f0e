"""Which machine and which step a resource belongs to, by its path in the stack."""

from __future__ import annotations

from collections.abc import Collection

_RESOURCES = ("run", "on-destroy")
"""What the resource of a step is called below it; any other resource is its own step."""
_LEVELS = ("machine", "node")
"""Levels of the tree that are no step."""


def node_and_step(path: str, *, nodes: Collection[str] | None = None) -> tuple[str, str]:
    """Node and step of `<construct>/<node>/.../<step>/<resource>`, for example of `cluster/gpu-1/node/k3s/run`.

    Args:
        path: The resource's path, as cdktf prints it behind an address.
        nodes: Names of the fleet's nodes; both results are empty for a resource of none of them. Default None: not
            known, so it is taken for a node's.
    """
    parts = path.split("/")
    if nodes is None:
        index = min(1, len(parts) - 1)
    else:
        index = next((index for index, part in enumerate(parts) if part in nodes), -1)
        if index < 0:
            return "", ""
    below = [part for part in parts[index + 1 :] if part not in _LEVELS]
    if below and below[-1] in _RESOURCES:
        below.pop()
    return parts[index], below[-1] if below else "unknown"
