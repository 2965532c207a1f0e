"""The lock file of the images that ours are built on: which bytes a tag stood for when it was looked up."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOCK_FILE = "bases.lock.toml"
REFRESH_COMMAND = "python -m stacks.lock_bases"


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedBase:
    """One entry of the lock file.

    Args:
        name: Its name there, for example `triton-22.03`.
        reference: Registry, repository and tag.
        digest: `sha256:` and 64 hex digits. Empty: it was never looked up.
        resolved_on: The day of the look-up, `2026-11-24`. Empty like `digest`.
    """

    name: str
    reference: str
    digest: str = ""
    resolved_on: str = ""

    @property
    def pinned(self) -> str:
        """`reference@digest`; without digest, the reference alone."""
        return f"{self.reference}@{self.digest}" if self.digest else self.reference


def read_lock(path: Path) -> Mapping[str, LockedBase]:
    """The entries by name, in the file's order.

    Args:
        path: The lock file.

    Raises:
        ValueError: It is absent, no TOML, or an entry lacks something, has an unknown key, a tag `latest` or none.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error
    return {name: _entry(name, fields, path=path) for name, fields in document.items()}


def _entry(name: str, fields: object, *, path: Path) -> LockedBase:
    where = f"{path}: [{name}]"
    known = ("reference", "digest", "resolved_on")
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise ValueError(f"{where}: must hold {', '.join(known)}, each a text")
    unknown = sorted(set(fields) - set(known))
    if unknown or "reference" not in fields:
        raise ValueError(f"{where}: {'unknown key ' + unknown[0] if unknown else 'no reference'}; known: {known}")
    reference, digest = fields["reference"], fields.get("digest", "")
    tag = reference.rpartition("/")[2].partition(":")[2]
    if not tag or tag == "latest" or "@" in tag:
        raise ValueError(f"{where}: reference {reference!r} needs a tag other than latest, and no digest in it")
    if digest and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise ValueError(f"{where}: digest {digest!r} is not sha256: and 64 hex digits; run {REFRESH_COMMAND}")
    return LockedBase(name=name, **fields)


def base_reference(
    path: Path,
    name: str,
    *,
    allow_unlocked: bool = False,
    registry_mirrors: Mapping[str, str] | None = None,
) -> str:
    """What to build on: the locked reference with its digest.

    Args:
        path: The lock file.
        name: The entry.
        allow_unlocked: Give the tag alone where the entry has no digest, default False.
        registry_mirrors: Address to pull from by registry, for example `{"nvcr.io": "mirror.example:5000/nvcr"}`.
            The digest stays: a mirror can only serve the same bytes. Default none.

    Raises:
        ValueError: No such entry, or it has no digest and `allow_unlocked` is False.
    """
    entries = read_lock(path)
    if name not in entries:
        raise ValueError(f"{path}: no base {name!r}; there are {', '.join(entries)}")
    entry = entries[name]
    if not entry.digest and not allow_unlocked:
        raise ValueError(
            f"base {name} ({entry.reference}) has no digest in {path}: what its tag stands for may change\n"
            f"  fix: {REFRESH_COMMAND} {name} (needs the registry), or allow_unlocked_bases to build by tag"
        )
    registry, slash, rest = entry.pinned.partition("/")
    mirror = (registry_mirrors or {}).get(registry)
    return f"{mirror.rstrip('/')}{slash}{rest}" if mirror else entry.pinned
