"""What the constructs for Waldur synthesize to."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from constructs_lib.gpu_accounting import GpuAccounting
from constructs_lib.gpu_accounting_rules import recording_rules
from constructs_lib.providers import HelmProvider, KubernetesProvider
from constructs_lib.testing import assert_contains, new_stack, only, resources, synth
from constructs_lib.waldur_agent import WaldurAgent
from constructs_lib.waldur_agent_access import agent_rules
from constructs_lib.waldur_offering import GPU_COMPONENTS, WaldurComponent, WaldurOffering, WaldurPlan, WaldurProvider
from constructs_lib.waldur_tenant import WaldurTenant
from constructs_lib.waldur_usage_reporter import WaldurUsageReporter
from scripts.waldur_spec import OfferingSpec

API = "https://waldur.example.com/api/"
UUID = "0123456789abcdef" * 2
PROMETHEUS = "http://prometheus-server.gpu-accounting.svc:80"


def offering(**changes: Any) -> WaldurOffering:
    """An offering in a stack of its own."""
    arguments: dict[str, Any] = {
        "api_url": API,
        "category": "GPU",
        "provider": WaldurProvider(name="Edge Ltd"),
        "name": "K3s GPU edge",
        "backend_id": "edge-1",
        "plans": [WaldurPlan(name="Default", prices={"gpu": "10", "gpu_hours": "0.75"})],
    }
    return WaldurOffering(new_stack(), "offering", **{**arguments, **changes})


def agent(**changes: Any) -> dict[str, Any]:
    """An agent, synthesized."""
    stack = new_stack()
    KubernetesProvider(stack, "kubernetes")
    arguments = {
        "api_url": API,
        "offering_uuid": UUID,
        "image": "registry.example/agent:1",
        "prometheus_url": PROMETHEUS,
    }
    WaldurAgent(stack, "agent", **{**arguments, "prometheus_url": PROMETHEUS, **changes})
    return synth(stack)


def accounting(**changes: Any) -> dict[str, Any]:
    """The accounting, synthesized."""
    stack = new_stack()
    KubernetesProvider(stack, "kubernetes")
    HelmProvider(stack, "helm")
    GpuAccounting(stack, "accounting", **{"chart_version": "27.3.0", **changes})
    return synth(stack)


def test_the_rendered_spec_is_one_that_the_registration_takes() -> None:
    spec = OfferingSpec.model_validate_json(offering().spec)
    assert [component.type for component in spec.components] == [component.type for component in GPU_COMPONENTS]
    assert {component.type: component.limit_period for component in spec.components}["gpu"] == "month"
    assert {component.type: component.limit_period for component in spec.components}["gpu_hours"] is None
    assert spec.plugin_options["supports_pausing"] is True


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"api_url": "http://waldur.example.com/api/"}, "allowed is https://HOST/api/"),
        ({"plans": []}, "at least one each"),
        ({"plans": [WaldurPlan(name="P", prices={"tpu": "1"})]}, "tpu, which is no component"),
        ({"plans": [WaldurPlan(name="P", prices={"gpu": "-1"})]}, "the price of gpu is '-1'"),
        ({"plans": [WaldurPlan(name="P", prices={}, unit_price="free")]}, "the price of the plan is 'free'"),
        ({"components": [*GPU_COMPONENTS, GPU_COMPONENTS[0]]}, "component gpu stands there twice"),
    ],
)
def test_a_wrong_offering_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        offering(**changes)


def test_the_agent_runs_once_in_each_mode_without_root_and_its_token_is_nowhere_in_terraform() -> None:
    made = agent()
    deployments = resources(made, "kubernetes_deployment_v1")
    assert len(deployments) == 3
    for deployment in deployments.values():
        spec = deployment["spec"]
        assert_contains(spec, {"replicas": "1", "strategy": {"type": "Recreate"}})
        pod = spec["template"]["spec"]
        assert pod["security_context"]["run_as_non_root"] is True
        assert pod["container"][0]["security_context"]["read_only_root_filesystem"] is True
        assert {"name": "token", "secret": {"secret_name": "waldur-token", "default_mode": "0440"}} in pod["volume"]
    assert resources(made, "kubernetes_secret_v1") == {}
    config = json.loads(only(made, "kubernetes_config_map_v1")["data"]["config.json"])
    (one,) = config["offerings"]
    assert "waldur_api_token" not in one
    assert one["backend_settings"]["prometheus_url"] == PROMETHEUS
    assert one["backend_components"]["gpu_hours"]["accounting_type"] == "usage"


def test_the_agent_may_bind_three_roles_and_reads_no_secret() -> None:
    rules = only(agent(), "kubernetes_cluster_role_v1")["rule"]
    binds = [rule for rule in rules if "bind" in rule["verbs"]]
    assert [rule["resource_names"] for rule in binds] == [["admin", "edit", "view"]]
    asked = {resource for rule in rules for resource in rule["resources"]}
    assert asked.isdisjoint({"secrets", "nodes", "pods/exec", "clusterrolebindings", "*"})
    assert all("*" not in rule["verbs"] and "escalate" not in rule["verbs"] for rule in agent_rules())


def test_a_changed_configuration_starts_the_pods_again() -> None:
    hashes = set()
    for timezone in ("UTC", "Europe/Tallinn"):
        for deployment in resources(agent(timezone=timezone), "kubernetes_deployment_v1").values():
            hashes |= set(deployment["spec"]["template"]["metadata"]["annotations"].values())
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"offering_uuid": "edge-1"}, "take it from `edge-gpu waldur register`"),
        ({"prometheus_url": None}, "gpu_hours is billed by usage; pass prometheus_url"),
        ({"modes": []}, "at least one"),
        ({"modes": ["event_process"]}, "allowed are order_process"),
        ({"api_url": "https://waldur.example.com"}, "allowed is https://HOST/api/"),
    ],
)
def test_a_wrong_agent_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        agent(**changes)


def test_an_offering_without_usage_needs_no_prometheus() -> None:
    components = [WaldurComponent(type="gpu", name="GPU", billing_type="limit", measured_unit="GPU")]
    config = json.loads(
        only(agent(prometheus_url=None, components=components), "kubernetes_config_map_v1")["data"]["config.json"]
    )
    assert "prometheus_url" not in config["offerings"][0]["backend_settings"]


def test_prometheus_keeps_more_than_a_month_and_has_the_rules_and_one_job_for_kube_state_metrics() -> None:
    (release,) = resources(accounting(), "helm_release").values()
    values = json.loads(release["values"][0])
    assert values["server"]["retention"] == "62d"
    assert values["serverFiles"]["recording_rules.yml"] == recording_rules()
    jobs = [job["job_name"] for job in values["serverFiles"]["prometheus.yml"]["scrape_configs"]]
    assert jobs == ["kube-state-metrics", "dcgm-exporter"]
    assert values["kube-state-metrics"]["prometheusScrape"] is False
    with pytest.raises(ValueError, match="Allowed is 40 or more"):
        accounting(retention_days=30)


def test_the_dcgm_exporter_comes_only_when_it_is_asked_for() -> None:
    charts = [one["chart"] for one in resources(accounting(dcgm_chart_version="4.1.3"), "helm_release").values()]
    assert sorted(charts) == ["dcgm-exporter", "prometheus"]


def test_the_reporter_runs_alone_once_an_hour_with_no_rights_in_the_cluster() -> None:
    stack = new_stack()
    KubernetesProvider(stack, "kubernetes")
    WaldurUsageReporter(stack, "reporter", api_url=API, offering_uuid=UUID, image="x:1", prometheus_url=PROMETHEUS)
    spec = only(synth(stack), "kubernetes_cron_job_v1")["spec"]
    assert_contains(spec, {"schedule": "17 * * * *", "concurrency_policy": "Forbid"})
    pod = spec["job_template"]["spec"]["template"]["spec"]
    assert pod["automount_service_account_token"] is False
    assert pod["security_context"]["run_as_non_root"] is True


@pytest.mark.parametrize("agent_first", [True, False])
def test_an_agent_that_reports_and_a_reporter_on_one_offering_are_refused(agent_first: bool) -> None:
    stack = new_stack()
    common = {"api_url": API, "image": "x:1", "prometheus_url": PROMETHEUS}
    makers = [
        lambda: WaldurAgent(stack, "agent", offering_uuid=UUID, **common),  # type: ignore[arg-type]
        lambda: WaldurUsageReporter(stack, "reporter", offering_uuid=_with_dashes(UUID), **common),  # type: ignore[arg-type]
    ]
    first, second = makers if agent_first else reversed(makers)
    first()
    with pytest.raises(ValueError, match=r"is reported by test/(agent|reporter) already"):
        second()


def test_an_agent_that_does_not_report_leaves_it_to_the_reporter() -> None:
    stack = new_stack()
    common = {"api_url": API, "image": "x:1", "prometheus_url": PROMETHEUS, "offering_uuid": UUID}
    WaldurAgent(stack, "agent", modes=["order_process", "membership_sync"], **common)  # type: ignore[arg-type]
    WaldurUsageReporter(stack, "reporter", **common)  # type: ignore[arg-type]


def test_a_tenant_of_terraform_has_the_agents_objects_and_not_its_labels() -> None:
    stack = new_stack()
    KubernetesProvider(stack, "kubernetes")
    WaldurTenant(stack, "vision", name="vision", gpus=1, cpus=8, ram_gib=32, members={"mia": "admin", "ben": "edit"})
    made = synth(stack)
    assert_contains(
        only(made, "kubernetes_resource_quota_v1")["spec"]["hard"],
        {"requests.nvidia.com/gpu": "1", "limits.memory": "32Gi", "requests.storage": "0Gi"},
    )
    labels = only(made, "kubernetes_namespace_v1")["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "Terraform"
    assert not [label for label in labels if label.startswith("waldur.")]
    bindings = resources(made, "kubernetes_role_binding_v1").values()
    roles = {one["subject"][0]["name"]: one["role_ref"]["name"] for one in bindings}
    assert roles == {"ben": "edit", "mia": "admin"}
    network = only(made, "kubernetes_network_policy_v1")["spec"]
    assert network["policy_types"] == ["Ingress", "Egress"]
    assert network["ingress"] == [{"from": [{"pod_selector": {}}]}]


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"name": "kube-system"}, "cannot be a tenant's"), ({"name": "A"}, "cannot be"), ({"cpus": 0}, "cpus is 0")],
)
def test_a_wrong_tenant_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        WaldurTenant(new_stack(), "t", **{"name": "vision", "gpus": 1, "cpus": 8, "ram_gib": 32, **changes})


def _with_dashes(digits: str) -> str:
    return str(uuid.UUID(digits))
