"""A stack as text to review: `python -m tests.snapshots.snapshot` writes all of them anew."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.testing import synth
from stacks.fleet.model import Fleet
from tests.snapshots.fleets import FLEETS

FOLDER = Path(__file__).resolve().parent
_LONG = 200


def snapshot(name: str) -> dict[str, Any]:
    """Each resource of the fleet's stack by its address, and what is not a resource under its section's name.

    A text of several lines or over 200 characters (scripts) is its SHA-256, because its own file shows the change in
    review; but the hash is kept, because a changed script runs again on every node, which review has to see.
    The state's place is left out, since it differs from checkout to checkout.
    """
    from constructs_lib.cdk import Testing
    from stacks.edge_gpu import STACK, EdgeGpuStack

    edge_folder = Path("/edge") / name
    stack = EdgeGpuStack(
        Testing.app(),
        STACK,
        fleet=Fleet.model_validate(FLEETS[name]),
        identity=ClusterIdentity(edge_folder),
        edge_folder=edge_folder,
    )
    configuration = synth(stack)
    configuration.pop("//", None)
    configuration["terraform"].pop("backend", None)
    for provider in configuration["terraform"].get("required_providers", {}).values():
        # CDKTF and CDK Terrain write the same source in two ways.
        provider["source"] = provider["source"] if "/" in provider["source"] else f"hashicorp/{provider['source']}"
    found: dict[str, Any] = {}
    for section, prefix in (("resource", ""), ("data", "data.")):
        for type_, resources in configuration.pop(section, {}).items():
            found |= {f"{prefix}{type_}.{name_}": readable(body) for name_, body in resources.items()}
    return {**{section: readable(body) for section, body in configuration.items()}, **dict(sorted(found.items()))}


def readable(value: Any) -> Any:
    """`value` without the CDK's own notes, long texts as hashes."""
    if isinstance(value, dict):
        return {key: readable(item) for key, item in sorted(value.items()) if key != "//"}
    if isinstance(value, list):
        return [readable(item) for item in value]
    if isinstance(value, str):
        value = value.replace(sys.executable, "<python>").replace(str(FOLDER.parents[1]), "<checkout>")
    if isinstance(value, str) and (len(value) > _LONG or "\n" in value):
        return f"sha256:{hashlib.sha256(value.encode()).hexdigest()[:16]} ({value.count(chr(10)) + 1} lines)"
    return value


def as_text(found: dict[str, Any]) -> str:
    """One line a resource, so that the diff of a fleet of fifty names its fifty nodes and no more."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)}" for key, value in found.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def recreated(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What a deploy would recreate or lose, one line a resource; empty when every change is in place."""
    lines = []
    new = [address for address in after if "." in address and address not in before]
    for address, body in before.items():
        if "." not in address or address.startswith("data."):
            continue
        if address not in after:
            likely = [other for other in new if _what_it_is(other, after[other]) == _what_it_is(address, body)]
            lines.append(f"{address}: gone{f', perhaps now {likely[0]}: see moved()' if len(likely) == 1 else ''}")
        elif address.startswith("terraform_data."):
            changed = [
                key
                for key in {*body["triggers_replace"], *after[address]["triggers_replace"]}
                if body["triggers_replace"].get(key) != after[address]["triggers_replace"].get(key)
            ]
            if changed:
                lines.append(f"{address}: runs again, {', '.join(sorted(changed))} changed")
    return lines


def _what_it_is(address: str, body: dict[str, Any]) -> tuple[str, Any]:
    """What stays when a construct is renamed: the type, and what the resource does and where."""
    rest = {key: value for key, value in body.items() if key not in ("depends_on", "lifecycle")}
    return address.partition(".")[0], rest


def main() -> int:
    """Write every snapshot and say which changed."""
    for name in FLEETS:
        file = FOLDER / f"{name}.json"
        text = as_text(snapshot(name))
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            print(f"{file.name}: written anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
