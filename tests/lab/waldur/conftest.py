"""The lab's cluster as `edge-gpu deploy` made it, for tests of Waldur's tenants on it."""

from __future__ import annotations

import os
import shlex
import sys

import pytest

from lab.settings import LabSettings, load_settings
from tests.lab.main_job.conftest import edge_gpu, run

IMAGE = "edge-gpu-lab/gpu-check-base:bookworm"


@pytest.fixture(scope="session")
def cluster() -> LabSettings:
    """The lab; its fleet is deployed, and stays so."""
    up = run([sys.executable, "-m", "lab", "up"])
    assert up.code == 0, up.output
    settings = load_settings(os.environ)
    deployed = edge_gpu("deploy", fleet=settings.fleet_file)
    assert deployed.code == 0, deployed.output
    return settings


@pytest.fixture(scope="session")
def cluster_variables(cluster: LabSettings) -> dict[str, str]:
    """How the backend's tests on a cluster find this one; see their conftest.py."""
    server = next(node for node in cluster.nodes if node.role == "server")
    kubectl = [sys.executable, "-m", "lab", "exec", server.name, "--", "k3s", "kubectl"]
    return {
        "WALDUR_TEST_KUBECONFIG": str(cluster.project / ".edge" / cluster.fleet_name / "admin" / "kubeconfig"),
        "WALDUR_TEST_KUBECTL": shlex.join(kubectl),
        "WALDUR_TEST_IMAGE": IMAGE,
    }
