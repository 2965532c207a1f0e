"""What example fleets synthesize to, as text that a review can read: `make snapshots` writes it anew.

For each fleet of tests/synth/snapshots: NAME.addresses.txt has every resource's Terraform address, and for small
fleets NAME.json the whole configuration. Scripts are named by their checksum in scripts.txt and cut in the JSON: there
a change of a script is one line, and says which steps will run again on every node.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from constructs_lib.cdk import Testing
from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.testing import synth
from stacks.edge_gpu import STACK, EdgeGpuStack
from stacks.fleet import load_fleet

FOLDER = Path(__file__).parent / "snapshots"
FLEETS = tuple(sorted(FOLDER.glob("*.yaml")))
LARGE = frozenset({"fifty-nodes"})
"""Fleets whose JSON says no more than a smaller one's, at a megabyte."""
_EDGE = Path("/edge")
_PROJECT = Path(__file__).resolve().parents[2]
_HEAD_ENDS = "\nset -eu\n"
_STEP = re.compile(r"^STEP=(\S+)$", re.MULTILINE)


def synthesized(fleet_file: Path) -> dict[str, Any]:
    """The configuration of a fleet, with its secrets and its state below /edge."""
    folder = _EDGE / fleet_file.stem
    stack = EdgeGpuStack(
        Testing.app(), STACK, fleet=load_fleet(fleet_file), identity=ClusterIdentity(folder), edge_folder=folder
    )
    return synth(stack)


def addresses(configuration: Mapping[str, Any]) -> str:
    """One address a line, sorted."""
    found = [
        f"{prefix}{kind}.{name}"
        for section, prefix in (("resource", ""), ("data", "data."))
        for kind, blocks in configuration.get(section, {}).items()
        for name in blocks
    ]
    return "".join(f"{address}\n" for address in sorted(found))


def scripts(configuration: Mapping[str, Any]) -> str:
    """One line for each step that runs on machines: its name, and its script's checksum without the parameters."""
    found = {
        f"{_STEP.findall(text)[0]} {_checksum(text[text.index(_HEAD_ENDS) :])}" for text in _uploads(configuration)
    }
    return "".join(f"{line}\n" for line in sorted(found))


def readable(configuration: Mapping[str, Any]) -> str:
    """The configuration as JSON without the text of scripts and their checksums, and without this checkout's paths."""
    text = json.dumps(_cut(configuration), indent=2, sort_keys=True) + "\n"
    return text.replace(sys.executable, "/project/.venv/bin/python").replace(str(_PROJECT), "/project")


def snapshots() -> Iterator[tuple[Path, str]]:
    """Every file of the snapshot with what belongs into it now."""
    whole = []
    for fleet_file in FLEETS:
        configuration = synthesized(fleet_file)
        whole.append(scripts(configuration))
        yield fleet_file.with_suffix(".addresses.txt"), addresses(configuration)
        if fleet_file.stem not in LARGE:
            yield fleet_file.with_suffix(".json"), readable(configuration)
    yield FOLDER / "scripts.txt", "".join(sorted({f"{line}\n" for text in whole for line in text.splitlines()}))


def main() -> int:
    """Write the snapshot anew; what changed is printed, and git shows how."""
    for path, text in snapshots():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {path.relative_to(Path.cwd())}")
    return 0


def _uploads(value: Any) -> Iterator[str]:
    """The text of every uploaded script."""
    if isinstance(value, dict):
        upload = value.get("file")
        if isinstance(upload, dict) and "content" in upload:
            yield upload["content"]
        for below in value.values():
            yield from _uploads(below)
    elif isinstance(value, list):
        for below in value:
            yield from _uploads(below)


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "..." if key == "script_sha256" else _cut(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_cut(below) for below in value]
    if not isinstance(value, str) or "\n" not in value:
        return value
    if _HEAD_ENDS in value:
        return [*value[: value.index(_HEAD_ENDS)].splitlines(), "..."]
    if value.startswith("{"):
        return value.splitlines()
    return [value.splitlines()[0], f"... {_checksum(value)}"]


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main())
