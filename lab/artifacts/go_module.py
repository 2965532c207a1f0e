"""Upstream Go modules pinned in lab/go/sources: downloaded, checked against go.sum, and built."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab.artifacts.command import BuildError, require_tool, run_command

PINS = Path(__file__).parents[1] / "go" / "sources"

_DOWNLOAD_TIMEOUT_SECONDS = 900.0
# The forks that K3s builds from are not all in the checksum database; go.sum pins them all the same.
_GO_ENVIRONMENT = {
    "GONOSUMDB": "github.com/k3s-io/*",
    "GOFLAGS": "-mod=readonly -buildvcs=false",
    "GOWORK": "off",
}


@dataclass(frozen=True)
class GoModule:
    """One pinned upstream module.

    Attributes:
        path: its module path, e.g. "github.com/k3s-io/k3s".
        version: the version that lab/go/sources/go.mod requires.
        sum: the hash of its zip that lab/go/sources/go.sum holds.
    """

    path: str
    version: str
    sum: str

    @property
    def source(self) -> str:
        """Where it comes from, in words for a Part."""
        return f"Go module {self.path} {self.version}"

    def fetch(self) -> Path:
        """Download the module (when Go's module cache lacks it) and return its read-only directory.

        Raises:
            BuildError: when it cannot be downloaded, or its hash is not the pinned one.
        """
        answer = json.loads(
            run_go(
                ["mod", "download", "-json", f"{self.path}@{self.version}"],
                cwd=PINS,
                timeout_seconds=_DOWNLOAD_TIMEOUT_SECONDS,
            )
        )
        if answer["Sum"] != self.sum:
            raise BuildError(
                f"{self.path} {self.version}: the download has hash {answer['Sum']}, {PINS / 'go.sum'} pins {self.sum}"
            )
        return Path(answer["Dir"])


@cache
def pinned_module(path: str) -> GoModule:
    """The module of that path as lab/go/sources pins it.

    Raises:
        BuildError: when go.mod or go.sum does not name it.
    """
    version = re.search(rf"^\s*{re.escape(path)} (\S+)$", (PINS / "go.mod").read_text(), re.MULTILINE)
    if version is None:
        raise BuildError(f"{PINS / 'go.mod'} does not require {path}; add it there")
    pin = re.search(
        rf"^{re.escape(path)} {re.escape(version[1])} (h1:\S+)$", (PINS / "go.sum").read_text(), re.MULTILINE
    )
    if pin is None:
        raise BuildError(f"{PINS / 'go.sum'} has no hash of {path} {version[1]}; run `go mod download` there")
    return GoModule(path=path, version=version[1], sum=pin[1])


@cache
def go_version() -> str:
    """What `go version` says where the pins are; part of every key, since another compiler makes another binary.

    An older Go switches there to the toolchain that the pins' go.mod asks for, as it does for the builds.

    Raises:
        BuildError: when Go is not in the PATH.
    """
    require_tool("go", package="Go 1.25.5 or newer (https://go.dev/dl)")
    return run_command(["go", "version"], cwd=PINS, timeout_seconds=300).strip()


def run_go(
    arguments: Sequence[str | Path],
    *,
    cwd: Path,
    timeout_seconds: float,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> str:
    """Run `go` with the settings all builds of the lab share; arguments and errors as run_command().

    The caller's GOFLAGS do not count: a stray -mod=mod there would let a build take unpinned modules.
    """
    go_version()
    return run_command(
        ["go", *arguments],
        cwd=cwd,
        timeout_seconds=timeout_seconds,
        env={**_GO_ENVIRONMENT, **(env or {})},
        on_line=on_line,
    )
