"""What the device plugin and the GPU check synthesize to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from constructs_lib.gpu_check import GpuCheck, GpuNode
from constructs_lib.gpu_sharing import DeviceListStrategy, MigStrategy, TimeSlicing
from constructs_lib.held_element import HeldElement
from constructs_lib.nvidia_device_plugin import NvidiaDevicePlugin
from constructs_lib.providers import HelmProvider, KubernetesProvider
from constructs_lib.struct_values import made, plain_value
from constructs_lib.testing import assert_contains, new_stack, only, resources, synth
from tests.synth.conftest import host

NODES = [GpuNode(name="gpu-1", gpus=2), GpuNode(name="gpu-2", gpus=1)]


@pytest.fixture
def checked() -> dict[str, Any]:
    stack = new_stack()
    KubernetesProvider(stack, "kubernetes")
    HelmProvider(stack, "helm")
    plugin = NvidiaDevicePlugin(stack, "plugin", chart_version="0.19.3", image="registry.example:5000/plugin:v1")
    GpuCheck(stack, "check", nodes=NODES, image="ubuntu:22.04", plugin=plugin, gate_host=host())
    return synth(stack)


def test_the_plugin_runs_on_the_nvidia_runtime_in_its_own_namespace(checked: dict[str, Any]) -> None:
    release = only(checked, "helm_release")
    assert_contains(release, {"namespace": "nvidia-device-plugin", "version": "0.19.3", "wait": False})
    assert json.loads(release["values"][0]) == {
        "runtimeClassName": "nvidia",
        "tolerations": [{"operator": "Exists"}],
        "image": {"repository": "registry.example:5000/plugin", "tag": "v1"},
    }


def test_each_node_gets_a_job_that_asks_for_all_its_gpus_on_the_nvidia_runtime(checked: dict[str, Any]) -> None:
    jobs = {job["metadata"]["name"]: job for job in resources(checked, "kubernetes_job_v1").values()}
    assert sorted(jobs) == ["gpu-check-gpu-1", "gpu-check-gpu-2"]
    spec = jobs["gpu-check-gpu-1"]["spec"]
    assert_contains(
        spec["template"]["spec"],
        {
            "runtime_class_name": "nvidia",
            "restart_policy": "Never",
            "node_selector": {"kubernetes.io/hostname": "gpu-1"},
            "automount_service_account_token": False,
        },
    )
    (container,) = spec["template"]["spec"]["container"]
    assert_contains(
        container,
        {
            "resources": {"limits": {"nvidia.com/gpu": "2"}},
            "image_pull_policy": "IfNotPresent",
            "termination_message_policy": "FallbackToLogsOnError",
            "env": [{"name": "EXPECTED_GPUS", "value": "2"}],
        },
    )
    assert "ttl_seconds_after_finished" not in spec, "a job that vanishes counts as success"
    assert jobs["gpu-check-gpu-1"]["wait_for_completion"] is True


def test_a_job_waits_for_its_own_nodes_gate_and_runs_again_with_it(checked: dict[str, Any]) -> None:
    for name, job in resources(checked, "kubernetes_job_v1").items():
        node = name.split("_")[1]
        gates = [address for address in job["depends_on"] if "gpu-gate" in address]
        assert [gate.split("_")[2] for gate in gates] == [node]
        assert job["lifecycle"]["replace_triggered_by"] == gates


def test_a_gate_runs_again_when_the_plugin_changed(checked: dict[str, Any]) -> None:
    gates = {name: gate for name, gate in resources(checked, "terraform_data").items() if "gpu-gate" in name}
    assert len(gates) == 2
    for gate in gates.values():
        assert [address.split(".")[0] for address in gate["lifecycle"]["replace_triggered_by"]] == ["helm_release"]


def test_two_gates_on_one_server_are_two_files(checked: dict[str, Any]) -> None:
    gates = [gate for name, gate in resources(checked, "terraform_data").items() if "gpu-gate" in name]
    uploaded = [entry["file"]["destination"] for gate in gates for entry in gate["provisioner"] if "file" in entry]
    assert sorted(uploaded) == [".edge-gpu/gpu-gate-gpu-1.sh", ".edge-gpu/gpu-gate-gpu-2.sh"]


def test_every_plan_compares_the_allocatable_gpus_with_the_expected_ones(checked: dict[str, Any]) -> None:
    nodes = [data for data in resources(checked, "data.kubernetes_resources").values() if data["kind"] == "Node"]
    assert sorted(data["field_selector"] for data in nodes) == ["metadata.name=gpu-1", "metadata.name=gpu-2"]
    for data in nodes:
        (condition,) = data["lifecycle"]["postcondition"]
        name = data["field_selector"].removeprefix("metadata.name=")
        assert (
            f"Node {name}: expected {dict(zip(('gpu-1', 'gpu-2'), (2, 1), strict=True))[name]}"
            in condition["error_message"]
        )


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([], "no nodes; a check of nothing would always pass"),
        ([GpuNode(name="a", gpus=0)], "gpus=0; allowed is 1 or more"),
        ([GpuNode(name="a", gpus=1), GpuNode(name="a", gpus=1)], "listed more than once"),
    ],
)
def test_a_check_that_could_not_fail_is_refused(nodes: list[GpuNode], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GpuCheck(new_stack(), "check", nodes=nodes, image="ubuntu:22.04")


def test_an_image_without_a_tag_is_refused() -> None:
    with pytest.raises(ValueError, match="has no tag"):
        NvidiaDevicePlugin(new_stack(), "plugin", chart_version="0.19.3", image="registry.example:5000/plugin")


def test_later_plans_read_the_runtime_class_and_name_what_restores_it(checked: dict[str, Any]) -> None:
    read = resources(checked, "data.kubernetes_resources").values()
    (runtime_class,) = [data for data in read if data["kind"] == "RuntimeClass"]
    assert runtime_class["field_selector"] == "metadata.name=nvidia"
    assert len(runtime_class["depends_on"]) == len(NODES)
    (postcondition,) = runtime_class["lifecycle"]["postcondition"]
    assert "k3s kubectl apply -f" in postcondition["error_message"]


def _plugin(**options: Any) -> NvidiaDevicePlugin:
    stack = new_stack()
    KubernetesProvider(stack, "kubernetes")
    HelmProvider(stack, "helm")
    return NvidiaDevicePlugin(stack, "plugin", chart_version="0.19.3", **options)


def _values(plugin: NvidiaDevicePlugin) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(only(synth(plugin.node.scope), "helm_release")["values"][0])
    return values


def test_time_slicing_becomes_the_plugins_configuration_and_asks_for_no_capability() -> None:
    values = _values(_plugin(time_slicing=TimeSlicing(replicas=3)))
    config = json.loads(values["config"]["map"][values["config"]["default"]])
    assert config["sharing"]["timeSlicing"] == {
        "failRequestsGreaterThanOne": True,
        "resources": [{"name": "nvidia.com/gpu", "replicas": 3}],
    }
    # Left to the configuration alone, the chart would give the plugin SYS_ADMIN.
    assert (values["migStrategy"], values["deviceListStrategy"]) == ("none", "envvar")


def test_a_share_that_may_be_asked_for_twice_is_said_so() -> None:
    values = _values(_plugin(time_slicing=TimeSlicing(replicas=2, fail_requests_greater_than_one=False)))
    assert '"failRequestsGreaterThanOne": false' in values["config"]["map"]["default"]


@pytest.mark.parametrize("strategy", ["cdi-cri", "cdi-annotations"])
def test_cdi_strategies_tell_the_plugin_where_the_nodes_driver_is(strategy: DeviceListStrategy) -> None:
    values = _values(_plugin(device_list_strategy=strategy))
    assert (values["deviceListStrategy"], values["nvidiaDriverRoot"]) == (strategy, "/")


def test_shared_gpus_are_checked_by_as_many_pods_at_once_that_must_see_each_gpu_equally_often() -> None:
    plugin = _plugin(time_slicing=TimeSlicing(replicas=3))
    check = GpuCheck(plugin.node.scope, "check", nodes=NODES[:1], image="ubuntu:22.04", plugin=plugin, gate_host=host())
    assert "pods_by_uuid = " in check.report
    synthesized = synth(plugin.node.scope)
    spec = only(synthesized, "kubernetes_job_v1")["spec"]
    assert (spec["completions"], spec["parallelism"]) == (6, 6)
    (container,) = spec["template"]["spec"]["container"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert {one["name"]: one["value"] for one in container["env"]} == {"EXPECTED_GPUS": "1", "HOLD_SECONDS": "10"}
    read = list(synthesized["data"]["kubernetes_resources"].values())
    conditions = [one["condition"] for data in read for one in data.get("lifecycle", {}).get("postcondition", [])]
    assert any("times == 3" in condition for condition in conditions)
    assert any("timecmp" in condition for condition in conditions)
    assert any("== 6}" in condition for condition in conditions), "all shares of the node must be allocatable"


def test_one_pod_a_gpu_is_no_time_slicing() -> None:
    with pytest.raises(ValueError, match="replicas=1; allowed is 2 or more"):
        TimeSlicing(replicas=1)


@pytest.mark.parametrize("option", [{"device_list_strategy": "cdi"}, {"mig_strategy": "all"}])
def test_a_strategy_that_the_plugin_does_not_know_is_refused(option: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is none of"):
        _plugin(**option)


@pytest.mark.parametrize("strategy", ["single", "mixed"])
def test_the_check_refuses_a_plugin_that_offers_mig_devices(strategy: MigStrategy) -> None:
    plugin = _plugin(mig_strategy=strategy)
    assert _values(plugin)["migStrategy"] == strategy
    with pytest.raises(ValueError, match="counts whole GPUs"):
        GpuCheck(plugin.node.scope, "check", nodes=NODES, image="ubuntu:22.04", plugin=plugin)


def test_what_is_put_off_as_a_struct_is_one_that_the_bindings_take() -> None:
    check = GpuCheck(new_stack(), "check", nodes=NODES, image="ubuntu:22.04", gate_host=host())
    elements = [node for node in check.node.find_all() if isinstance(node, HeldElement)]
    assert len(elements) > 4
    for element in elements:
        for given in (*element.arguments.values(), element.lifecycle_struct):
            # A name that a struct does not have would raise here.
            assert plain_value(made(given)) == plain_value(given)
