"""The fault suite's record: which faults it has, and that README.md's table shows exactly these."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scripts.checkout import ROOT
from scripts.faults import (
    BEGIN,
    END,
    FAULTS,
    README,
    SUITE,
    Verdict,
    as_markdown,
    as_text,
    main,
    read_verdicts,
    with_table,
    write_verdicts,
)

VERDICTS = [
    Verdict(fault="no sudo", verdict="survived", seconds=12.34),
    Verdict(fault="disk full", verdict="the message has no fix", seconds=3.0),
]


def faults_of_the_suite() -> list[str]:
    """The names in the `fault` marks of tests/lab/faults, without importing it."""
    found = []
    for file in sorted((ROOT / SUITE).glob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                found.append(ast.literal_eval(node.args[0]))
    return found


def test_every_fault_has_exactly_one_test() -> None:
    assert sorted(faults_of_the_suite()) == sorted(FAULTS)


def test_the_readme_lists_exactly_the_faults_of_the_suite() -> None:
    table = README.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = [line.split("|")[1].strip() for line in table.strip().splitlines()[2:]]
    assert sorted(rows) == sorted(FAULTS)


def test_the_record_is_a_list_of_objects_with_fault_verdict_and_seconds(tmp_path: Path) -> None:
    file = tmp_path / "build" / "faults.json"
    write_verdicts(VERDICTS, path=file)
    assert '"fault": "no sudo",\n    "verdict": "survived",\n    "seconds": 12.3\n' in file.read_text()
    assert read_verdicts(file)[1] == VERDICTS[1]


def test_the_table_says_how_many_were_survived() -> None:
    assert "1 of 2 faults survived" in as_text(VERDICTS)
    assert "| no sudo | survived | 12 |" in as_markdown(VERDICTS)


def test_the_readmes_table_is_replaced_and_nothing_else() -> None:
    text = f"before\n\n{BEGIN}\n\nold\n\n{END}\n\nafter\n"
    assert with_table(text, "new") == f"before\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"
    with pytest.raises(ValueError, match="once each"):
        with_table("no marks", "new")


def test_without_a_run_there_is_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scripts.faults.FAULTS_FILE", tmp_path / "faults.json")
    assert main(["--table"]) == 1
    assert "Fix: make faults" in capsys.readouterr().err
