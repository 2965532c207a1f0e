"""Machines that left a fleet while they could not be reached: `python -m scripts.removals [FLEET]` tries them again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from constructs_lib.removal_records import RemovalRecord, drop_record, read_records
from constructs_lib.remove_node import NODE_OBJECT, Removal, remove
from scripts.checkout import ROOT, chosen_fleet
from stacks.fleet import Fleet, FleetError, load_fleet


def main(arguments: list[str] | None = None) -> int:
    """Remove K3s from each recorded machine that is no node of the fleet. Exit code 0 when none is left."""
    parser = argparse.ArgumentParser(prog="python -m scripts.removals", description=__doc__)
    parser.add_argument("fleet", nargs="?", type=Path, default=chosen_fleet(), help="fleet file (default: $FLEET)")
    try:
        fleet = load_fleet((ROOT / parser.parse_args(arguments).fleet).resolve())
        file = records_file(fleet)
        for record in read_records(file):
            remove(
                Removal.read(
                    options={"records_file": str(file), "may_lose_data": [record.node], "drain_seconds": 0},
                    target=record.target,
                    # With its whole fleet gone there is no cluster left that still has the node.
                    whole_fleet=NODE_OBJECT not in record.left,
                )
            )
        left = read_records(file)
    except (FleetError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(record.text for record in left) or "no machine is left over")
    return 1 if left else 0


def records_file(fleet: Fleet, *, project: Path = ROOT) -> Path:
    """Where the fleet's left-over machines are written down."""
    return project / ".edge" / fleet.name / "not-removed.jsonl"


def left_over(fleet: Fleet, *, joined: frozenset[str] = frozenset()) -> list[RemovalRecord]:
    """The machines written down; those that are nodes of the cluster again are dropped from the file first.

    Args:
        fleet: the parsed fleet file.
        joined: names of nodes that are Ready.

    Raises:
        ValueError: the file is damaged.
        OSError: it cannot be read or written.
    """
    file = records_file(fleet)
    for node in fleet.nodes:
        if node.name in joined:
            drop_record(file, node=node.name, address=node.address)
    return read_records(file)


def say_left_over(fleet: Fleet) -> None:
    """Print what was written down, for the end of a command."""
    for record in left_over(fleet):
        print(f"NOT REMOVED  {record.text}")
        print("             when it answers again: python -m scripts.removals; never again: delete its line from")
        print(f"             {records_file(fleet)}")


if __name__ == "__main__":
    sys.exit(main())
