"""The kubernetes stand-in under real Terraform, on a real Kubernetes API without nodes."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.lab.terraform_plugins.conftest import Api, Workspace

NODES = "data.kubernetes_resources.nodes.objects"
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-test"}}


def configuration(api: Api, **more: Any) -> dict[str, Any]:
    return {
        "terraform": {"required_providers": {"kubernetes": {"source": "hashicorp/kubernetes", "version": "2.38.0"}}},
        "provider": {"kubernetes": api.settings},
        **more,
    }


def namespace(name: str, **metadata: Any) -> dict[str, Any]:
    return {"ns": {"metadata": [{"name": name, **metadata}]}}


def job(name: str, *, deadline: int | None = None, completions: int | None = None, **more: Any) -> dict[str, Any]:
    """A job for a cluster without nodes: its controller ends it by its deadline, or at once when nothing is to do."""
    container = {"name": "c", "image": "none", "resources": [{"limits": {"nvidia.com/gpu": "1", "cpu": "0.5"}}]}
    pod = {"restart_policy": "Never", "runtime_class_name": "nvidia", "container": [container]}
    spec: dict[str, Any] = {"backoff_limit": 0, "template": [{"metadata": [{}], "spec": [pod]}]}
    if deadline is not None:
        spec["active_deadline_seconds"] = deadline
    if completions is not None:
        spec["completions"] = completions
    return {
        "job": {"metadata": [{"name": name, "namespace": "${kubernetes_namespace_v1.ns.id}"}], "spec": [spec], **more}
    }


def test_objects_are_made_and_a_second_plan_is_empty(workspace: Workspace, api: Api) -> None:
    inside = {"namespace": "${kubernetes_namespace_v1.ns.id}"}
    workspace.write(
        configuration(
            api,
            resource={
                "kubernetes_namespace_v1": namespace("trial", labels={"a": "b"}),
                "kubernetes_config_map_v1": {"c": {"metadata": [{"name": "c", **inside}], "data": {"x": "1"}}},
                "kubernetes_secret_v1": {"s": {"metadata": [{"generate_name": "s-", **inside}], "data": {"x": "1"}}},
                "kubernetes_service_v1": {
                    "s": {
                        "metadata": [{"name": "s", **inside}],
                        "spec": [{"selector": {"app": "x"}, "port": [{"port": 80, "target_port": "http"}]}],
                    }
                },
                "kubernetes_job_v1": job("idle", completions=0),
            },
            output={"uid": {"value": "${kubernetes_namespace_v1.ns.metadata[0].uid}"}},
        )
    )
    uid = workspace.applied()["uid"]
    assert uid == json.loads(api.kubectl("get", "namespace", "trial", "-o", "json"))["metadata"]["uid"]
    assert workspace.changes() == {}
    workspace.destroy()
    assert "trial" not in api.kubectl("get", "namespaces", "-o", "name")


def test_what_somebody_changed_or_removed_is_planned_back(workspace: Workspace, api: Api) -> None:
    inside = {"namespace": "${kubernetes_namespace_v1.ns.id}"}
    workspace.write(
        configuration(
            api,
            resource={
                "kubernetes_namespace_v1": namespace("drift"),
                "kubernetes_config_map_v1": {"c": {"metadata": [{"name": "c", **inside}], "data": {"x": "1"}}},
                "kubernetes_service_account_v1": {"s": {"metadata": [{"name": "s", **inside}]}},
            },
        )
    )
    workspace.applied()
    api.kubectl("-n", "drift", "patch", "configmap", "c", "-p", '{"data": {"x": "2", "y": "3"}}')
    api.kubectl("-n", "drift", "delete", "serviceaccount", "s")
    assert workspace.changes() == {
        "kubernetes_config_map_v1.c": ["update"],
        "kubernetes_service_account_v1.s": ["create"],
    }
    workspace.applied()
    assert json.loads(api.kubectl("-n", "drift", "get", "configmap", "c", "-o", "json"))["data"] == {"x": "1"}


def test_a_failed_job_is_an_error_with_the_reason_and_is_replaced(workspace: Workspace, api: Api) -> None:
    resources = {"kubernetes_namespace_v1": namespace("failed"), "kubernetes_job_v1": job("check", deadline=1)}
    workspace.write(configuration(api, resource=resources))
    done = workspace.apply()
    assert done.code != 0
    assert "job: failed/check is in failed state (lab stand-in)" in done.output
    assert "DeadlineExceeded" in done.output
    assert workspace.changes() == {"kubernetes_job_v1.job": ["delete", "create"]}


def test_a_job_that_gets_no_node_ends_with_its_timeout_and_says_why(workspace: Workspace, api: Api) -> None:
    resources = {
        "kubernetes_namespace_v1": namespace("waiting"),
        "kubernetes_job_v1": job("check", timeouts={"create": "4s"}),
    }
    workspace.write(configuration(api, resource=resources))
    started = time.monotonic()
    done = workspace.apply()
    assert time.monotonic() - started < 30
    assert "job: waiting/check is not in complete state" in done.output
    assert "no nodes available to schedule pods" in done.output


def test_labels_and_taints_of_a_node_come_and_go_and_leave_the_others(workspace: Workspace, api: Api) -> None:
    api.kubectl("apply", "-f", "-", stdin=json.dumps(NODE))
    api.kubectl("label", "node", "gpu-test", "theirs=1")
    allocatable = '{"status": {"allocatable": {"nvidia.com/gpu": "2"}}}'
    api.kubectl("patch", "node", "gpu-test", "--subresource=status", "-p", allocatable)
    target = {"metadata": [{"name": "gpu-test"}]}
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    workspace.write(
        configuration(
            api,
            resource={
                "kubernetes_labels": {
                    "l": {"api_version": "v1", "kind": "Node", **target, "labels": {"nvidia.com/gpu.present": "true"}}
                },
                # Under one field manager each of the two would take the other's fields away, with the plugin as here.
                "kubernetes_node_taint": {"t": {**target, "taint": [taint], "field_manager": "taints"}},
            },
            data={
                "kubernetes_resources": {
                    "nodes": {"api_version": "v1", "kind": "Node", "depends_on": ["kubernetes_labels.l"]}
                }
            },
            output={"gpus": {"value": f'${{[for n in {NODES} : n.status.allocatable["nvidia.com/gpu"]]}}'}},
        )
    )
    assert workspace.applied() == {"gpus": ["2"]}
    assert workspace.changes() == {}
    api.kubectl("label", "node", "gpu-test", "nvidia.com/gpu.present-")
    assert workspace.changes() == {"kubernetes_labels.l": ["update"]}
    workspace.applied()
    workspace.destroy()
    node = json.loads(api.kubectl("get", "node", "gpu-test", "-o", "json"))
    assert node["metadata"]["labels"] == {"theirs": "1"}
    assert "taints" not in node["spec"]


def test_an_existing_object_can_be_imported(workspace: Workspace, api: Api) -> None:
    api.kubectl("create", "namespace", "imported")
    workspace.write(configuration(api, resource={"kubernetes_namespace_v1": namespace("imported")}))
    done = workspace.import_as("kubernetes_namespace_v1.ns", "imported")
    assert done.code == 0, done.output
    assert workspace.changes() == {}


def test_a_plan_needs_no_cluster_until_something_is_there(workspace: Workspace, api: Api) -> None:
    unknown = {
        "kubernetes_namespace_v1": namespace("later"),
        "terraform_data": {"host": {"input": api.settings["host"]}},
    }
    settings = {**api.settings, "host": "${terraform_data.host.output}"}
    workspace.write({**configuration(api, resource=unknown), "provider": {"kubernetes": settings}})
    assert set(workspace.changes()) == {"kubernetes_namespace_v1.ns", "terraform_data.host"}
    workspace.applied()
    assert workspace.changes() == {}


def test_an_unreachable_cluster_is_a_clear_error_soon(workspace: Workspace, api: Api) -> None:
    resources = {"kubernetes_namespace_v1": namespace("unreachable")}
    settings = {**api.settings, "host": "https://127.0.0.1:1"}
    workspace.write({**configuration(api, resource=resources), "provider": {"kubernetes": settings}})
    started = time.monotonic()
    done = workspace.apply()
    assert done.code != 0
    assert time.monotonic() - started < 30
    assert "connection refused" in done.output


def test_a_name_that_kubernetes_refuses_fails_the_plan(workspace: Workspace, api: Api) -> None:
    workspace.write(configuration(api, resource={"kubernetes_namespace_v1": namespace("Not_A_Name")}))
    done = workspace.plan()
    assert done.code != 0
    assert 'metadata.name: "Not_A_Name" is not allowed' in done.output
