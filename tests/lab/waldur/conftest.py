"""The lab's cluster as `edge-gpu deploy` made it, for tests of Waldur's tenants on it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from constructs_lib.waldur_agent_access import agent_rules
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
def agent_kubeconfig(cluster: LabSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Access as the agent has it: a ServiceAccount with `WaldurAgent`'s rules."""
    admin = admin_kubeconfig(cluster)
    api = client.ApiClient(configuration_of(admin))
    core, rbac = client.CoreV1Api(api), client.RbacAuthorizationV1Api(api)
    metadata = {"name": "waldur-agent-test"}
    account = {"kind": "ServiceAccount", "name": "waldur-agent-test", "namespace": "default"}
    role_ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "waldur-agent-test"}
    core.create_namespaced_service_account("default", {"metadata": metadata})
    rbac.create_cluster_role({"metadata": metadata, "rules": agent_rules()})
    rbac.create_cluster_role_binding({"metadata": metadata, "roleRef": role_ref, "subjects": [account]})
    try:
        asked = {"spec": {"expirationSeconds": 3600}}
        token = core.create_namespaced_service_account_token("waldur-agent-test", "default", asked).status.token
        data = yaml.safe_load(admin.read_text())
        data["users"] = [{"name": user["name"], "user": {"token": token}} for user in data["users"]]
        for one in data["clusters"]:
            one["cluster"]["certificate-authority"] = str(admin.parent / one["cluster"]["certificate-authority"])
        file = tmp_path_factory.mktemp("agent") / "kubeconfig"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(data))
        yield file
    finally:
        rbac.delete_cluster_role_binding("waldur-agent-test")
        rbac.delete_cluster_role("waldur-agent-test")
        core.delete_namespaced_service_account("waldur-agent-test", "default")


def admin_kubeconfig(cluster: LabSettings) -> Path:
    """The administrator's file."""
    return cluster.project / ".edge" / cluster.fleet_name / "admin" / "kubeconfig"


def configuration_of(kubeconfig: Path) -> Any:
    """The client's configuration for a kubeconfig."""
    settings = client.Configuration()
    config.load_kube_config(config_file=str(kubeconfig), client_configuration=settings)
    return settings


@pytest.fixture(scope="session")
def cluster_variables(cluster: LabSettings, agent_kubeconfig: Path) -> dict[str, str]:
    """How the backend's tests on a cluster find this one; see their conftest.py."""
    server = next(node for node in cluster.nodes if node.role == "server")
    kubectl = [sys.executable, "-m", "lab", "exec", server.name, "--", "k3s", "kubectl"]
    return {
        "WALDUR_TEST_KUBECONFIG": str(admin_kubeconfig(cluster)),
        "WALDUR_TEST_AGENT_KUBECONFIG": str(agent_kubeconfig),
        "WALDUR_TEST_KUBECTL": shlex.join(kubectl),
        "WALDUR_TEST_IMAGE": IMAGE,
    }
