"""checkov in an environment of its own, on stacks that were synthesized without any secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.progress import Progress
from scripts.checkov import FLEET, check, install_checkov
from scripts.plan_make import synth_without_access
from stacks.plan_only import VARIABLE


@pytest.fixture(scope="module")
def checkov() -> Path:
    return install_checkov(progress=Progress())


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example fleet, as `make check` synthesizes it."""
    assert VARIABLE == "EDGE_GPU_PLAN_ONLY"
    return synth_without_access(tmp_path_factory.mktemp("plan").resolve(), fleet=FLEET)


def test_the_example_fleet_has_no_known_mistake(output: Path, checkov: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert check(output, checkov=checkov) == 0
    said = capfd.readouterr().out
    assert "Failed checks: 0" in said
    assert "Passed checks: 0" not in said


def test_a_privileged_pod_is_found(
    output: Path, checkov: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stack = json.loads((output / "stacks" / "edge-gpu" / "cdk.tf.json").read_text())
    container = {"name": "c", "image": "x:latest", "security_context": {"privileged": True}}
    stack["resource"]["kubernetes_pod_v1"] = {"bad": {"metadata": {"name": "bad"}, "spec": {"container": [container]}}}
    spoilt = tmp_path / "stacks" / "edge-gpu"
    spoilt.mkdir(parents=True)
    (spoilt / "cdk.tf.json").write_text(json.dumps(stack, indent=2))
    assert check(tmp_path, checkov=checkov) == 1
    assert "Do not admit privileged containers" in capfd.readouterr().out
