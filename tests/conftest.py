"""What every test run gets: the project's Node.js, and a mark by the folder a test lies in."""

from __future__ import annotations

import os

import pytest

from scripts.checkout import LAB_FLEET, ROOT
from scripts.environment import command_environment

MARKED_FOLDERS = {"synth": pytest.mark.synth, "lab": pytest.mark.lab}


def pytest_configure() -> None:
    """Give every test the environment of `make test`, so that a plain `pytest` is the same run."""
    os.environ.update(command_environment(fleet=LAB_FLEET))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of tests/synth and tests/lab; none is left out here: a run picks folders or `-m "not lab"`."""
    for item in items:
        folder = item.path.relative_to(ROOT / "tests").parts[0]
        if folder in MARKED_FOLDERS:
            item.add_marker(MARKED_FOLDERS[folder])
