"""What is looked for where no secret may be."""

from __future__ import annotations

from pathlib import Path


def canaries(edge: Path) -> dict[str, str]:
    """Something that is only in this secret, by the secret's file: a password, or the middle of a private key.

    Args:
        edge: the fleet's folder, `.edge/<fleet>`.
    """
    found = {}
    for path in sorted(edge.rglob("*")):
        if path.name in ("token", "agent-token"):
            found[str(path.relative_to(edge))] = path.read_text().strip().rsplit(":", 1)[-1]
        elif path.suffix == ".key":
            lines = [line for line in path.read_text().splitlines() if not line.startswith("-")]
            found[str(path.relative_to(edge))] = max(lines, key=len)
    assert {"server/token", "server/agent-token", "agent/token", "admin/client.key"} <= set(found)
    assert all(len(canary) >= 16 for canary in found.values())
    return found
