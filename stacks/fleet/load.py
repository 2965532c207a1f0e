"""From a file to a `Fleet`, or to everything that is wrong with it."""

from __future__ import annotations

import difflib
from pathlib import Path

from pydantic import ValidationError

from stacks.fleet.contradictions import contradictions
from stacks.fleet.explain import explain
from stacks.fleet.model import Fleet
from stacks.fleet.problems import FleetError, Problem
from stacks.fleet.secret_text import secrets_in
from stacks.fleet.yaml_document import parse_yaml

_LIMIT_BYTES = 1 << 20


def load_fleet(path: Path) -> Fleet:
    """Read and check a fleet file.

    Args:
        path: The file; relative paths count from the working directory.

    Raises:
        FleetError: The file is absent, unreadable, no YAML or not a valid fleet; its text has all problems at once.
    """
    source = str(path)
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise FleetError(
                source=source,
                problems=[Problem(what="is larger than 1 MiB", fix="name a fleet file: a few lines a node")],
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise FleetError(source=source, problems=[_unreadable(path, error)]) from None
    except UnicodeDecodeError as error:
        problem = Problem(what=f"is no UTF-8 text: {error.reason} at byte {error.start}", fix="save it as UTF-8")
        raise FleetError(source=source, problems=[problem]) from None
    return parse_fleet(text, source=source)


def parse_fleet(text: str, *, source: str) -> Fleet:
    """Check the text of a fleet file.

    Args:
        text: YAML.
        source: What to call it in messages.

    Raises:
        FleetError: It is not a valid fleet.
    """
    document = parse_yaml(text)
    if not document.problems and not isinstance(document.data, dict):
        what = "is empty" if document.data is None else "is no mapping of keys and values"
        document.problems.append(
            Problem(what=what, fix="start from fleets/example.yaml; docs/fleet-file.md has every key")
        )
    problems = list(document.problems)
    if not isinstance(document.data, dict):
        raise FleetError(source=source, problems=problems)
    problems += contradictions(document.data)
    secrets = list(secrets_in(document.data))
    problems += secrets
    fleet = None
    try:
        fleet = Fleet.model_validate(document.data)
    except ValidationError as error:
        # A secret is said once, as one.
        said = {problem.path for problem in secrets}
        problems += [problem for problem in explain(error) if problem.path not in said]
    if fleet is None or problems:
        raise FleetError(source=source, problems=problems, lines=document.lines)
    return fleet


def _unreadable(path: Path, error: OSError) -> Problem:
    if path.is_dir():
        return Problem(what="is a folder", fix=f"name a file in it{_others(path)}")
    if not isinstance(error, FileNotFoundError):
        return Problem(what=f"cannot be read: {error.strerror}", fix="correct its owner or mode")
    if path.name == "lab.yaml":
        return Problem(
            what="does not exist; the lab writes it",
            fix="run `make deploy` or `python -m lab up`, or set FLEET",
        )
    if not path.parent.is_dir():
        return Problem(what=f"does not exist, nor does the folder {path.parent}", fix="correct FLEET")
    by_stem = {Path(name).stem: name for name in _fleet_files(path.parent)}
    near = difflib.get_close_matches(path.stem, by_stem, 1)
    if near:
        return Problem(what="does not exist", fix=f"did you mean {path.parent / by_stem[near[0]]}?")
    return Problem(what="does not exist", fix=f"name a file that exists{_others(path.parent)}")


def _others(folder: Path) -> str:
    names = _fleet_files(folder)
    return f": {', '.join(names)}" if names else ", made from fleets/example.yaml"


def _fleet_files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.suffix in (".yaml", ".yml"))
