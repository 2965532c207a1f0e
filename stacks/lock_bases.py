"""`python -m stacks.lock_bases`: look up which bytes the bases' tags stand for and write it into the lock file."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from constructs_lib.base_image_lock import LOCK_FILE, LockedBase, read_lock
from stacks.image_registry import ImageReference, RegistryError, digest_of

LOCK = Path(__file__).resolve().parents[1] / "images" / LOCK_FILE


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every asked-for base was looked up; 1 with a line for each that was not, and the others written.

    Args:
        arguments: Command line, default the process's own.
    """
    parser = argparse.ArgumentParser(prog="python -m stacks.lock_bases", description=__doc__)
    parser.add_argument("name", nargs="*", help="bases to look up (default: all)")
    parser.add_argument("--lock", type=Path, default=LOCK, help="the lock file (default: the project's)")
    parser.add_argument(
        "--insecure-registry",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="a registry that speaks plain http, as Docker's option of that name; may be given again",
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when a digest is missing")
    options = parser.parse_args(arguments)
    try:
        entries = dict(read_lock(options.lock))
    except ValueError as error:
        print(f"ERROR {error}", file=sys.stderr)
        return 1
    unknown = sorted(set(options.name) - set(entries))
    if unknown:
        print(f"ERROR no base {', '.join(unknown)} in {options.lock}; there are {', '.join(entries)}", file=sys.stderr)
        return 1
    chosen = options.name or list(entries)
    if options.check:
        missing = [name for name in chosen if not entries[name].digest]
        for name in missing:
            print(f"{name}: {entries[name].reference} has no digest", file=sys.stderr)
        return 1 if missing else 0
    failed = refresh(
        entries, chosen, look_up=lambda reference: _look_up(reference, plain_http=options.insecure_registry)
    )
    _write(options.lock, entries)
    return 1 if failed else 0


def refresh(entries: dict[str, LockedBase], names: Sequence[str], *, look_up: Callable[[str], str]) -> list[str]:
    """Put today's digests into `entries`; what cannot be looked up keeps the one it has.

    Args:
        entries: The lock file's entries by name, changed in place.
        names: Those to look up.
        look_up: Gives the digest of a reference, or raises RegistryError.

    Returns:
        The names that could not be looked up.
    """
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    failed = []
    for name in names:
        entry = entries[name]
        try:
            digest = look_up(entry.reference)
        except RegistryError as error:
            print(f"ERROR {name}: {error}", file=sys.stderr)
            failed.append(name)
            continue
        if digest == entry.digest:
            print(f"{name}: unchanged, {digest}")
        else:
            print(f"{name}: {entry.digest or 'unresolved'} -> {digest}")
            entries[name] = replace(entry, digest=digest, resolved_on=today)
    return failed


def _look_up(reference: str, *, plain_http: Sequence[str]) -> str:
    registry = ImageReference.parse(reference).registry
    # A password does not go over plain http.
    credentials = None if registry in plain_http else _credentials(registry)
    return digest_of(reference, credentials=credentials, plain_http=plain_http)


def _credentials(registry: str) -> str | None:
    # What `docker login` left there; credential helpers are not asked, public bases need none.
    folder = Path(os.environ.get("DOCKER_CONFIG", "~/.docker")).expanduser()
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    key = "https://index.docker.io/v1/" if registry == "docker.io" else registry
    entry = config.get("auths", {}).get(key, {})
    found = entry.get("auth") if isinstance(entry, dict) else None
    return found if isinstance(found, str) else None


def _write(path: Path, entries: Mapping[str, LockedBase]) -> None:
    """Replace the entries and keep the comment above them; at once and whole."""
    text = path.read_text(encoding="utf-8")
    heading = "".join(line for line in text[: text.index("[")].splitlines(keepends=True) if line.startswith("#"))
    body = "\n".join(
        f"[{json.dumps(name) if '.' in name else name}]\n"
        f"reference = {json.dumps(entry.reference)}\n"
        f"digest = {json.dumps(entry.digest)}\n"
        f"resolved_on = {json.dumps(entry.resolved_on)}\n"
        for name, entry in entries.items()
    )
    new = path.with_name(path.name + ".new")
    new.write_text(f"{heading}\n{body}", encoding="utf-8")
    new.replace(path)


if __name__ == "__main__":
    sys.exit(main())
