"""What stops a deploy before it reaches a node, with a message that names the place. The rest: tests/lab/faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab.main_job.conftest import edge_gpu

# The lab wrote the fleet file that is changed here.
pytestmark = pytest.mark.usefixtures("bare_nodes")

ChangedFleet = Callable[..., Path]


def test_an_invalid_fleet_file_stops_before_anything_is_planned(changed_fleet: ChangedFleet) -> None:
    failed = edge_gpu("deploy", fleet=changed_fleet("lab-invalid", ("role: server", "role: servant")))
    assert failed.code == 1
    assert "servant" in failed.output
    assert "server" in failed.output
    assert "Terraform" not in failed.output


def test_a_missing_fleet_file_is_named(tmp_path: Path) -> None:
    failed = edge_gpu("deploy", fleet=tmp_path / "nothing.yaml")
    assert failed.code == 1
    assert "nothing.yaml" in failed.output
