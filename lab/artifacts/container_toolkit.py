"""NVIDIA's container toolkit as Debian packages, compiled from its Go module and laid out by its own files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lab.artifacts.command import BuildError, require_tool, run_command
from lab.artifacts.go_module import go_version, pinned_module, run_go
from lab.artifacts.tree_archive import FIXED_TIME_SECONDS
from lab.cache import build_once, content_key
from lab.part import Part
from lab.progress import Progress

TOOLKIT_VERSION = "1.20.0-1"

_RECIPE = Path(__file__)
_MODULE = "github.com/NVIDIA/nvidia-container-toolkit"
_PROGRAMS = ("nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-ctk", "nvidia-cdi-hook")
_REAL_PACKAGES = ("nvidia-container-toolkit", "nvidia-container-toolkit-base")
_COMPILE_TIMEOUT_SECONDS = 1200.0

# What debhelper would put in for a package with systemd units.
_SERVICE_SCRIPTS = {
    "postinst": """
if [ "$1" = configure ]; then
    for unit in nvidia-cdi-refresh.path nvidia-cdi-refresh.service; do
        deb-systemd-helper unmask "$unit" >/dev/null || true
        if deb-systemd-helper --quiet was-enabled "$unit"; then
            deb-systemd-helper enable "$unit" >/dev/null || true
        fi
    done
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        deb-systemd-invoke start nvidia-cdi-refresh.path nvidia-cdi-refresh.service >/dev/null || true
    fi
fi
""",
    "prerm": """
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    deb-systemd-invoke stop nvidia-cdi-refresh.path nvidia-cdi-refresh.service >/dev/null || true
fi
""",
    "postrm": """
if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
fi
if [ "$1" = purge ] && [ -x /usr/bin/deb-systemd-helper ]; then
    deb-systemd-helper purge nvidia-cdi-refresh.path nvidia-cdi-refresh.service >/dev/null || true
fi
""",
}

_STAND_IN_NOTE = """ (stand-in, empty)
 This package is a stand-in of the edge-gpu lab and holds no program: NVIDIA publishes the real one, which is C code,
 only in its own repository. The container runtime in CDI mode calls nothing of it."""
_STAND_IN_PACKAGES = {
    "libnvidia-container1": "Description: NVIDIA container runtime library" + _STAND_IN_NOTE,
    "libnvidia-container-tools": (
        f"Depends: libnvidia-container1 (>= {TOOLKIT_VERSION})\n"
        "Description: NVIDIA container runtime library, command-line tools" + _STAND_IN_NOTE
    ),
}


def build_container_toolkit(*, progress: Progress) -> list[Part]:
    """The four packages that a node installs; each Part's path is one directory that holds all four .deb files.

    Two are the real software. libnvidia-container1 and libnvidia-container-tools are empty stand-ins with the real
    names, version and relations.

    Args:
        progress: where the steps are said; about one minute on 2 cores the first time.

    Raises:
        BuildError: when a tool is missing, a download has the wrong hash, or a command fails.
    """
    require_tool("gcc", package="gcc and libc6-dev")
    require_tool("dpkg-deb", package="dpkg")
    module = pinned_module(_MODULE)

    def build(directory: Path) -> None:
        work = directory / "work"
        work.mkdir()
        with progress.step(f"container toolkit {TOOLKIT_VERSION}: download the sources"):
            source = module.fetch()
            _check_version(source)
            run_go(["mod", "download"], cwd=source, timeout_seconds=_COMPILE_TIMEOUT_SECONDS)
        with progress.step(f"container toolkit {TOOLKIT_VERSION}: compile"):
            _compile(work / "programs", source=source)
        with progress.step(f"container toolkit {TOOLKIT_VERSION}: make the packages"):
            for package in _REAL_PACKAGES:
                tree = _lay_out(work / package, package=package, source=source, programs=work / "programs")
                _make_deb(tree, directory)
            for package, fields in _STAND_IN_PACKAGES.items():
                tree = work / package
                (tree / "DEBIAN").mkdir(parents=True)
                (tree / "DEBIAN" / "control").write_text(_control(package, fields))
                _make_deb(tree, directory)
        shutil.rmtree(work)

    key = content_key(_RECIPE, go_version(), module.sum)
    path = build_once(name="container-toolkit", key=key, build=build)
    real = [Part(name=n, version=TOOLKIT_VERSION, source=module.source, kind="real", path=path) for n in _REAL_PACKAGES]
    empty = [
        Part(name=n, version=f"{TOOLKIT_VERSION} (empty)", source="made here", kind="stand-in", path=path)
        for n in _STAND_IN_PACKAGES
    ]
    return real + empty


def _check_version(source: Path) -> None:
    text = (source / "versions.mk").read_text()
    found = re.search(r"^LIB_VERSION := (\S+)$", text, re.MULTILINE)
    revision = re.search(r"^PACKAGE_REVISION := (\S+)$", text, re.MULTILINE)
    version = f"{found and found[1]}-{revision and revision[1]}"
    if version != TOOLKIT_VERSION:
        raise BuildError(
            f"{source}/versions.mk says {version}, the lab's packages are {TOOLKIT_VERSION}; align the pins"
        )


def _compile(output: Path, *, source: Path) -> None:
    output.mkdir()
    run_go(
        [
            "build", "-trimpath", "-o", f"{output}/",
            # Upstream's linker flags; NVML's symbols are bound lazily, when the library is there at run time.
            "-ldflags", "-s -w '-extldflags=-Wl,--export-dynamic -Wl,-z,lazy"
            " -Wl,--unresolved-symbols=ignore-in-object-files'"
            f" -X {_MODULE}/internal/info.version={TOOLKIT_VERSION.partition('-')[0]}",
            *(f"./cmd/{program}" for program in _PROGRAMS),
        ],
        cwd=source,
        timeout_seconds=_COMPILE_TIMEOUT_SECONDS,
        env={"CGO_ENABLED": "1"},
    )  # fmt: skip


def _lay_out(tree: Path, *, package: str, source: Path, programs: Path) -> Path:
    """A package's files where upstream's packaging puts them, with its control file and scripts."""
    packaging = source / "packaging" / "debian"
    control = tree / "DEBIAN"
    control.mkdir(parents=True)
    conffiles = []
    for line in (packaging / f"{package}.install").read_text().splitlines():
        name, destination = line.split()
        program = programs / name
        content = program if program.exists() else source / "deployments" / "systemd" / name
        target = tree / destination.strip("/") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(content, target)
        target.chmod(0o755 if program.exists() else 0o644)
        if destination.startswith("/etc"):
            conffiles.append(f"/{target.relative_to(tree)}\n")
    if conffiles:
        (control / "conffiles").write_text("".join(conffiles))
    (control / "control").write_text(_control(package, _upstream_fields(packaging / "control", package=package)))
    has_units = any(tree.glob("lib/systemd/system/*"))
    for script in ("postinst", "prerm", "postrm"):
        upstream = packaging / f"{package}.{script}"
        text = upstream.read_text() if upstream.exists() else "#!/bin/sh\nset -e\n#DEBHELPER#\n"
        (control / script).write_text(text.replace("#DEBHELPER#", _SERVICE_SCRIPTS[script] if has_units else ""))
        (control / script).chmod(0o755)
    return tree


def _upstream_fields(control: Path, *, package: str) -> str:
    """A binary package's own fields from upstream's control file, without what debhelper would leave empty."""
    stanza = re.search(
        rf"^Package: {re.escape(package)}\n(.*?)(?:\n\n|\Z)", control.read_text(), re.DOTALL | re.MULTILINE
    )
    if stanza is None:
        raise BuildError(f"{control} describes no package {package}")
    text = stanza[1].replace("@VERSION@", TOOLKIT_VERSION)
    text = re.sub(r"^Architecture: .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\$\{misc:[\w-]+\}(, )?", "", text)
    return re.sub(r"^(?:Pre-)?Depends: *\n", "", text, flags=re.MULTILINE)


def _control(package: str, fields: str) -> str:
    return (
        f"Package: {package}\nVersion: {TOOLKIT_VERSION}\nArchitecture: amd64\nSection: utils\nPriority: optional\n"
        f"Maintainer: edge-gpu lab <nobody@example.invalid>\n{fields.strip()}\n"
    )


def _make_deb(tree: Path, directory: Path) -> None:
    run_command(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, directory],
        timeout_seconds=300,
        env={"SOURCE_DATE_EPOCH": str(FIXED_TIME_SECONDS)},
    )
