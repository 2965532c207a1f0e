"""Whether a bundle is for a fleet, and the part of it that Terraform itself needs: the device plugin's chart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.cache import file_sha256
from scripts.bundle_file import read_manifest, unpack_file
from scripts.errors import CommandError
from stacks.fleet import Fleet


def identity(fleet: Fleet, *, architecture: str) -> dict[str, Any]:
    """What a bundle must have in common with a fleet to serve it; in words that a message can show."""
    return {
        "architecture": architecture,
        "k3s": fleet.k3s.version,
        "k3s_sha256": fleet.k3s.sha256.get(architecture, ""),
        "container_toolkit": fleet.container_toolkit.version,
        "device_plugin": fleet.device_plugin.chart_version,
    }


def check_serves(manifest: dict[str, Any], *, fleet: Fleet, bundle: Path) -> None:
    """Whether a bundle is for this fleet.

    Raises:
        CommandError: it is for another architecture or version.
    """
    architectures = sorted({node.architecture for node in fleet.nodes})
    if manifest.get("architecture") not in architectures:
        raise CommandError(
            f"{bundle}: is for {manifest.get('architecture')}, the fleet's nodes are {' and '.join(architectures)}. "
            "Fix: make one with --architecture"
        )
    for key, wanted in identity(fleet, architecture=str(manifest["architecture"])).items():
        if manifest.get(key) != wanted:
            raise CommandError(
                f"{bundle}: holds {key} {manifest.get(key)}, the fleet file wants {wanted}. Fix: make the bundle anew"
            )


def chart_of_bundle(fleet: Fleet, *, edge_folder: Path) -> Path | None:
    """Where the device plugin's chart lies after it was taken out of the fleet's bundle; None without a bundle.

    Args:
        fleet: the parsed fleet file.
        edge_folder: absolute path of `.edge/<fleet>`; the chart is kept there and taken out again when it changed.

    Raises:
        CommandError: there is no such bundle, it is damaged, or it is for another fleet.
    """
    if fleet.bundle is None:
        return None
    bundle = fleet.bundle.path
    if not bundle.is_file():
        raise CommandError(
            f"bundle.path: {bundle} does not exist. Fix: name a bundle in one piece; join parts with cat"
        )
    manifest = read_manifest(bundle)
    check_serves(manifest, fleet=fleet, bundle=bundle)
    path = f"charts/nvidia-device-plugin-{fleet.device_plugin.chart_version}.tgz"
    wanted = next((file["sha256"] for file in manifest["files"] if file["path"] == path), None)
    target = edge_folder / "bundle" / Path(path).name
    if wanted is not None and not (target.is_file() and file_sha256(target) == wanted):
        unpack_file(bundle, path=path, sha256=wanted, target=target)
    return target
