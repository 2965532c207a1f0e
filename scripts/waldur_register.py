"""`edge-gpu waldur register`: an offering in Waldur becomes what its spec says. Runs in the venv of Waldur's packages.

The token comes from a file descriptor or from the environment of this command, and goes nowhere else.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import httpx
from waldur_api_client.errors import UnexpectedStatus

from scripts.errors import CommandError
from scripts.waldur_changes import Registration
from scripts.waldur_spec import read_spec
from waldur_site_agent_k3s.waldur_usage import connect

TOKEN_VARIABLE = "WALDUR_TOKEN"

_SAME, _ERROR, _DIFFERENT = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Register. Exit code 0: all is as the spec says; 2: --check found changes; 1: an error, with a message."""
    options = _parser().parse_args(arguments)
    try:
        spec = read_spec(options.spec)
        client = connect(spec.api_url, token=_token(options.token_fd))
        return _check(Registration(client, spec=spec)) if options.check else _apply(Registration(client, spec=spec))
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
    except UnexpectedStatus as error:
        answer = error.content.decode(errors="replace")[:500]
        print(f"error: Waldur answered {error.status_code} to {error.url}: {answer}{_hint(error)}", file=sys.stderr)
    except httpx.HTTPError as error:
        print(f"error: Waldur at {options.spec}'s api_url does not answer: {error}", file=sys.stderr)
    except (KeyError, ValueError, TypeError) as error:
        told = f"{type(error).__name__} {error}"
        print(f"error: Waldur's answer is not what its client of this version expects: {told}", file=sys.stderr)
    return _ERROR


def _check(registration: Registration) -> int:
    told = [change.told for change in registration.changes(made=False)]
    print("\n".join(told) if told else "Nothing to change.")
    if not told:
        _say_rest(registration)
    return _DIFFERENT if told else _SAME


def _apply(registration: Registration) -> int:
    planned = [change.told for change in registration.changes(made=False)]
    if planned:
        print("\n".join(planned), flush=True)
    count = 0
    for change in registration.changes(made=True):
        change.make()
        count += 1
    left = [change.told for change in registration.changes(made=False)]
    if left:
        raise CommandError("Waldur took the changes, and still differs:\n  " + "\n  ".join(left))
    print(f"{count} changes made." if count else "Nothing to change.")
    _say_rest(registration)
    return _SAME


def _say_rest(registration: Registration) -> None:
    for one in registration.left_alone():
        print(f"left alone: {one} is not in the spec; it may be on somebody's bill")
    print(f"waldur_offering_uuid: {registration.offering().uuid.hex}")


def _token(descriptor: int | None) -> str:
    if descriptor is not None:
        try:
            with os.fdopen(descriptor, encoding="utf-8") as stream:
                token = stream.read().strip()
        except OSError as error:
            raise CommandError(f"file descriptor {descriptor} cannot be read: {error.strerror}") from error
    else:
        token = os.environ.pop(TOKEN_VARIABLE, "").strip()
    if not token:
        raise CommandError(
            f"no token. Fix: `--token-fd 3 3< <(pass show waldur)`, or {TOKEN_VARIABLE} in this command's environment"
        )
    return token


def _hint(error: UnexpectedStatus) -> str:
    return {
        401: "\n  The token is not known or has expired. Fix: make a new one in Waldur",
        403: "\n  The token's user may not do this. Fix: a staff user, or an owner of the provider's organization",
    }.get(error.status_code, "")


def _parser() -> argparse.ArgumentParser:
    program = os.environ.get("EDGE_GPU_PROGRAM", "python -m scripts.edge_gpu")
    parser = argparse.ArgumentParser(prog=f"{program} waldur register", description=__doc__)
    parser.add_argument("spec", type=Path, metavar="SPEC", help="JSON or YAML file (docs/waldur.md)")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="tell what would change; exit code 0 nothing, 2 changes")
    mode.add_argument("--apply", action="store_true", help="tell what changes, and change it")
    parser.add_argument("--token-fd", type=int, metavar="N", help=f"read the token there (default: ${TOKEN_VARIABLE})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
