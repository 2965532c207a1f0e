"""What every test run gets: the project's Node.js, and a mark by the folder a test lies in."""

from __future__ import annotations

import os

import pytest

from scripts.checkout import NODE_BIN, NODE_MODULES, ROOT, VENV

MARKED_FOLDERS = {"synth": pytest.mark.synth, "lab": pytest.mark.lab}


def pytest_configure() -> None:
    """Put the project's commands first in PATH, so that a plain `pytest` works as `make test` does."""
    folders = [str(VENV / "bin"), str(NODE_BIN), str(NODE_MODULES / ".bin")]
    known = os.environ.get("PATH", os.defpath).split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join([*folders, *(folder for folder in known if folder not in folders)])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of tests/synth and tests/lab; none is left out here: a run picks folders or `-m "not lab"`."""
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in MARKED_FOLDERS:
            item.add_marker(MARKED_FOLDERS[folder])
