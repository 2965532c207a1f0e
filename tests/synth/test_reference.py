"""The generated pages are what the docstrings and constructs say today."""

from __future__ import annotations

import importlib

import pytest

import constructs_lib
from constructs_lib.cdk import Construct
from scripts.checkout import shown
from scripts.reference import pages
from scripts.reference_examples import EXAMPLES

pytestmark = pytest.mark.synth


def test_the_committed_pages_are_the_generated_ones() -> None:
    for path, text in pages().items():
        assert path.exists(), f"{shown(path)} is missing; run: make snapshots"
        assert path.read_text() == text, f"{shown(path)} differs; run: make snapshots"


def test_every_construct_has_a_page() -> None:
    constructs = {
        name
        for name in constructs_lib.__all__
        if isinstance(value := getattr(constructs_lib, name), type) and issubclass(value, Construct)
    }
    assert constructs == set(EXAMPLES)


def test_every_public_name_says_what_it_is() -> None:
    importlib.reload(constructs_lib)
    assert [name for name in constructs_lib.__all__ if not getattr(constructs_lib, name).__doc__] == []
