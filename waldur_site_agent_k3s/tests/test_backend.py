"""The backend on an in-memory stand-in of Kubernetes: what it makes, changes, refuses and leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_kubernetes import VERSION, FakeKubernetes
from waldur_api_client.models.resource import Resource
from waldur_site_agent.backend.exceptions import BackendError, BackendNotReadyError

from waldur_site_agent_k3s.backend import K3sBackend
from waldur_site_agent_k3s.kubernetes_api import KubernetesApi
from waldur_site_agent_k3s.ownership import IMPORT_LABEL, MANAGED_BY, RESOURCE_LABEL

NAMESPACE = "waldur-vision"

MakeResource = Callable[..., Resource]
MakeBackend = Callable[..., K3sBackend]


@pytest.fixture
def tenant(backend: K3sBackend, make_resource: MakeResource) -> Resource:
    """A resource with its namespace made."""
    info = backend.create_resource(make_resource())
    assert info.backend_id == NAMESPACE
    return make_resource(backend_id=NAMESPACE)


def hard(fake: FakeKubernetes, namespace: str = NAMESPACE) -> dict[str, str]:
    """The quota."""
    quota = fake.get("resourcequotas", "waldur", namespace=namespace)
    assert quota is not None
    found: dict[str, str] = quota["spec"]["hard"]
    return found


def test_an_order_becomes_a_namespace_with_quota_limit_range_and_network_policies(
    tenant: Resource, fake: FakeKubernetes
) -> None:
    namespace = fake.get("namespaces", NAMESPACE)
    assert namespace is not None
    assert namespace["metadata"]["labels"][RESOURCE_LABEL] == tenant.uuid.hex
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    assert hard(fake) == {
        "requests.nvidia.com/gpu": "1",
        "requests.nvidia.com/gpu.shared": "0",
        "requests.cpu": "4",
        "limits.cpu": "4",
        "requests.memory": "16Gi",
        "limits.memory": "16Gi",
        "requests.storage": "50Gi",
    }
    limits = fake.get("limitranges", "waldur", namespace=NAMESPACE)
    assert limits is not None
    assert limits["spec"]["limits"][0]["default"] == {"cpu": "1", "memory": "1Gi"}
    deny = fake.get("networkpolicies", "waldur-default-deny", namespace=NAMESPACE)
    assert deny is not None
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert fake.names("networkpolicies", namespace=NAMESPACE) == [
        "waldur-allow-outside",
        "waldur-allow-own-namespace",
        "waldur-default-deny",
    ]


def test_making_it_twice_changes_nothing(
    backend: K3sBackend, fake: FakeKubernetes, make_resource: MakeResource
) -> None:
    backend.create_resource(make_resource())
    before = json.dumps(list(fake.objects.values()))
    backend.create_resource(make_resource())
    assert json.dumps(list(fake.objects.values())) == before


@pytest.mark.usefixtures("tenant")
def test_an_order_interrupted_after_the_namespace_is_completed_by_the_next_try(
    backend: K3sBackend, fake: FakeKubernetes, make_resource: MakeResource
) -> None:
    del fake.objects["resourcequotas", NAMESPACE, "waldur"]
    del fake.objects["networkpolicies", NAMESPACE, "waldur-default-deny"]
    backend.create_resource(make_resource())
    assert hard(fake)["requests.nvidia.com/gpu"] == "1"
    assert "waldur-default-deny" in fake.names("networkpolicies", namespace=NAMESPACE)


def test_what_the_order_does_not_name_cannot_be_used(
    backend: K3sBackend, fake: FakeKubernetes, make_resource: MakeResource
) -> None:
    backend.create_resource(make_resource(limits={"cpu": 2}))
    assert hard(fake)["requests.nvidia.com/gpu"] == "0"
    assert hard(fake)["requests.memory"] == "0"


def test_a_limit_of_a_component_the_agent_does_not_have_is_refused_before_anything_is_made(
    backend: K3sBackend, fake: FakeKubernetes, make_resource: MakeResource
) -> None:
    with pytest.raises(BackendError, match="limits tpu, which the agent's backend_components do not have"):
        backend.create_resource(make_resource(limits={"tpu": 1}))
    assert fake.objects == {}


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda backend, one: backend.create_resource(one), id="create"),
        pytest.param(lambda backend, one: backend.delete_resource(one), id="delete"),
        pytest.param(lambda backend, one: backend.pull_resource(one), id="pull"),
        pytest.param(lambda backend, one: backend.pause_resource(one.backend_id), id="pause"),
        pytest.param(lambda backend, one: backend.restore_resource(one.backend_id), id="restore"),
        pytest.param(lambda backend, one: backend.set_resource_limits(one.backend_id, {"gpu": 2}), id="limits"),
        pytest.param(lambda backend, one: backend.add_user(one, "alice"), id="add user"),
        pytest.param(lambda backend, one: backend.remove_user(one, "alice"), id="remove user"),
    ],
)
def test_a_foreign_namespace_is_refused_and_left_alone(
    act: Callable[[K3sBackend, Resource], Any],
    backend: K3sBackend,
    fake: FakeKubernetes,
    make_resource: MakeResource,
) -> None:
    fake.put("namespaces", NAMESPACE, metadata={"labels": {MANAGED_BY: "Terraform"}})
    with pytest.raises(BackendError, match=r"is not Waldur's.*left alone"):
        act(backend, make_resource(backend_id=NAMESPACE))
    # Making it was tried, which Kubernetes refuses itself.
    assert [write for write in fake.writes if write != "POST /api/v1/namespaces"] == []


def test_a_namespace_of_another_resource_is_refused(
    backend: K3sBackend, tenant: Resource, fake: FakeKubernetes, make_resource: MakeResource
) -> None:
    fake.writes.clear()
    other = make_resource("other", backend_id=NAMESPACE)
    for act in (backend.delete_resource, backend.pull_resource):
        with pytest.raises(BackendError, match=f"belongs to Waldur's resource {tenant.uuid.hex}"):
            act(other)
    assert fake.writes == []


@pytest.mark.usefixtures("tenant")
def test_changed_limits_change_the_quota_and_keep_what_was_not_named(backend: K3sBackend, fake: FakeKubernetes) -> None:
    for _ in range(2):
        backend.set_resource_limits(NAMESPACE, {"gpu": 2})
        assert hard(fake)["requests.nvidia.com/gpu"] == "2"
        assert hard(fake)["requests.cpu"] == "4"
    assert backend.get_resource_limits(NAMESPACE) == {"gpu": 2, "cpu": 4, "ram": 16, "storage": 50}


@pytest.mark.usefixtures("tenant")
def test_a_quota_changed_by_hand_is_put_right_by_the_next_sync(backend: K3sBackend, fake: FakeKubernetes) -> None:
    hard(fake)["requests.nvidia.com/gpu"] = "8"
    backend.restore_resource(NAMESPACE)
    assert hard(fake)["requests.nvidia.com/gpu"] == "1"


@pytest.mark.usefixtures("tenant")
def test_limits_that_waldur_has_otherwise_are_put_right_in_the_cluster_and_never_in_waldur(
    backend: K3sBackend, fake: FakeKubernetes, make_resource: MakeResource
) -> None:
    bought = make_resource(backend_id=NAMESPACE, limits={"gpu": 2, "cpu": 4, "ram": 16, "storage": 50})
    backend.sync_resource_limits(bought, None)
    assert hard(fake)["requests.nvidia.com/gpu"] == "2"


@pytest.mark.usefixtures("tenant")
def test_a_pause_stops_workloads_and_a_resume_starts_what_the_pause_stopped(
    backend: K3sBackend, fake: FakeKubernetes
) -> None:
    fake.put("deployments", "train", namespace=NAMESPACE, spec={"replicas": 3})
    fake.put("statefulsets", "off", namespace=NAMESPACE, spec={"replicas": 0})
    owner = {"ownerReferences": [{"controller": True, "kind": "Deployment", "name": "train"}]}
    fake.put("replicasets", "train-1", namespace=NAMESPACE, spec={"replicas": 3}, metadata=owner)
    fake.put("cronjobs", "nightly", namespace=NAMESPACE, spec={"suspend": False})
    fake.put("cronjobs", "stopped", namespace=NAMESPACE, spec={"suspend": True})
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    fake.put("jobs", "done", namespace=NAMESPACE, spec={}, status=done)
    fake.put("pods", "train-1-x", namespace=NAMESPACE, status={"phase": "Running"})
    fake.put("pods", "done-x", namespace=NAMESPACE, status={"phase": "Succeeded"})

    for _ in range(2):
        assert backend.pause_resource(NAMESPACE)
        assert {key: value for key, value in hard(fake).items() if value != "0"} == {"requests.storage": "50Gi"}
        assert hard(fake)["pods"] == "0"
        assert fake.get("deployments", "train", namespace=NAMESPACE)["spec"]["replicas"] == 0  # type: ignore[index]
        assert fake.get("replicasets", "train-1", namespace=NAMESPACE)["spec"]["replicas"] == 3  # type: ignore[index]
        assert fake.get("cronjobs", "nightly", namespace=NAMESPACE)["spec"]["suspend"] is True  # type: ignore[index]
        assert "suspend" not in fake.get("jobs", "done", namespace=NAMESPACE)["spec"]  # type: ignore[index]
        assert fake.names("pods", namespace=NAMESPACE) == ["done-x"]
        assert backend.get_resource_limits(NAMESPACE)["gpu"] == 1
        assert backend.get_resource_metadata(NAMESPACE) == {"namespace": NAMESPACE, "state": "paused"}

    for _ in range(2):
        assert backend.restore_resource(NAMESPACE)
        assert hard(fake)["requests.nvidia.com/gpu"] == "1"
        assert "pods" not in hard(fake)
        assert fake.get("deployments", "train", namespace=NAMESPACE)["spec"]["replicas"] == 3  # type: ignore[index]
        assert fake.get("statefulsets", "off", namespace=NAMESPACE)["spec"]["replicas"] == 0  # type: ignore[index]
        assert fake.get("cronjobs", "nightly", namespace=NAMESPACE)["spec"]["suspend"] is False  # type: ignore[index]
        assert fake.get("cronjobs", "stopped", namespace=NAMESPACE)["spec"]["suspend"] is True  # type: ignore[index]
        assert backend.get_resource_metadata(NAMESPACE)["state"] == "normal"


@pytest.mark.usefixtures("tenant")
def test_a_pause_that_was_interrupted_is_finished_by_the_next_and_loses_no_replicas(
    backend: K3sBackend, fake: FakeKubernetes
) -> None:
    fake.put("deployments", "train", namespace=NAMESPACE, spec={"replicas": 3})
    fake.put("pods", "held", namespace=NAMESPACE, status={"phase": "Running"})
    fake.stuck.add("held")
    with pytest.raises(BackendNotReadyError, match="pods are still there after 1 s: held"):
        backend.pause_resource(NAMESPACE)
    del fake.objects["pods", NAMESPACE, "held"]
    assert backend.pause_resource(NAMESPACE)
    assert backend.restore_resource(NAMESPACE)
    assert fake.get("deployments", "train", namespace=NAMESPACE)["spec"]["replicas"] == 3  # type: ignore[index]


@pytest.mark.usefixtures("tenant")
def test_downscaled_takes_the_gpus_alone_and_stops_nothing(backend: K3sBackend, fake: FakeKubernetes) -> None:
    fake.put("pods", "train", namespace=NAMESPACE, status={"phase": "Running"})
    backend.downscale_resource(NAMESPACE)
    assert hard(fake)["requests.nvidia.com/gpu"] == "0"
    assert hard(fake)["requests.cpu"] == "4"
    assert fake.names("pods", namespace=NAMESPACE) == ["train"]


@pytest.mark.usefixtures("tenant")
def test_limits_bought_while_paused_hold_after_the_resume(backend: K3sBackend, fake: FakeKubernetes) -> None:
    backend.pause_resource(NAMESPACE)
    backend.set_resource_limits(NAMESPACE, {"gpu": 2})
    assert hard(fake)["requests.nvidia.com/gpu"] == "0"
    backend.restore_resource(NAMESPACE)
    assert hard(fake)["requests.nvidia.com/gpu"] == "2"


def test_a_terminated_resource_is_gone_and_terminating_it_again_is_no_error(
    backend: K3sBackend, tenant: Resource, fake: FakeKubernetes
) -> None:
    for _ in range(2):
        backend.delete_resource(tenant, project_slug="robots")
        assert fake.names("namespaces") == []


def test_a_namespace_that_does_not_go_keeps_the_order_open(
    backend: K3sBackend, tenant: Resource, fake: FakeKubernetes, make_resource: MakeResource
) -> None:
    fake.stuck.add(NAMESPACE)
    with pytest.raises(BackendNotReadyError, match="still being deleted after 1 s"):
        backend.delete_resource(tenant)
    with pytest.raises(BackendNotReadyError, match="still being deleted"):
        backend.create_resource(make_resource())
    assert backend.pull_resource(tenant) is None


def test_a_cluster_that_does_not_answer_keeps_the_order_open_and_a_refusal_ends_it(
    backend: K3sBackend, fake: FakeKubernetes, make_resource: MakeResource
) -> None:
    fake.broken = 503
    with pytest.raises(BackendNotReadyError, match="503"):
        backend.create_resource(make_resource())
    assert not backend.ping()
    fake.broken = 403
    with pytest.raises(BackendError, match="403"):
        backend.create_resource(make_resource())


def test_members_get_the_roles_of_the_portal_and_follow_its_changes(
    backend: K3sBackend, tenant: Resource, fake: FakeKubernetes
) -> None:
    roles = {"alice": "PROJECT.MANAGER", "bob": "member", "carol": "auditor"}
    assert backend.add_users_to_resource(tenant, set(roles), user_roles=roles) == set(roles)
    bound = {
        one["subjects"][0]["name"]: one["roleRef"]["name"]
        for key, one in fake.objects.items()
        if key[0] == "rolebindings"
    }
    assert bound == {"alice": "admin", "bob": "edit", "carol": "view"}
    info = backend.pull_resource(tenant)
    assert info is not None
    assert sorted(info.users) == ["alice", "bob", "carol"]

    backend.reconcile_existing_user_roles(tenant, {"bob"}, {"bob": "manager"}, {})
    backend.remove_user(tenant, "alice")
    backend.remove_user(tenant, "alice")
    bound = {
        one["subjects"][0]["name"]: one["roleRef"]["name"]
        for key, one in fake.objects.items()
        if key[0] == "rolebindings"
    }
    assert bound == {"bob": "admin", "carol": "view"}


def test_a_namespace_labelled_for_the_project_is_offered_and_taken_over(
    backend: K3sBackend, fake: FakeKubernetes, make_resource: MakeResource
) -> None:
    fake.put("namespaces", "old", metadata={"labels": {IMPORT_LABEL: "robots"}})
    fake.put("namespaces", "theirs", metadata={"labels": {IMPORT_LABEL: "robots", MANAGED_BY: "Terraform"}})
    fake.put("namespaces", "kube-system", metadata={"labels": {IMPORT_LABEL: "robots"}})
    assert [(one.backend_id, one.parent_id) for one in backend.list_resources()] == [("old", "robots")]
    imported = make_resource(backend_id="old")
    for _ in range(2):
        assert backend.pull_resource(imported) is not None
    assert hard(fake, "old")["requests.nvidia.com/gpu"] == "1"
    with pytest.raises(BackendError, match="is not Waldur's"):
        backend.pull_resource(make_resource("theirs", backend_id="theirs"))


def test_a_namespace_labelled_for_another_project_is_not_taken_over(
    backend: K3sBackend, fake: FakeKubernetes, make_resource: MakeResource
) -> None:
    fake.put("namespaces", "old", metadata={"labels": {IMPORT_LABEL: "boats"}})
    with pytest.raises(BackendError, match="cannot be imported into Waldur's project robots"):
        backend.pull_resource(make_resource(backend_id="old"))
    assert fake.writes == []


@pytest.mark.parametrize(("slug", "told"), [("UPPER_case", "is no name of a namespace"), ("", "is no name")])
def test_a_slug_that_names_no_namespace_is_refused(
    slug: str, told: str, backend: K3sBackend, make_resource: MakeResource
) -> None:
    with pytest.raises(BackendError, match=told):
        backend.create_resource(make_resource(slug))


def test_a_long_slug_is_shortened_to_a_name_of_its_own(make_backend: MakeBackend, make_resource: MakeResource) -> None:
    backend = make_backend()
    names = {backend.create_resource(make_resource("x" * 70 + end)).backend_id for end in "ab"}
    assert len(names) == 2
    assert all(len(name) == 63 for name in names)


@pytest.mark.parametrize(
    ("settings", "components", "told"),
    [
        ({"kube_config": "x"}, {}, "kube_config"),
        ({"coverage_minimum": 2}, {}, "coverage_minimum"),
        ({"waldur_api_url": "https://waldur.example.com/api/"}, {}, "waldur_api_token_file belong together"),
        ({}, {"gpu_hours": {"accounting_type": "usage"}}, "needs prometheus_url, waldur_api_url"),
        ({}, {"watts": {"accounting_type": "usage"}}, "names no series"),
        ({}, {"tpu": {"accounting_type": "limit"}}, "tpu have no place in the quota"),
    ],
)
def test_wrong_settings_are_refused_with_their_name(
    settings: dict[str, Any], components: dict[str, Any], told: str, make_backend: MakeBackend
) -> None:
    with pytest.raises(BackendError, match=told):
        make_backend(components, **settings)


def test_a_token_of_a_kubeconfig_is_sent(fake: FakeKubernetes, tmp_path: Path) -> None:
    fake.token = "of-the-tests"
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": fake.url}}],
        "users": [{"name": "fake", "user": {"token": fake.token}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(kubeconfig))
    assert KubernetesApi.connect(str(file)).version() == VERSION
