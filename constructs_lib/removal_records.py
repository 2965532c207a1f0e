"""The file with machines that left a fleet while their K3s could not be removed: one JSON object a line."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from constructs_lib.private_files import locked_folder, make_private_folders, replace_private_file


@dataclass(frozen=True, kw_only=True, slots=True)
class RemovalRecord:
    """A machine on which something of ours is left.

    Attributes:
        node: its name in the cluster.
        address: where it was.
        left: what is left, for example `K3s on the machine`.
        why: what kept it from being removed.
        when: UTC, ISO 8601.
        target: all that another attempt needs to know; no secret.
    """

    node: str
    address: str
    left: str
    why: str
    when: str
    target: dict[str, str]

    @property
    def text(self) -> str:
        """One line for a reader."""
        return f"{self.node} ({self.address}): {self.left} was not removed: {self.why} ({self.when})"


def read_records(file: Path) -> list[RemovalRecord]:
    """All records, oldest first; none when there is no file.

    Raises:
        ValueError: a line is no record.
        OSError: the file cannot be read.
    """
    if not file.exists():
        return []
    try:
        return [RemovalRecord(**json.loads(line)) for line in file.read_text().splitlines() if line.strip()]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file} is damaged: {error}. Fix: correct or delete it") from error


def add_record(file: Path, *, node: str, address: str, left: str, why: str, target: dict[str, str]) -> RemovalRecord:
    """Write a machine down, in place of what was written of the same machine before."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    record = RemovalRecord(node=node, address=address, left=left, why=why, when=now, target=target)
    make_private_folders(file.parent)
    _rewrite(file, lambda records: [*(one for one in records if not _same(one, node, address)), record])
    return record


def drop_record(file: Path, *, node: str, address: str) -> None:
    """Forget a machine: it is clean, or a node of the fleet again."""
    if file.exists():
        _rewrite(file, lambda records: [one for one in records if not _same(one, node, address)])


def _same(record: RemovalRecord, node: str, address: str) -> bool:
    return record.node == node and record.address == address


def _rewrite(file: Path, change: Callable[[list[RemovalRecord]], list[RemovalRecord]]) -> None:
    # Several machines are removed side by side, each by a process of its own.
    with locked_folder(file.parent):
        before = read_records(file)
        after = change(before)
        if not after:
            file.unlink(missing_ok=True)
        elif after != before:
            replace_private_file(file, "".join(f"{json.dumps(asdict(one))}\n" for one in after).encode())
