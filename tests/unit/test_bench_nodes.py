"""What is measured by fleet size, before anything starts."""

from __future__ import annotations

import os

import pytest

from lab.settings import load_settings
from scripts import bench_nodes


@pytest.mark.parametrize("nodes", [3, 10, 30])
def test_a_lab_of_any_size_has_one_server_and_two_gpu_nodes(nodes: int) -> None:
    lab = load_settings({"LAB_NODES": bench_nodes.lab_nodes(nodes)}).nodes
    assert len(lab) == nodes
    assert [node.name for node in lab if node.role == "server"] == ["server-1"]
    assert [node.name for node in lab if node.gpus] == ["gpu-1", "gpu-2"]


def test_more_nodes_than_fit_in_memory_are_refused_before_a_lab_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[str] = []
    monkeypatch.setattr(os, "environ", dict(os.environ))  # main() sets the lab's variables for its children
    monkeypatch.setattr(bench_nodes, "NODE_MEMORY_MIB", 10**9)
    monkeypatch.setattr(bench_nodes, "_lab", started.append)
    assert bench_nodes.main(["--nodes", "3"]) == 1
    assert "error: 3 nodes need about 3000000000 MiB of memory" in capsys.readouterr().err
    assert "up" not in started
