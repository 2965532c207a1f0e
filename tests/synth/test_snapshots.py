"""Resource addresses and configuration of example fleets stay what the repository says they are."""

from __future__ import annotations

import json

import pytest

from tests.snapshots.fleets import FLEETS
from tests.snapshots.snapshot import FOLDER, as_text, recreated, snapshot

pytestmark = pytest.mark.synth


@pytest.mark.parametrize("name", FLEETS)
def test_a_fleet_becomes_what_its_snapshot_says(name: str) -> None:
    kept = (FOLDER / f"{name}.json").read_text()
    now = snapshot(name)
    if as_text(now) == kept:
        return
    lost = recreated(json.loads(kept), now)
    changed = [line for line in as_text(now).splitlines() if line not in kept.splitlines()]
    pytest.fail(
        f"{name}: {len(changed)} entries changed.\n"
        + ("Would be recreated or removed:\n  " + "\n  ".join(lost) if lost else "Nothing would be recreated.")
        + "\nA renamed construct needs constructs_lib.moved_blocks. When the change is meant: make snapshots\n"
        + "\n".join(line[:300] for line in changed[:5])
    )


def test_a_renamed_node_is_named_as_recreated_with_where_it_may_have_gone() -> None:
    body = {"triggers_replace": {"address": "a"}}
    before = {"terraform_data.old_run_0000AAAA": body}
    after = {"terraform_data.new_run_0000BBBB": body, "terraform_data.other": {"triggers_replace": {"address": "b"}}}
    assert recreated(before, after) == [
        "terraform_data.old_run_0000AAAA: gone, perhaps now terraform_data.new_run_0000BBBB: see moved()"
    ]


def test_a_changed_script_is_named_as_run_again() -> None:
    before = {"terraform_data.a": {"triggers_replace": {"script_sha256": "1"}}}
    after = {"terraform_data.a": {"triggers_replace": {"script_sha256": "2"}}}
    assert recreated(before, after) == ["terraform_data.a: runs again, script_sha256 changed"]


def test_a_changed_input_is_no_recreation() -> None:
    before = {"terraform_data.a": {"triggers_replace": {"address": "1"}, "input": {"user": "x"}}}
    after = {"terraform_data.a": {"triggers_replace": {"address": "1"}, "input": {"user": "y"}}}
    assert recreated(before, after) == []


@pytest.mark.parametrize("name", FLEETS)
def test_a_snapshot_holds_no_path_of_this_machine(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text()
    assert str(FOLDER.parents[1]) not in text
    assert "PRIVATE KEY" not in text
