"""A cluster that is no real one, and a resource as Waldur's client hands it to the backend."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fake_kubernetes import FakeKubernetes, serving
from waldur_api_client.models.resource import Resource

from waldur_site_agent_k3s.backend import K3sBackend
from waldur_site_agent_k3s.kubernetes_api import KubernetesApi

LIMIT_COMPONENTS: dict[str, dict[str, Any]] = {
    name: {"measured_unit": unit, "unit_factor": 1, "accounting_type": "limit", "label": name}
    for name, unit in (("gpu", "GPU"), ("cpu", "cores"), ("ram", "GB"), ("storage", "GB"))
}

MakeResource = Callable[..., Resource]
MakeBackend = Callable[..., K3sBackend]


@pytest.fixture
def fake() -> Iterator[FakeKubernetes]:
    """The stand-in cluster, served."""
    fake = FakeKubernetes()
    with serving(fake) as api_client:
        fake.api = KubernetesApi(api_client)  # type: ignore[attr-defined]
        yield fake


@pytest.fixture
def make_backend(fake: FakeKubernetes) -> MakeBackend:
    """The backend on the stand-in cluster; settings and components may be added."""

    def make(components: dict[str, dict[str, Any]] | None = None, **settings: Any) -> K3sBackend:
        return K3sBackend(
            {"delete_timeout_seconds": 1, **settings},
            {**LIMIT_COMPONENTS, **(components or {})},
            api=fake.api,  # type: ignore[attr-defined]
        )

    return make


@pytest.fixture
def backend(make_backend: MakeBackend) -> K3sBackend:
    """The backend with default settings."""
    return make_backend()


@pytest.fixture
def make_resource() -> MakeResource:
    """A resource as the client reads it from Waldur."""

    def make(slug: str = "vision", *, backend_id: str = "", limits: dict[str, int] | None = None) -> Resource:
        number = uuid.uuid5(uuid.NAMESPACE_DNS, slug)
        return Resource.from_dict(
            {
                "uuid": str(number),
                "name": f"{slug} of the tests",
                "slug": slug,
                "backend_id": backend_id,
                "project_uuid": str(uuid.uuid5(number, "project")),
                "project_slug": "robots",
                "customer_uuid": str(uuid.uuid5(number, "customer")),
                "offering_uuid": str(uuid.uuid5(number, "offering")),
                "limits": {"gpu": 1, "cpu": 4, "ram": 16, "storage": 50} if limits is None else limits,
            }
        )

    return make
