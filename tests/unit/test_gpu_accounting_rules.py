"""The recording rules for GPU-hours, evaluated by Prometheus's own promtool, from Debian's package."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from constructs_lib.gpu_accounting_rules import ALLOCATED, COVERAGE, SHARED_ALLOCATED, recording_rules
from lab.artifacts.debian_package import debian_package

HOURS = f"sum_over_time({ALLOCATED}[2h:1m]) / 60"
REPLICAS = ("10.42.0.3:8080", "10.42.1.3:8080")


@pytest.fixture(scope="module")
def promtool() -> Path:
    """The program."""
    return debian_package("prometheus").unpacked() / "usr" / "bin" / "promtool"


def pod(
    name: str, values: str, *, gpus: int, node: str = "gpu-1", phase: str = "Running", resource: str = "nvidia_com_gpu"
) -> list[dict[str, str]]:
    """What both replicas of kube-state-metrics say of a pod of tenant-a; `values` with N in the place of a number."""
    series = []
    for instance in REPLICAS:
        who = f'namespace="tenant-a",pod="{name}",uid="uid-{name}",instance="{instance}",job="kube-state-metrics"'
        asked = f'container="main",node="{node}",resource="{resource}",unit="integer"'
        series += [
            {
                "series": f"kube_pod_container_resource_requests{{{who},{asked}}}",
                "values": values.replace("N", str(gpus)),
            },
            {"series": f'kube_pod_status_phase{{{who},phase="{phase}"}}', "values": values.replace("N", "1")},
        ]
    return series


def held(start: int, minutes: int) -> str:
    """Samples of a pod that is there for so many minutes, and then gone: Prometheus marks that."""
    return f"_x{start} Nx{minutes - 1} stale"


def evaluated(promtool: Path, folder: Path, series: list[dict[str, str]], expected: dict[str, Any]) -> None:
    """Let promtool compare queries at two hours with what they are to give: a number by label set."""
    (folder / "rules.json").write_text(json.dumps(recording_rules()))
    tests = [
        {
            "expr": query,
            "eval_time": "2h",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
        }
        for query, samples in expected.items()
    ]
    case = {
        "rule_files": ["rules.json"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}],
    }
    (folder / "test.json").write_text(json.dumps(case))
    done = subprocess.run(
        [promtool, "test", "rules", "test.json"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def up(values: str) -> list[dict[str, str]]:
    """Whether kube-state-metrics answers."""
    return [
        {"series": f'up{{job="kube-state-metrics",instance="{instance}"}}', "values": values} for instance in REPLICAS
    ]


def test_two_gpus_for_an_hour_and_one_for_half_an_hour_are_two_and_a_half_gpu_hours(
    promtool: Path, tmp_path: Path
) -> None:
    series = [*pod("train", held(10, 60), gpus=2), *pod("serve", held(80, 30), gpus=1)]
    evaluated(promtool, tmp_path, series, {HOURS: {'{namespace="tenant-a"}': 2.5}})


def test_a_pod_that_waits_for_a_node_or_has_ended_holds_nothing(promtool: Path, tmp_path: Path) -> None:
    series = [
        *pod("waits", held(10, 60), gpus=8, node="", phase="Pending"),
        *pod("done", held(10, 60), gpus=8, phase="Succeeded"),
        *pod("failed", held(10, 60), gpus=8, phase="Failed"),
        *pod("pulls-its-image", held(10, 60), gpus=1, phase="Pending"),
    ]
    evaluated(promtool, tmp_path, series, {HOURS: {'{namespace="tenant-a"}': 1.0}})


def test_cpus_are_no_gpus_and_time_sliced_ones_are_counted_apart(promtool: Path, tmp_path: Path) -> None:
    series = [
        *pod("cpu", held(10, 60), gpus=16, resource="cpu"),
        *pod("shared", held(10, 60), gpus=3, resource="nvidia_com_gpu_shared"),
    ]
    shared = f"sum_over_time({SHARED_ALLOCATED}[2h:1m]) / 60"
    evaluated(promtool, tmp_path, series, {HOURS: {}, shared: {'{namespace="tenant-a"}': 3.0}})


def test_a_pod_made_anew_under_its_name_is_not_counted_with_the_old_one(promtool: Path, tmp_path: Path) -> None:
    first = pod("train-0", held(10, 30), gpus=1)
    second = [
        {**one, "series": one["series"].replace("uid-train-0", "uid-again")}
        for one in pod("train-0", held(40, 30), gpus=1)
    ]
    evaluated(promtool, tmp_path, [*first, *second], {HOURS: {'{namespace="tenant-a"}': 1.0}})


def test_a_gap_is_seen_in_the_coverage_and_one_replica_that_answers_is_enough(promtool: Path, tmp_path: Path) -> None:
    covered = f"count_over_time({COVERAGE}[2h:1m])"
    (tmp_path / "gap").mkdir()
    evaluated(promtool, tmp_path / "gap", up("1x59 0x29 1x30"), {covered: {"{}": 91}})
    one_of_two = [up("1x120")[0], up("0x120")[1]]
    evaluated(promtool, tmp_path, one_of_two, {covered: {"{}": 121}})
