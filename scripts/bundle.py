"""One file with all that a fleet's nodes install: `edge-gpu bundle create|verify|unpack`."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from constructs_lib.machine import Architecture
from lab.progress import Progress
from scripts.bundle_collect import chart_index, collect
from scripts.bundle_drivers import driver_packages
from scripts.bundle_file import read_manifest, unpack_bundle, verify_bundle, write_bundle
from scripts.bundle_fleet import check_serves, identity
from scripts.bundle_prove import prove_files
from scripts.bundle_sbom import sbom
from scripts.errors import CommandError
from scripts.table import render
from stacks.fleet import Fleet, FleetError, load_fleet

SBOM = "sbom.cdx.json"

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Exit code 0, or 1 after one message that says what is wrong and the fix."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (CommandError, FleetError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def create(
    fleet_path: Path,
    output: Path,
    *,
    architecture: Architecture | None = None,
    images: list[Path] | None = None,
    driver_debs: list[Path] | None = None,
    check_image: str | None = None,
    part_bytes: int | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Make the bundle of a fleet.

    Args:
        fleet_path: the fleet file.
        output: the file to write.
        architecture: for which nodes (default: the one that all nodes have).
        images: archives of further container images on this machine (default: none).
        driver_debs: packages of the driver on this machine, for the modes that install it (default: none).
        check_image: image of the check in `prove-gpu.sh` (default: the fleet's `gpu_check.image`).
        part_bytes: size of the parts (default: one file).
        progress: where the steps are said (default: standard error).

    Returns:
        The files that were written.

    Raises:
        FleetError: the fleet file is not valid.
        CommandError: something cannot be downloaded, verified or written; nothing is left at `output`.
    """
    fleet = load_fleet(fleet_path)
    progress = progress or Progress()
    chosen = _architecture(fleet, wanted=architecture)
    _see_driver(fleet, debs=driver_debs or [], progress=progress)
    with tempfile.TemporaryDirectory(prefix="edge-gpu-bundle-") as folder:
        collected = collect(
            fleet, architecture=chosen, extra_images=images or [], directory=Path(folder), progress=progress
        )
        collected += driver_packages(driver_debs or [], architecture=chosen, directory=Path(folder))
        _check_images(
            fleet, held={image.name: image.architecture for i in collected for image in i.images}, architecture=chosen
        )
        files: dict[str, Path | bytes] = {item.path: item.file for item in collected}
        files["architecture"] = f"{chosen}\n".encode()
        files[SBOM] = sbom(collected, fleet=fleet.name)
        for chart in (item for item in collected if item.path.startswith("charts/")):
            files["charts/index.yaml"] = chart_index(chart)
        if any(node.gpus for node in fleet.nodes):
            with progress.step("steps and manifests for prove-gpu.sh"):
                files |= prove_files(
                    fleet,
                    fleet_path=fleet_path.resolve(),
                    architecture=chosen,
                    check_image=check_image or fleet.gpu_check.image,
                    collected=collected,
                )
        manifest = {
            "fleet": fleet.name,
            **identity(fleet, architecture=chosen),
            "files": [i.entry() for i in collected],
        }
        with progress.step(f"write {output.name}"):
            return write_bundle(output, files=files, manifest=manifest, part_bytes=part_bytes)


def _architecture(fleet: Fleet, *, wanted: Architecture | None) -> Architecture:
    used = sorted({node.architecture for node in fleet.nodes})
    if wanted is not None and wanted not in used:
        raise CommandError(f"no node of fleet {fleet.name} is {wanted}, only {' and '.join(used)}")
    if wanted is None and len(used) > 1:
        raise CommandError(
            f"fleet {fleet.name} has nodes of {' and '.join(used)}. Fix: --architecture, one bundle each"
        )
    return wanted or used[0]


def _see_driver(fleet: Fleet, *, debs: list[Path], progress: Progress) -> None:
    installs = fleet.driver.mode in ("ubuntu", "cuda-repo")
    if debs and not installs:
        raise CommandError(
            f"--driver-package: driver.mode is {fleet.driver.mode}, which installs none. Fix: leave it out, or set "
            "driver.mode to ubuntu or cuda-repo"
        )
    if installs and not debs:
        progress.note(
            f"WARNING driver.mode {fleet.driver.mode}: without --driver-package the nodes' own apt sources are asked"
        )


def _check_images(fleet: Fleet, *, held: dict[str, str], architecture: str) -> None:
    """No registry answers where a bundle is used: what pods run must be in it."""
    wanted = {"gpu_check.image": fleet.gpu_check.image}
    plugin = fleet.device_plugin
    wanted["device_plugin.image"] = plugin.image or f"nvcr.io/nvidia/k8s-device-plugin:v{plugin.chart_version}"
    if any(node.gpus for node in fleet.nodes):
        missing = [f"{image} ({key})" for key, image in wanted.items() if image.removeprefix("docker.io/") not in held]
        if missing:
            raise CommandError(
                f"no archive holds {' and '.join(missing)}. Fix: docker save IMAGE -o FILE.tar, and --image FILE.tar "
                "or k3s.image_archives"
            )
    others = {name: built for name, built in held.items() if built not in ("", architecture)}
    if others:
        name, built = sorted(others.items())[0]
        raise CommandError(f"image {name} is for {built}, the bundle for {architecture}. Fix: pull it with --platform")


def _create(options: argparse.Namespace) -> int:
    started = time.monotonic()
    written = create(
        options.fleet,
        options.output,
        architecture=options.architecture,
        images=options.image,
        driver_debs=options.driver_package,
        check_image=options.gpu_check_image,
        part_bytes=options.part_size,
    )
    size = sum(path.stat().st_size for path in written[:-1])
    print(f"{len(written) - 1} file(s), {size / (1 << 20):.1f} MiB, {time.monotonic() - started:.1f} s:")
    for path in written:
        print(f"  {path}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    started = time.monotonic()
    manifest = verify_bundle(options.bundle)
    if options.fleet is not None:
        check_serves(manifest, fleet=load_fleet(options.fleet), bundle=options.bundle)
    rows = [
        (file["path"], file.get("version", ""), file.get("licence", ""), f"{file['size'] / (1 << 20):.1f}")
        for file in manifest["files"]
        if "component" in file
    ]
    print(render(("FILE", "VERSION", "LICENCE", "MIB"), rows))
    print(
        f"\nEvery byte is as the manifest says: {len(manifest['files'])} files for {manifest['architecture']}, "
        f"K3s {manifest['k3s']}, {time.monotonic() - started:.1f} s."
    )
    return 0


def _unpack(options: argparse.Namespace) -> int:
    manifest = read_manifest(options.bundle)
    if options.fleet is not None:
        check_serves(manifest, fleet=load_fleet(options.fleet), bundle=options.bundle)
    unpack_bundle(options.bundle, directory=options.directory)
    print(f"{options.directory}: verified and unpacked, K3s {manifest['k3s']} for {manifest['architecture']}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edge-gpu bundle", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="create|verify|unpack")
    one = commands.add_parser("create", help="collect and verify what a fleet's nodes install, into one file")
    one.add_argument("fleet", type=Path, help="fleet file")
    one.add_argument("-o", "--output", type=Path, required=True, help="the file to write")
    one.add_argument("--architecture", choices=("amd64", "arm64"), help="default: the one that all nodes have")
    one.add_argument("--image", type=Path, action="append", help="archive of container images to put in; repeatable")
    one.add_argument(
        "--driver-package", type=Path, action="append", metavar="FILE.deb", help="package of the driver; repeatable"
    )
    one.add_argument("--gpu-check-image", help="what prove-gpu.sh's check runs (default: the fleet's gpu_check.image)")
    one.add_argument("--part-size", type=_size, help="split into parts of this size, like 500M (default: one file)")
    one.set_defaults(run=_create)
    for name, run, text in (
        ("verify", _verify, "check every byte of a bundle"),
        ("unpack", _unpack, "verify a bundle into a new directory, laid out as a site mirror"),
    ):
        one = commands.add_parser(name, help=text)
        one.add_argument("bundle", type=Path, help="the file, or the name that its parts share")
        one.add_argument("--fleet", type=Path, help="check too that the bundle is for this fleet")
        if name == "unpack":
            one.add_argument("-C", "--directory", type=Path, required=True, help="made by the command")
        one.set_defaults(run=run)
    return parser


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMG]?)i?B?", text, re.IGNORECASE)
    bytes_ = int(match[1]) * _UNITS[match[2].upper()] if match else 0
    if bytes_ < 1 << 20:
        raise argparse.ArgumentTypeError(f"{text!r} is no size of at least 1M; write it like 500M or 2G")
    return bytes_


if __name__ == "__main__":
    sys.exit(main())
