"""The kit for `prove-apply.sh`: a node's root file system, Terraform, the bundle and the stack of one GPU node.

It lets a machine with a GPU and no network, no systemd and no Docker run the whole path: `terraform apply` over SSH.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from constructs_lib.cluster_identity import ClusterIdentity
from lab.artifacts.command import BuildError, run_command
from lab.artifacts.gpu_check_image import GPU_CHECK_KERNEL_ARCHIVE, GPU_CHECK_KERNEL_IMAGE, build_gpu_check_kernel_image
from lab.cache import file_sha256
from lab.errors import LabError
from lab.progress import Progress
from scripts import bundle
from scripts.apply_kit_parts import add_node_root, add_programs
from scripts.bundle_fleet import chart_of_bundle
from scripts.checkout import ROOT
from scripts.errors import CommandError
from scripts.terraform import find_terraform
from stacks.fleet import FleetError, load_fleet

KIT = Path("/var/lib/edge-gpu-apply")
NODE = "gpu-1"
NODE_ADDRESS = "10.77.0.11"
OPERATOR_ADDRESS = "10.77.0.1"

_FLEET_NAME = "apply-proof"
_PACK_TIMEOUT_SECONDS = 300.0
_START_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One stack of the kit: the fleet file's values that differ.

    Attributes:
        name: of the stack's folder.
        values: by top-level key of the fleet file, merged into its mapping.
    """

    name: str
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


VARIANTS = (
    Variant(name="edge-gpu"),
    Variant(name="time-slicing", values={"device_plugin": {"time_slicing": {"replicas": 2}}}),
    Variant(name="cdi", values={"device_plugin": {"device_list_strategy": "cdi-cri"}}),
)
"""In the order in which the proof applies them, all to the same state."""
_NEEDS_A_DRIVER = {"cdi"}
"""What the plugin cannot do with the lab's stand-in: it looks for the files of a whole driver."""


def main(arguments: list[str] | None = None) -> int:
    """Make a kit. Exit code 0, or 1 after one message."""
    parser = argparse.ArgumentParser(prog="python -m scripts.apply_kit", description=__doc__)
    parser.add_argument(
        "fleet", type=Path, help="a lab's fleet file, while the lab is up: versions and addresses come from it"
    )
    parser.add_argument("-o", "--output", type=Path, help="also pack the kit into this tar, to unpack at /")
    parser.add_argument(
        "--directory", type=Path, default=KIT, help=f"where the kit lies, here and there (default {KIT})"
    )
    parser.add_argument("--gpus", type=int, default=1, help="GPUs of the machine (default 1)")
    parser.add_argument(
        "--stand-in-gpus", action="store_true", help="for a rehearsal: the node gets the lab's stand-in driver"
    )
    options = parser.parse_args(arguments)
    try:
        make_kit(options.fleet, directory=options.directory, gpus=options.gpus, stand_ins=options.stand_in_gpus)
        if options.output is not None:
            pack(options.directory, output=options.output)
    except (CommandError, FleetError, BuildError, LabError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def make_kit(
    fleet_path: Path, *, directory: Path, gpus: int, stand_ins: bool, progress: Progress | None = None
) -> None:
    """Make the kit where it will lie: its stacks name absolute paths.

    Args:
        fleet_path: a lab's fleet file; the lab's site mirror answers.
        directory: absolute; what is there of an earlier kit is removed.
        gpus: how many the machine has.
        stand_ins: whether the node gets the lab's stand-in driver, and a check without a CUDA kernel.
        progress: where the steps are said.

    Raises:
        CommandError, FleetError, BuildError, LabError: with what is wrong and the fix.
    """
    if not directory.is_absolute():
        raise CommandError(f"the kit's directory must be absolute, got {directory}")
    if (directory / "run").exists():
        raise CommandError(f"{directory}/run exists: a proof runs there. Fix: wait for it, or remove the folder")
    progress = progress or Progress()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    shutil.copyfile(ROOT / "scripts" / "prove-apply.sh", directory / "prove-apply.sh")
    shutil.copytree(ROOT / "scripts" / "prove_apply", directory / "prove_apply")

    variants = [variant for variant in VARIANTS if not stand_ins or variant.name not in _NEEDS_A_DRIVER]
    host_key = add_node_root(directory, node=NODE, stand_in_gpus=gpus if stand_ins else 0, progress=progress)
    plugins = add_programs(directory, progress=progress)
    fleet = yaml.safe_load(fleet_path.read_text())
    check = (
        {}
        if stand_ins
        else {"image": GPU_CHECK_KERNEL_IMAGE.removeprefix("docker.io/"), "command": ["/usr/local/bin/gpu-check"]}
    )
    # Enough for a node that starts at all, and a proof's machine is rented by the second.
    fleet["k3s"]["start_timeout_seconds"] = _START_TIMEOUT_SECONDS
    fleet |= {
        "name": _FLEET_NAME,
        "ssh": {"user": "edge", "private_key_path": str(directory / "ssh" / "id_ed25519")},
        "nodes": [
            {"name": NODE, "address": NODE_ADDRESS, "role": "server", "host_key": host_key, "gpus": gpus}
        ],
        "gpu_check": {**fleet.get("gpu_check", {}), **check},
    }  # fmt: skip
    _bundle(directory, fleet=fleet, stand_ins=stand_ins, progress=progress)
    settings = {
        "KIT": str(directory),
        "NODE": NODE,
        "NODE_ADDRESS": NODE_ADDRESS,
        "OPERATOR_ADDRESS": OPERATOR_ADDRESS,
        "GPUS": str(gpus),
        "STAND_IN_GPUS": str(gpus if stand_ins else 0),
        "STACKS": " ".join(variant.name for variant in variants),
        "TERRAFORM_VERSION": find_terraform().version,
        "PLUGINS": plugins,
        "PLUGIN_VERSION": fleet["device_plugin"]["chart_version"],
        "CHECK_IMAGE": fleet["gpu_check"]["image"],
        "BUNDLE_SHA256": file_sha256(directory / "site.bundle"),
    }
    (directory / "settings").write_text("".join(f"{name}={shlex.quote(text)}\n" for name, text in settings.items()))
    with progress.step("synthesize the stacks"):
        for variant in variants:
            _synthesize(directory, fleet=fleet, variant=variant)


def _bundle(directory: Path, *, fleet: dict[str, Any], stand_ins: bool, progress: Progress) -> None:
    """The bundle of the fleet, and the fleet made to use it."""
    target = directory / "site.bundle"
    images: list[Path] = []
    if not stand_ins:
        kernel = build_gpu_check_kernel_image(progress=progress).path / GPU_CHECK_KERNEL_ARCHIVE
        images.append(kernel)
        # Nodes import what the fleet names. The address is never opened: the bundle holds the file.
        base = fleet["k3s"]["image_archives"][0]["url"].rpartition("/")[0]
        named = {"url": f"{base}/{kernel.name}", "sha256": file_sha256(kernel)}
    fleet_file = directory / "fleet.yaml"
    fleet_file.write_text(yaml.safe_dump(fleet, sort_keys=False, width=4096))
    bundle.create(fleet_file, target, images=images, progress=progress)
    if not stand_ins:
        fleet["k3s"]["image_archives"].append(named)
    fleet["bundle"] = {"path": str(target), "sha256": file_sha256(target)}


def _synthesize(directory: Path, *, fleet: dict[str, Any], variant: Variant) -> None:
    from constructs_lib.cdk import App
    from stacks.edge_gpu import STACK, EdgeGpuStack

    merged = dict(fleet)
    for key, values in variant.values.items():
        merged[key] = {**merged.get(key, {}), **values}
    fleet_file = directory / f"fleet-{variant.name}.yaml"
    fleet_file.write_text(yaml.safe_dump(merged, sort_keys=False, width=4096))
    parsed = load_fleet(fleet_file)
    edge = directory / "edge"
    identity = ClusterIdentity.create(directory=edge, cluster_name=parsed.name, server_addresses=[NODE_ADDRESS])
    output = directory / "synth"
    app = App(outdir=str(output))
    chart = chart_of_bundle(parsed, edge_folder=edge)
    EdgeGpuStack(app, STACK, fleet=parsed, identity=identity, edge_folder=edge, chart_path=chart)
    app.synth()
    stack = directory / "stacks" / variant.name
    stack.mkdir(parents=True)
    shutil.copyfile(output / "stacks" / STACK / "cdk.tf.json", stack / "cdk.tf.json")
    shutil.rmtree(output)


def pack(directory: Path, *, output: Path) -> None:
    """The kit as one tar, to unpack with `tar -xf FILE -C /`. It holds the node's keys: only its owner reads it."""
    output.touch(mode=0o600)
    run_command(
        ["tar", "-C", "/", "-cf", output, str(directory.relative_to("/"))], timeout_seconds=_PACK_TIMEOUT_SECONDS
    )


if __name__ == "__main__":
    sys.exit(main())
