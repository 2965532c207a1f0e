"""The driver's packages in a bundle: an apt repository of what the operator gave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from debian.deb822 import Deb822

from constructs_lib.offline_bundle import DRIVER_FOLDER
from lab.artifacts.command import BuildError, require_tool, run_command
from lab.cache import file_sha256
from scripts.bundle_collect import Collected
from scripts.errors import CommandError

_DPKG_TIMEOUT_SECONDS = 60.0


def driver_packages(packages: Sequence[Path], *, architecture: str, directory: Path) -> list[Collected]:
    """The packages, and the index by which apt finds them.

    Which ones a machine needs depends on its kernel and on what it has already; so they are chosen there:
    `apt-get install --print-uris`, or `--download-only`, on one machine of the kind.

    Args:
        packages: .deb files on this machine; none makes no repository.
        architecture: `amd64` or `arm64`.
        directory: a directory for the index.

    Raises:
        CommandError: a file is no package, is for another architecture, or is there twice.
    """
    found: dict[str, tuple[Path, Deb822]] = {}
    for file in packages:
        control = _control(file)
        if control["Architecture"] not in ("all", architecture):
            raise CommandError(f"{file}: is for {control['Architecture']}, the bundle for {architecture}")
        name = f"{control['Package']}_{control['Version'].replace(':', '%3a')}_{control['Architecture']}.deb"
        if name in found:
            raise CommandError(f"{file}: is the same package as {found[name][0]}. Fix: name one of the two")
        found[name] = (file, control)
    if not found:
        return []
    index = directory / "driver-packages"
    index.write_text("\n".join(_paragraph(name, file, control) for name, (file, control) in sorted(found.items())))
    return [
        Collected(
            path=f"{DRIVER_FOLDER}/Packages",
            file=index,
            component="index of the driver's packages",
            version=f"{len(found)} packages",
            licence="NOASSERTION",
            source="made with the bundle",
            verified="made from the packages",
        ),
        *(
            Collected(
                path=f"{DRIVER_FOLDER}/{name}",
                file=file,
                component=control["Package"],
                version=control["Version"],
                licence="NOASSERTION",
                source=f"file {file.name}",
                verified="given by the operator",
            )
            for name, (file, control) in sorted(found.items())
        ),
    ]


def _control(file: Path) -> Deb822:
    if not file.is_file():
        raise CommandError(f"{file} does not exist. Fix: name a .deb file")
    try:
        require_tool("dpkg-deb", package="dpkg")
        return Deb822(run_command(["dpkg-deb", "--field", file], timeout_seconds=_DPKG_TIMEOUT_SECONDS))
    except BuildError as error:
        raise CommandError(f"{file}: cannot be read as a package:\n{error}\nFix: download it anew") from error


def _paragraph(name: str, file: Path, control: Deb822) -> str:
    paragraph = Deb822(control)
    paragraph["Filename"] = f"./{name}"
    paragraph["Size"] = str(file.stat().st_size)
    paragraph["SHA256"] = file_sha256(file)
    return paragraph.dump()
