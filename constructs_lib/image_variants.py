"""What the variants of the project's images are built on. The images' folders are the project's `images/`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from constructs_lib.base_image_lock import LOCK_FILE, base_reference


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSettings:
    """What all images of one site have in common.

    Args:
        folder: Absolute path of the folder with the images' folders and the lock file of their bases.
        platform: As `linux/amd64`. Default None: the engine's own.
        registry: Where images are pushed to. Default None: not pushed.
        network_mode: Network of the builds' RUN steps. Default None: the engine's default.
        allow_unlocked_bases: Build by tag where the lock file has no digest, default False. Said at each synthesis.
        registry_mirrors: Address to pull bases from by registry, default none.
        mirrors: Build arguments with outside addresses, for example `UBUNTU_MIRROR`; each image gets those that its
            Dockerfile has. Default none: the public addresses.
        build_timeout_minutes: Limit of each build, default 120.
    """

    folder: Path
    platform: str | None = None
    registry: str | None = None
    network_mode: str | None = None
    allow_unlocked_bases: bool = False
    registry_mirrors: Mapping[str, str] = field(default_factory=dict)
    mirrors: Mapping[str, str] = field(default_factory=dict)
    build_timeout_minutes: int = 120

    def base(self, name: str) -> str:
        """The reference of a base of the lock file.

        Raises:
            ValueError: As `base_reference`.
        """
        reference = base_reference(
            self.folder / LOCK_FILE,
            name,
            allow_unlocked=self.allow_unlocked_bases,
            registry_mirrors=self.registry_mirrors,
        )
        if "@" not in reference:
            print(f"WARNING base {name}: UNLOCKED, {reference} is built on by its tag alone", file=sys.stderr)
        return reference

    def mirrors_for(self, dockerfile: Path) -> Mapping[str, str]:
        """Those of `mirrors` that `dockerfile` declares."""
        lines = dockerfile.read_text(encoding="utf-8").splitlines()
        declared = {line.split("=")[0].split()[-1] for line in lines if line.startswith("ARG ")}
        return {name: address for name, address in self.mirrors.items() if name in declared}


def variant(id_: str, name: str, known: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """The entry of `known` for a variant.

    Raises:
        ValueError: There is none.
    """
    if name not in known:
        raise ValueError(f"{id_}: variant {name!r} is unknown; there are {', '.join(known)}")
    return known[name]
