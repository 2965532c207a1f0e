"""The kit for `prove-apply.sh`: a node's root file system, Terraform, the bundle and the stack of one GPU node.

It lets a machine with a GPU and no network, no systemd and no Docker run the whole path: `terraform apply` over SSH.
"""

from __future__ import annotations

import argparse
import io
import shlex
import shutil
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from constructs_lib.cluster_identity import ClusterIdentity
from lab.artifacts.command import BuildError, run_command
from lab.artifacts.gpu_check_image import GPU_CHECK_KERNEL_ARCHIVE, GPU_CHECK_KERNEL_IMAGE, build_gpu_check_kernel_image
from lab.artifacts.node_image import ensure_node_image
from lab.artifacts.stand_in_driver import build_stand_in_driver, driver_node_files, stand_in_gpus
from lab.artifacts.terraform_plugins import REGISTRIES, build_terraform_plugins
from lab.cache import build_once, content_key, file_sha256
from lab.engine import connect
from lab.errors import LabError
from lab.progress import Progress
from lab.ssh_key import ensure_ssh_key
from scripts import bundle
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
_SSH_USER_ID = 1000
_COMPRESS_TIMEOUT_SECONDS = 1200.0
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
    host_key = _node_root(directory, gpus=gpus, stand_ins=stand_ins, progress=progress)
    plugins = _programs(directory, progress=progress)
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


def _node_root(directory: Path, *, gpus: int, stand_ins: bool, progress: Progress) -> str:
    """The lab's node, packed, and what this one has over it: keys, and where asked for the stand-in driver.

    Returns:
        Its public SSH host key, made here so that the stack can pin it.
    """
    client = connect(progress=progress)
    image, _ = ensure_node_image(client, progress=progress)

    def build(target: Path) -> None:
        root = target / "root.tar"
        container = client.containers.create(image)
        try:
            with root.open("wb") as stream:
                for chunk in container.export():
                    stream.write(chunk)  # type: ignore[arg-type]  # docker-py says str, and it is bytes
        finally:
            container.remove()
        with progress.step("pack the node's root file system"):
            run_command(["xz", "-6", "-T2", root], timeout_seconds=_COMPRESS_TIMEOUT_SECONDS)

    packed = build_once(name="apply-node-root", key=content_key(image), build=build)
    client.close()
    shutil.copyfile(packed / "root.tar.xz", directory / "node-root.tar.xz")
    files = {
        name: (content, 0o755 if name == "usr/bin/nvidia-smi" else 0o644)
        for name, content in _driver_files(gpus=gpus if stand_ins else 0, progress=progress).items()
    }
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        run_command(["ssh-keygen", "-q", "-N", "", "-C", NODE, "-f", key, "-t", "ecdsa"], timeout_seconds=60)
        private, public = key.read_bytes(), key.with_suffix(".pub").read_bytes()
    files["etc/ssh/ssh_host_ecdsa_key"] = (private, 0o600)
    files["etc/ssh/ssh_host_ecdsa_key.pub"] = (public, 0o644)
    files["etc/machine-id"] = (f"{uuid.uuid4().hex}\n".encode(), 0o444)
    files["home/edge/.ssh/authorized_keys"] = (ensure_ssh_key(directory / "ssh" / "id_ed25519").encode(), 0o600)
    with tarfile.open(directory / "node-files.tar", "w") as archive:
        for name, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            entry.uid = entry.gid = _SSH_USER_ID if name.startswith("home/") else 0
            archive.addfile(entry, io.BytesIO(content))
    return " ".join(public.decode().split()[:2])


def _driver_files(*, gpus: int, progress: Progress) -> dict[str, bytes]:
    """The stand-in driver with this many GPUs, path -> content; nothing for none."""
    if not gpus:
        return {}
    tree = build_stand_in_driver(progress=progress).path
    files = {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    texts = driver_node_files(stand_in_gpus(node=NODE, count=gpus))
    return files | {name: text.encode() for name, text in texts.items()}


def _programs(directory: Path, *, progress: Progress) -> str:
    """Terraform and its plugins, packed; which plugins, in words."""
    terraform = shutil.which(find_terraform().command)
    assert terraform is not None, "find_terraform() found it"
    parts = build_terraform_plugins(progress=progress)

    def build(target: Path) -> None:
        programs = target / "programs"
        programs.mkdir()
        shutil.copy(terraform, programs / "terraform")
        for name in ("kubernetes", "helm"):
            source = parts[0].path / REGISTRIES[0] / "hashicorp" / name
            shutil.copytree(source, programs / "mirror" / REGISTRIES[0] / "hashicorp" / name)
        with progress.step("pack Terraform and its plugins"):
            run_command(
                [
                    "tar",
                    "--numeric-owner",
                    "--use-compress-program=xz -6 -T2",
                    "-C",
                    programs,
                    "-cf",
                    target / "programs.tar.xz",
                    ".",
                ],
                timeout_seconds=_COMPRESS_TIMEOUT_SECONDS,
            )
        shutil.rmtree(programs)

    key = content_key(Path(terraform), parts[0].path.parent.name)
    packed = build_once(name="apply-programs", key=key, build=build)
    shutil.copyfile(packed / "programs.tar.xz", directory / "programs.tar.xz")
    mirror = directory / "run" / "programs" / "mirror"
    (directory / "terraform.rc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
    )
    return ", ".join(f"{part.name.rpartition(' ')[2]} {part.version}" for part in parts if "docker" not in part.name)


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
        ["tar", "-C", "/", "-cf", output, str(directory.relative_to("/"))], timeout_seconds=_COMPRESS_TIMEOUT_SECONDS
    )


if __name__ == "__main__":
    sys.exit(main())
