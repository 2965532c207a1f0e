"""The backend on a real cluster: what Kubernetes itself admits, refuses and authorizes for a tenant."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from conftest import LIMITS, Tenancy, eventually, kubectl, pod_spec, unmade
from waldur_site_agent.backend.exceptions import BackendError, BackendNotReadyError

from waldur_site_agent_k3s.kubernetes_api import KubernetesApi, KubernetesError
from waldur_site_agent_k3s.ownership import IMPORT_LABEL


def test_a_quota_of_one_gpu_admits_one_gpu_pod_and_refuses_the_second(tenancy: Tenancy) -> None:
    tenancy.pod("first", command="nvidia-smi -L > /dev/termination-log && sleep 3600")
    eventually(lambda: tenancy.phase("first") == "Running", what="the first GPU pod runs")
    with pytest.raises(KubernetesError, match=r"exceeded quota: waldur.*requests.nvidia.com/gpu"):
        tenancy.pod("second")
    # Without GPU and without any request: the limit range fills in what the quota asks for.
    tenancy.pod("no-gpu", gpus=0)
    eventually(lambda: tenancy.phase("no-gpu") == "Running", what="the pod without a GPU runs")
    with pytest.raises(KubernetesError, match="exceeded quota"):
        tenancy.pod("eight-cpus", gpus=0, containers=[_container(cpu="8")])


def test_a_pod_that_reaches_the_nodes_gpus_past_the_quota_is_refused(tenancy: Tenancy) -> None:
    with pytest.raises(KubernetesError, match=r"violates PodSecurity.*privileged"):
        tenancy.pod("privileged", gpus=0, containers=[_container(securityContext={"privileged": True})])
    with pytest.raises(KubernetesError, match=r"violates PodSecurity.*hostPath"):
        tenancy.pod("host-path", gpus=0, volumes=[{"name": "dev", "hostPath": {"path": "/dev"}}])


def test_network_policies_deny_first_and_the_api_server_takes_them_as_they_are(tenancy: Tenancy) -> None:
    found = kubectl("get", "networkpolicy", "-n", tenancy.namespace, "-o", "jsonpath={.items[*].metadata.name}")
    assert found.split() == ["waldur-allow-outside", "waldur-allow-own-namespace", "waldur-default-deny"]
    denied = kubectl("get", "networkpolicy", "waldur-default-deny", "-n", tenancy.namespace, "-o", "jsonpath={.spec}")
    assert denied == '{"podSelector":{},"policyTypes":["Ingress","Egress"]}'


def test_manager_member_and_stranger_can_what_their_roles_say_and_nothing_elsewhere(tenancy: Tenancy) -> None:
    roles = {"mia@example.org": "PROJECT.MANAGER", "ben": "PROJECT.MEMBER", "ann": "PROJECT.AUDITOR"}
    for _ in range(2):
        tenancy.backend.add_users_to_resource(tenancy.resource(), set(roles), user_roles=roles)
    asked = {
        "create pods": ("yes", "yes", "no", "no"),
        "get pods": ("yes", "yes", "yes", "no"),
        "create rolebindings": ("yes", "no", "no", "no"),
        "update resourcequotas": ("no", "no", "no", "no"),
        "delete namespaces": ("no", "no", "no", "no"),
    }
    users = (*roles, "stranger")
    for question, answers in asked.items():
        told = {user: _can(user, question, namespace=tenancy.namespace) for user in users}
        assert told == dict(zip(users, answers, strict=True)), question
    assert {_can(user, "get pods", namespace="kube-system") for user in users} == {"no"}

    tenancy.backend.remove_user(tenancy.resource(), "ben")
    tenancy.backend.reconcile_existing_user_roles(tenancy.resource(), {"ann"}, {"ann": "PROJECT.MEMBER"}, {})
    assert _can("ben", "get pods", namespace=tenancy.namespace) == "no"
    assert _can("ann", "create pods", namespace=tenancy.namespace) == "yes"


def test_a_higher_limit_admits_more_and_a_lower_one_evicts_nothing(tenancy: Tenancy) -> None:
    tenancy.pod("first")
    for _ in range(2):
        tenancy.backend.set_resource_limits(tenancy.namespace, {"gpu": 2})
    _admitted(tenancy, "second")
    eventually(lambda: sorted(tenancy.running()) == ["first", "second"], what="both pods run")
    for _ in range(2):
        tenancy.backend.set_resource_limits(tenancy.namespace, {"gpu": 1})
    with pytest.raises(KubernetesError, match="exceeded quota"):
        tenancy.pod("third")
    assert sorted(tenancy.running()) == ["first", "second"]


def test_a_pause_stops_gpu_work_and_admits_none_and_a_resume_brings_it_back(tenancy: Tenancy) -> None:
    _deployment(tenancy)
    eventually(lambda: len(tenancy.running()) == 1, what="the deployment's pod runs")
    for _ in range(2):
        assert tenancy.backend.pause_resource(tenancy.namespace)
        assert tenancy.running() == []
    with pytest.raises(KubernetesError, match="exceeded quota"):
        tenancy.pod("sneaked-in", gpus=0)
    for _ in range(2):
        assert tenancy.backend.restore_resource(tenancy.namespace)
    eventually(lambda: len(tenancy.running()) == 1, what="the deployment's pod runs again")


def test_an_order_cut_off_at_any_write_is_completed_by_the_next_try(
    api: KubernetesApi, agent_api: KubernetesApi
) -> None:
    written = 0
    while True:
        cut = _CutOff(agent_api, after=written)
        made = unmade(api, through=cut)
        try:
            made.backend.create_resource(made.resource(backend_id=""))
        except Exception:
            cut.after = None
            made.backend.create_resource(made.resource(backend_id=""))
        whole = {kind: len(api.list(kind, namespace=made.namespace)) for kind in ("ResourceQuota", "LimitRange")}
        assert whole == {"ResourceQuota": 1, "LimitRange": 1}
        assert len(api.list("NetworkPolicy", namespace=made.namespace)) == 3
        api.delete("Namespace", made.namespace)
        if cut.after is not None:
            break
        written += 1
    assert written == 6, "namespace, quota, limit range and three policies are one write each"


def test_pause_and_resume_cut_off_at_any_write_lose_no_workload(tenancy: Tenancy, agent_api: KubernetesApi) -> None:
    _deployment(tenancy, replicas=1)
    cut = _CutOff(agent_api, after=None)
    through = unmade(tenancy.api, through=cut).backend
    for act in (through.pause_resource, through.restore_resource):
        cuts = 0
        while True:
            cut.after, cut.writes = cuts, 0
            try:
                assert act(tenancy.namespace)
                break
            except BackendNotReadyError:
                assert cut.writes == cuts, "it was this test that broke it off"
                cuts += 1
        assert cuts >= 6, "quota, limit range, three policies and the workload are one write each"
    eventually(lambda: len(tenancy.running()) == 1, what="the deployment's pod runs")


def test_a_terminated_tenant_is_gone_with_all_in_it_and_twice_is_no_error(tenancy: Tenancy) -> None:
    tenancy.pod("train")
    for _ in range(2):
        tenancy.backend.delete_resource(tenancy.resource(), project_slug="robots")
        assert tenancy.api.get("Namespace", tenancy.namespace) is None
    assert tenancy.backend.pull_resource(tenancy.resource()) is None


def test_a_foreign_namespace_is_left_alone_and_an_import_needs_its_administrators_label(api: KubernetesApi) -> None:
    made = unmade(api)
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made.namespace}})
    before = api.get("Namespace", made.namespace)
    acts: list[Callable[[], Any]] = [
        lambda: made.backend.create_resource(made.resource(backend_id="")),
        lambda: made.backend.pause_resource(made.namespace),
        lambda: made.backend.set_resource_limits(made.namespace, {"gpu": 2}),
        lambda: made.backend.delete_resource(made.resource()),
        lambda: made.backend.pull_resource(made.resource()),
    ]
    for act in acts * 2:
        with pytest.raises(BackendError, match="left alone"):
            act()
    assert api.get("Namespace", made.namespace) == before
    assert api.list("ResourceQuota", namespace=made.namespace) == []

    kubectl("label", "namespace", made.namespace, f"{IMPORT_LABEL}=robots")
    assert made.namespace in {one.backend_id for one in made.backend.list_resources()}
    for _ in range(2):
        assert made.backend.pull_resource(made.resource()) is not None
    assert len(api.list("ResourceQuota", namespace=made.namespace)) == 1
    made.backend.delete_resource(made.resource())
    assert api.get("Namespace", made.namespace) is None


class _CutOff(KubernetesApi):
    """Breaks off before the write after so many; None: never."""

    def __init__(self, api: KubernetesApi, *, after: int | None) -> None:
        super().__init__(api._client)
        self.after = after
        self.writes = 0

    def _call(self, method: Any, path: str, **more: Any) -> Any:
        if method != "GET":
            if self.after is not None and self.writes >= self.after:
                raise KubernetesError("cut off by the test", status=0)
            self.writes += 1
        return super()._call(method, path, **more)


def _can(user: str, question: str, *, namespace: str) -> str:
    return kubectl("auth", "can-i", *question.split(), f"--as={user}", "-n", namespace).splitlines()[-1]


def _admitted(tenancy: Tenancy, name: str) -> None:
    # The quota controller takes a moment to see a changed quota.
    def there() -> bool:
        try:
            tenancy.pod(name)
        except KubernetesError as error:
            if "exceeded quota" not in str(error):
                raise
            return False
        return True

    eventually(there, what=f"pod {name} is admitted", seconds=20)


def _deployment(tenancy: Tenancy, *, replicas: int = 1) -> None:
    labels = {"app": uuid.uuid4().hex[:8]}
    spec = pod_spec(1, "sleep 3600", restartPolicy="Always")
    tenancy.api.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "train", "namespace": tenancy.namespace},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }
    )


def _container(*, cpu: str | None = None, **more: Any) -> dict[str, Any]:
    container: dict[str, Any] = pod_spec(0, "sleep 3600")["containers"][0]
    return container | more | ({"resources": {"limits": {"cpu": cpu}}} if cpu else {})


assert LIMITS["gpu"] == 1, "the tests' names say so"
