"""A real cluster, named by variables; tests/lab/waldur sets them for the lab's K3s.

WALDUR_TEST_KUBECONFIG: an administrator's file. WALDUR_TEST_AGENT_KUBECONFIG: the agent's; default: the same.
WALDUR_TEST_KUBECTL: kubectl with access, as one command line.
WALDUR_TEST_IMAGE: has sh and sleep, and is on the node. The cluster must have two free GPUs.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from waldur_api_client.models.resource import Resource

from waldur_site_agent_k3s.backend import K3sBackend
from waldur_site_agent_k3s.kubernetes_api import KubernetesApi, Object

COMPONENTS: dict[str, dict[str, Any]] = {
    name: {"measured_unit": unit, "unit_factor": 1, "accounting_type": "limit", "label": name}
    for name, unit in (("gpu", "GPU"), ("cpu", "cores"), ("ram", "GB"), ("storage", "GB"))
}
LIMITS = {"gpu": 1, "cpu": 4, "ram": 8, "storage": 10}


def kubectl(*argv: str) -> str:
    """kubectl's standard output, whatever its exit code."""
    command = [*shlex.split(os.environ["WALDUR_TEST_KUBECTL"]), *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout.strip()


def eventually(true: Callable[[], bool], *, what: str, seconds: float = 90) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not after {seconds:.0f} s: {what}"
        time.sleep(0.5)


@dataclass(frozen=True, kw_only=True)
class Tenancy:
    """A tenant of one test.

    Attributes:
        backend: under test.
        api: an administrator's access, for what the test does itself.
        namespace: the tenant's.
    """

    backend: K3sBackend
    api: KubernetesApi
    namespace: str

    @property
    def slug(self) -> str:
        """Of the resource in Waldur."""
        return self.namespace.removeprefix("waldur-")

    def resource(self, *, backend_id: str | None = None, limits: dict[str, int] | None = None) -> Resource:
        """The resource as Waldur's client reads it."""
        number = uuid.uuid5(uuid.NAMESPACE_DNS, self.slug)
        return Resource.from_dict(
            {
                "uuid": str(number),
                "name": "real K3s",
                "slug": self.slug,
                "backend_id": self.namespace if backend_id is None else backend_id,
                "project_uuid": str(uuid.uuid5(number, "project")),
                "project_slug": "robots",
                "customer_uuid": str(uuid.uuid5(number, "customer")),
                "offering_uuid": str(uuid.uuid5(number, "offering")),
                "limits": limits or LIMITS,
            }
        )

    def pod(self, name: str, *, gpus: int = 1, command: str = "sleep 3600", **spec: Any) -> Object:
        """Make a pod as the tenant would."""
        return self.api.create(self.pod_object(name, gpus=gpus, command=command, **spec))

    def pod_object(self, name: str, *, gpus: int, command: str, **spec: Any) -> Object:
        """A pod."""
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec(gpus, command, **spec)}

    def phase(self, name: str) -> str:
        """A pod's phase."""
        pod = self.api.get("Pod", name, namespace=self.namespace)
        return str(pod["status"]["phase"]) if pod else "gone"

    def running(self) -> list[str]:
        """Names of running pods."""
        pods = self.api.list("Pod", namespace=self.namespace)
        return [one["metadata"]["name"] for one in pods if one["status"]["phase"] == "Running"]


def pod_spec(gpus: int, command: str, **spec: Any) -> Object:
    """A pod's spec."""
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        # A node without GPUs has no such runtime.
        **({"runtimeClassName": "nvidia"} if gpus else {}),
        "containers": [
            {
                "name": "main",
                "image": os.environ["WALDUR_TEST_IMAGE"],
                "imagePullPolicy": "Never",
                "command": ["sh", "-c", command],
                "resources": {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {},
            }
        ],
        **spec,
    }


@pytest.fixture(scope="session")
def api() -> KubernetesApi:
    """An administrator's access."""
    return KubernetesApi.connect(os.environ["WALDUR_TEST_KUBECONFIG"])


@pytest.fixture(scope="session")
def agent_api() -> KubernetesApi:
    """The agent's access."""
    return KubernetesApi.connect(os.environ.get("WALDUR_TEST_AGENT_KUBECONFIG", os.environ["WALDUR_TEST_KUBECONFIG"]))


@pytest.fixture
def tenancy(api: KubernetesApi) -> Iterator[Tenancy]:
    """A tenant of one GPU, deleted at the end."""
    made = unmade(api)
    made.backend.create_resource(made.resource(backend_id=""))
    yield made
    api.delete("Namespace", made.namespace)


def unmade(api: KubernetesApi, *, through: KubernetesApi | None = None) -> Tenancy:
    """A tenant that is not there yet."""
    own = os.environ.get("WALDUR_TEST_AGENT_KUBECONFIG", os.environ["WALDUR_TEST_KUBECONFIG"])
    agent = through or KubernetesApi.connect(own)
    backend = K3sBackend({"delete_timeout_seconds": 120}, COMPONENTS, api=agent)
    return Tenancy(backend=backend, api=api, namespace=f"waldur-test-{uuid.uuid4().hex[:8]}")
