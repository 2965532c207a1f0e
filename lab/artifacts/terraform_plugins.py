"""Stand-ins for the three Terraform plugins, built from lab/go/terraform-plugins into a mirror that Terraform reads."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.artifacts.command import BuildError, run_command
from lab.artifacts.go_module import go_version, run_go
from lab.artifacts.provider_schemas import BINDINGS, ProviderBinding, binding_archive, provider_schema
from lab.cache import build_once, content_key, file_sha256
from lab.part import Part
from lab.progress import Progress

SOURCES = Path(__file__).parents[1] / "go" / "terraform-plugins"
# OpenTofu looks for the same short source addresses in a registry of its own.
REGISTRIES = ("registry.terraform.io", "registry.opentofu.org")

_RECIPE = [
    Path(__file__).with_name(f"{name}.py")
    for name in ("terraform_plugins", "provider_schemas", "binding_source", "binding_gaps")
]
_COMPILE_TIMEOUT_SECONDS = 3600.0
_VERSION_TIMEOUT_SECONDS = 30.0


def build_terraform_plugins(*, progress: Progress, site_packages: Path | None = None) -> list[Part]:
    """The stand-ins for hashicorp/kubernetes, hashicorp/helm and kreuzwerker/docker, in one filesystem mirror.

    Args:
        progress: where the steps are said; about 4 minutes on 2 cores the first time, half a minute once Go's own
            cache holds the dependencies, nothing when they are built.
        site_packages: where the pinned bindings are installed (default: in the running interpreter).

    Returns:
        One Part a plugin; the path of each is the mirror's directory, for write_terraform_rc().

    Raises:
        BuildError: when Go is missing, a dependency has the wrong hash, or a command fails.
        BindingError: when the pinned bindings are not installed or bind another plugin version.
    """
    archives = [binding_archive(package=binding.package, site_packages=site_packages) for binding in BINDINGS]
    sources = _go_sources()
    named = (part for path in sources for part in (str(path), SOURCES / path))
    key = content_key(go_version(), *_RECIPE, *archives, *named)

    def build(directory: Path) -> None:
        tree = directory / "source"
        with progress.step("Terraform plugin stand-ins: read the schemas from the bindings"):
            prepare_tree(tree, sources=sources, site_packages=site_packages)
        with progress.step("Terraform plugin stand-ins: download the dependencies"):
            run_go(["mod", "download"], cwd=tree, timeout_seconds=_COMPILE_TIMEOUT_SECONDS)
        for binding in BINDINGS:
            with progress.step(f"Terraform plugin stand-in {binding.name} {binding.version}: compile"):
                _compile(tree, binding=binding, mirror=directory / "mirror")
        shutil.rmtree(tree)

    mirror = build_once(name="terraform-plugins", key=key, build=build) / "mirror"
    return [
        Part(
            name=f"terraform plugin {binding.source}",
            version=f"{binding.version} (edge-gpu lab stand-in)",
            source=f"lab/go/terraform-plugins; schema from {binding.package}",
            kind="stand-in",
            path=mirror,
        )
        for binding in BINDINGS
    ]


def write_terraform_rc(*, mirror: Path, destination: Path) -> None:
    """Write the CLI configuration file that makes Terraform take every plugin from the mirror.

    Args:
        mirror: the path of the Parts that build_terraform_plugins() returned.
        destination: the file that TF_CLI_CONFIG_FILE names; replaced as a whole, never seen half-written.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    unfinished = destination.with_name(f".{destination.name}.{os.getpid()}")
    unfinished.write_text(
        "# Written by the lab: stand-ins for the Terraform plugins, see `python -m lab status`.\n"
        "provider_installation {\n"
        "  filesystem_mirror {\n"
        f"    path = {json.dumps(str(mirror))}\n"
        "  }\n"
        "}\n"
    )
    unfinished.replace(destination)


def remove_stale_locks(*, mirror: Path, stacks: Path) -> list[Path]:
    """Remove dependency lock files of Terraform that were written for other builds of the stand-ins.

    `terraform init` refuses a plugin whose hash is not the locked one, which after a change of the stand-ins would be
    every plugin; for generated stack folders the lock holds nothing that init does not write again.

    Args:
        mirror: the path of the Parts that build_terraform_plugins() returned.
        stacks: the folder whose folders hold `.terraform.lock.hcl`: cdktf.out/stacks. It may be absent.

    Returns:
        the files that were removed.
    """
    locks = {path: path.read_text() for path in stacks.glob("*/.terraform.lock.hcl")}
    if not locks:
        return []
    hashes = {
        f"{registry}/{binding.source}": _package_hash(_binaries(mirror, binding, registries=[registry])[0])
        for binding in BINDINGS
        for registry in REGISTRIES
    }
    stale = [path for path, text in locks.items() if _names_another_build(text, hashes)]
    for path in stale:
        path.unlink()
    return stale


def _names_another_build(lock: str, hashes: Mapping[str, str]) -> bool:
    blocks = re.findall(r'^provider "([^"]+)" \{$(.*?)^\}$', lock, re.MULTILINE | re.DOTALL)
    return any(address in hashes and hashes[address] not in body for address, body in blocks)


def _package_hash(binary: Path) -> str:
    """Terraform's "h1" hash of a plugin package with one file: a hash over the list of its files' hashes."""
    listed = f"{file_sha256(binary)}  {binary.name}\n"
    return "h1:" + base64.b64encode(hashlib.sha256(listed.encode()).digest()).decode()


def _binaries(mirror: Path, binding: ProviderBinding, *, registries: Sequence[str] = REGISTRIES) -> list[Path]:
    goos, goarch = run_go(["env", "GOOS", "GOARCH"], cwd=SOURCES, timeout_seconds=60).split()
    namespace, name = binding.source.split("/")
    below = Path(namespace, name, binding.version, f"{goos}_{goarch}", f"terraform-provider-{name}_v{binding.version}")
    return [mirror / registry / below for registry in registries]


def prepare_tree(tree: Path, *, sources: Sequence[Path] | None = None, site_packages: Path | None = None) -> None:
    """Fill a new directory with the Go module and the schemas it embeds, ready for `go build` and `go test`.

    Args:
        tree: the directory to make.
        sources: the files to copy, relative to SOURCES (default: all of the module, tests too).
        site_packages: where the pinned bindings are installed (default: in the running interpreter).

    Raises:
        BindingError: as build_terraform_plugins().
    """
    for path in sources if sources is not None else _go_sources(tests=True):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(SOURCES / path, tree / path)
    for binding in BINDINGS:
        schema = provider_schema(binding=binding, site_packages=site_packages)
        (tree / "schemas" / f"{binding.name}.json").write_text(json.dumps(schema, sort_keys=True))


def _go_sources(*, tests: bool = False) -> list[Path]:
    """The module's files; without tests, which no binary depends on. Anything else in its folder is left out."""
    found = [
        path.relative_to(SOURCES)
        for pattern in ("go.mod", "go.sum", "**/*.go", "**/testdata/**/*")
        for path in SOURCES.glob(pattern)
        if path.is_file() and (tests or not (path.name.endswith("_test.go") or "testdata" in path.parts))
    ]
    return sorted(found)


def _compile(tree: Path, *, binding: ProviderBinding, mirror: Path) -> None:
    binary, *twins = _binaries(mirror, binding)
    run_go(
        ["build", "-trimpath", "-ldflags", "-s -w", "-o", binary, f"./cmd/terraform-provider-{binding.name}"],
        cwd=tree,
        timeout_seconds=_COMPILE_TIMEOUT_SECONDS,
        env={"CGO_ENABLED": "0"},
    )
    for twin in twins:
        twin.parent.mkdir(parents=True)
        twin.hardlink_to(binary)
    said = run_command([binary, "-version"], timeout_seconds=_VERSION_TIMEOUT_SECONDS).strip()
    if f"stand-in for {binding.source} {binding.version}" not in said:
        raise BuildError(f"{binary.name} -version says {said!r}; it must name {binding.source} {binding.version}")
