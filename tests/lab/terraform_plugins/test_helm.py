"""The helm stand-in under real Terraform: the device plugin's chart on a real Kubernetes API without nodes."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

from constructs_lib.gpu_check import GpuCheck, GpuNode
from constructs_lib.nvidia_device_plugin import NvidiaDevicePlugin
from constructs_lib.providers import HelmProvider, HelmProviderKubernetes, KubernetesProvider
from constructs_lib.ssh_host import SshHost
from constructs_lib.testing import new_stack, synth
from tests.lab.terraform_plugins.conftest import Api, Workspace

RELEASE = "nvidia-device-plugin"


def configuration(api: Api, chart: Path | str, *, namespace: str, **release: Any) -> dict[str, Any]:
    return {
        "terraform": {"required_providers": {"helm": {"source": "hashicorp/helm", "version": "3.1.1"}}},
        "provider": {"helm": {"kubernetes": api.settings}},
        "resource": {
            "helm_release": {
                "test": {
                    "name": RELEASE,
                    "namespace": namespace,
                    "create_namespace": True,
                    "chart": str(chart),
                    "values": ["runtimeClassName: nvidia\n"],
                    "timeout": 60,
                    **release,
                }
            }
        },
        "output": {"metadata": {"value": "${helm_release.test.metadata}"}},
    }


def daemon_set(api: Api, namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(api.kubectl("-n", namespace, "get", "daemonset", RELEASE, "-o", "json"))
    return found


def test_a_chart_is_installed_upgraded_and_removed(workspace: Workspace, api: Api, chart: Path) -> None:
    workspace.write(configuration(api, chart, namespace="plugin"))
    metadata = workspace.applied()["metadata"]
    assert (metadata["chart"], metadata["version"], metadata["revision"]) == (RELEASE, "0.19.3", 1)
    assert daemon_set(api, "plugin")["spec"]["template"]["spec"]["runtimeClassName"] == "nvidia"
    assert workspace.changes() == {}
    settings = [{"name": "failOnInitError", "value": "false"}]
    workspace.write(configuration(api, chart, namespace="plugin", set=settings))
    assert workspace.changes() == {"helm_release.test": ["update"]}
    assert workspace.applied()["metadata"]["revision"] == 2
    assert workspace.changes() == {}
    workspace.destroy()
    assert api.kubectl("-n", "plugin", "get", "daemonsets", "-o", "name") == ""


def test_a_release_that_somebody_removed_is_installed_again(workspace: Workspace, api: Api, chart: Path) -> None:
    workspace.write(configuration(api, chart, namespace="gone"))
    workspace.applied()
    api.kubectl("-n", "gone", "delete", "secret", "-l", "owner=helm")
    api.kubectl("-n", "gone", "delete", "daemonset,serviceaccount", "--all")
    api.kubectl("delete", "clusterrole,clusterrolebinding", "-l", f"app.kubernetes.io/instance={RELEASE}")
    assert workspace.changes() == {"helm_release.test": ["create"]}
    workspace.applied()
    assert workspace.changes() == {}


def test_a_release_that_is_made_anew_has_the_gates_of_its_nodes_run_again(
    workspace: Workspace, api: Api, chart: Path
) -> None:
    stack = new_stack()
    plugin = NvidiaDevicePlugin(stack, "plugin", chart_version="0.19.3", chart_path=chart, namespace="gated")
    host = SshHost(address="192.0.2.10", user="edge", host_key=None)
    GpuCheck(stack, "check", nodes=[GpuNode(name="gpu-1", gpus=1)], image="i", plugin=plugin, gate_host=host)
    KubernetesProvider(stack, "kubernetes")
    HelmProvider(stack, "helm", kubernetes=HelmProviderKubernetes())
    made = synth(stack)
    gates = made["resource"]["terraform_data"]
    assert len(gates) == 1
    for gate in gates.values():
        # Nothing runs; what Terraform plans does not depend on it.
        gate.pop("provisioner")
        gate.pop("connection")
        gate["depends_on"] = [address for address in gate["depends_on"] if address.startswith("helm_release.")]
    (release,), (gate_name,) = made["resource"]["helm_release"].values(), gates
    release.pop("depends_on")
    release["create_namespace"] = True
    wanted = {kind: made["resource"][kind] for kind in ("helm_release", "terraform_data")}
    providers = {"helm": {"source": "hashicorp/helm", "version": "3.1.1"}}
    workspace.write(
        {
            "terraform": {"required_providers": providers},
            "provider": {"helm": {"kubernetes": api.settings}},
            "resource": wanted,
            "locals": made["locals"],
        }
    )
    workspace.applied()
    assert workspace.changes() == {}

    api.kubectl("-n", "gated", "delete", "secret", "-l", "owner=helm")
    api.kubectl("-n", "gated", "delete", "daemonset,serviceaccount", "--all")
    api.kubectl("delete", "clusterrole,clusterrolebinding", "-l", f"app.kubernetes.io/instance={RELEASE}")
    changes = workspace.changes()
    assert changes.pop(f"terraform_data.{gate_name}") == ["delete", "create"]
    assert list(changes.values()) == [["create"]]
    workspace.applied()
    assert workspace.changes() == {}


def test_a_sensitive_value_reaches_the_chart_and_no_other_place(workspace: Workspace, api: Api, chart: Path) -> None:
    secret = [{"name": "podAnnotations.canary", "value": "canary-7f3a", "type": "string"}]
    workspace.write(configuration(api, chart, namespace="secret", set_sensitive=secret))
    planned = workspace.plan()
    assert "canary-7f3a" not in planned.output
    shown = workspace.applied()
    assert "canary-7f3a" not in json.dumps(shown)
    annotations = daemon_set(api, "secret")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["canary"] == "canary-7f3a"
    # As with the plugin, the one place in the state is the sensitive attribute itself.
    assert workspace.state().count("canary-7f3a") == 1


def test_a_chart_version_that_is_not_there_fails_the_plan(workspace: Workspace, api: Api, chart: Path) -> None:
    repository = chart.parent
    with subprocess.Popen(
        ["python3", "-m", "http.server", "26080", "--bind", "127.0.0.1", "--directory", str(repository)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            remote = partial(configuration, api, RELEASE, namespace="v", repository="http://127.0.0.1:26080")
            workspace.write(remote(version="9.9.9"))
            refused = workspace.plan()
            workspace.write(remote(version="0.19.3"))
            accepted = workspace.plan()
        finally:
            server.terminate()
    assert refused.code != 0
    assert '"9.9.9"' in refused.output
    assert accepted.code == 0, accepted.output


def test_a_failed_install_is_an_error_and_is_replaced(workspace: Workspace, api: Api, chart: Path) -> None:
    # The chart refuses the namespace "default", which Helm notices only while it renders.
    workspace.write(configuration(api, chart, namespace="default"))
    done = workspace.apply()
    assert done.code != 0
    assert "Running in the 'default' namespace is not recommended" in done.output
    assert "(lab stand-in)" in done.output
