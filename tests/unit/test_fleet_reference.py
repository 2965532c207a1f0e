"""docs/fleet-file.md documents every key of the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks.fleet.model import Fleet
from stacks.fleet.reference import reference, rewritten, sections

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "fleet-file.md"


def test_the_document_has_the_reference_that_the_model_gives() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == rewritten(document), "run: python -m stacks.fleet.reference docs/fleet-file.md"


def test_every_key_has_a_meaning_and_every_section_a_purpose() -> None:
    found = dict(sections(Fleet, name=""))
    assert {"ssh.bastion", "nodes[]", "k3s.image_archives[]", "backend (type: pg)"} <= found.keys()
    for name, model in found.items():
        assert model.__doc__, name
        for key, field in model.model_fields.items():
            assert field.description, f"{name}.{key}"


def test_every_key_stands_in_the_reference() -> None:
    text = reference()
    for name, model in sections(Fleet, name=""):
        _, _, section = text.partition(f"### {f'`{name}`' if name else 'Top level'}\n")
        section = section.partition("\n### ")[0]
        for key in model.model_fields:
            assert f"\n| `{key}` |" in section, f"{name}.{key}"


def test_a_document_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="has no line <!-- begin"):
        rewritten("# The fleet file\n")
