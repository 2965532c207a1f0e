"""What a cluster says of its nodes and of the GPU checks, through its API."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config

from scripts.errors import CommandError
from scripts.fleet_report import SeenCheck, SeenNode

GPU_RESOURCE = "nvidia.com/gpu"
PLUGIN_SELECTOR = "app.kubernetes.io/name=nvidia-device-plugin"
CHECK_SELECTOR = "app.kubernetes.io/name=gpu-check"
LOG_LINES = 15

_TIMEOUT_SECONDS = (5, 20)
_FAILURES = (client.ApiException, urllib3.exceptions.HTTPError, OSError)


class Cluster:
    """One cluster, asked with an admin's kubeconfig.

    Args:
        kubeconfig: the file.

    Raises:
        CommandError: the file is not there or not readable as a kubeconfig.
    """

    def __init__(self, *, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        try:
            new_client: Any = config.new_client_from_config
            api_client = new_client(config_file=str(kubeconfig))
        except (config.ConfigException, OSError) as error:
            raise CommandError(
                f"{kubeconfig}: {error}. Fix: `make deploy` makes it, or `python -m stacks.identity FLEET`."
            ) from error
        # A cluster that is down must be said at once, not after urllib3's three tries.
        api_client.rest_client.pool_manager.connection_pool_kw["retries"] = False
        self._core = client.CoreV1Api(api_client)

    def nodes(self) -> dict[str, SeenNode]:
        """All nodes by name.

        Raises:
            CommandError: the cluster does not answer.
        """
        try:
            listed: list[Any] = self._core.list_node(_request_timeout=_TIMEOUT_SECONDS).items
        except _FAILURES as error:
            raise CommandError(f"the cluster of {self._kubeconfig} does not answer: {_short(error)}") from error
        return {
            node.metadata.name: SeenNode(
                k3s_version=node.status.node_info.kubelet_version,
                ready=any(one.type == "Ready" and one.status == "True" for one in node.status.conditions or ()),
                gpus=int((node.status.allocatable or {}).get(GPU_RESOURCE, "0")),
            )
            for node in listed
        }

    def gpu_checks(self) -> dict[str, SeenCheck]:
        """The GPU checks' pods, by node: for a deploy that failed, whose stack output is not to be trusted.

        Raises:
            CommandError: the cluster does not answer.
        """
        try:
            pods: list[Any] = self._core.list_pod_for_all_namespaces(
                label_selector=CHECK_SELECTOR, _request_timeout=_TIMEOUT_SECONDS
            ).items
        except _FAILURES as error:
            raise CommandError(f"the cluster of {self._kubeconfig} does not answer: {_short(error)}") from error
        by_node: dict[str, list[Any]] = {}
        for pod in sorted(pods, key=lambda pod: pod.metadata.creation_timestamp):
            by_node.setdefault((pod.spec.node_selector or {}).get("kubernetes.io/hostname", ""), []).append(pod)
        return {node: _check(pods_there) for node, pods_there in by_node.items() if node}

    def plugin_log(self, *, node: str) -> list[str]:
        """The device plugin's last lines on a node, or one line that says why there are none."""
        try:
            pods: list[Any] = self._core.list_pod_for_all_namespaces(
                label_selector=PLUGIN_SELECTOR,
                field_selector=f"spec.nodeName={node}",
                _request_timeout=_TIMEOUT_SECONDS,
            ).items
            if not pods:
                return [self._why_no_plugin(node)]
            pod = pods[0]
            text = self._core.read_namespaced_pod_log(
                pod.metadata.name,
                pod.metadata.namespace,
                container=pod.spec.containers[0].name,
                previous=_waits_after_crash(pod),
                tail_lines=LOG_LINES,
                _request_timeout=_TIMEOUT_SECONDS,
            )
        except _FAILURES as error:
            return [f"no log of the device plugin: {_short(error)}"]
        return str(text).splitlines() or ["the device plugin has printed nothing"]

    def _why_no_plugin(self, node: str) -> str:
        read: Any = self._core.read_node(node, _request_timeout=_TIMEOUT_SECONDS)
        labels = read.metadata.labels or {}
        label = labels.get("nvidia.com/gpu.present")
        if label == "true":
            return "no pod of the device plugin on this node, though it has the label nvidia.com/gpu.present=true"
        return f"no pod of the device plugin on this node: its label nvidia.com/gpu.present is {label or 'missing'}"


def with_plugin_logs(cluster: Cluster, nodes: dict[str, SeenNode], *, short: Collection[str]) -> dict[str, SeenNode]:
    """The same nodes; those named in `short` carry the device plugin's last lines."""
    return {
        name: SeenNode(
            k3s_version=node.k3s_version,
            ready=node.ready,
            gpus=node.gpus,
            plugin_log=cluster.plugin_log(node=name) if name in short else (),
        )
        for name, node in nodes.items()
    }


def _check(pods: list[Any]) -> SeenCheck:
    ended = [pod for pod in pods if pod.status.phase in ("Succeeded", "Failed")]
    failed = tuple(_failure(pod) for pod in ended if pod.status.phase == "Failed")
    if not ended:
        return SeenCheck(exit_code=None)
    last = _terminated(ended[-1])
    succeeded = ended[-1].status.phase == "Succeeded"
    return SeenCheck(
        exit_code=last.exit_code if last else None,
        uuids=_uuids(ended) if succeeded else (),
        failed_attempts=failed,
    )


def _uuids(pods: list[Any]) -> tuple[str, ...]:
    """What the pods that succeeded saw: one pod, or as many as share the node's GPUs."""
    ended = [_terminated(pod) for pod in pods if pod.status.phase == "Succeeded"]
    return tuple(dict.fromkeys(uuid for one in ended if one for uuid in (one.message or "").split()))


def _failure(pod: Any) -> str:
    last = _terminated(pod)
    reason = pod.status.reason or (last.reason if last else None) or "unknown reason"
    message = pod.status.message or (last.message if last else None) or ""
    return f"{reason}: {message.strip()}"


def _terminated(pod: Any) -> Any:
    statuses = pod.status.container_statuses or ()
    return statuses[0].state.terminated if statuses else None


def _waits_after_crash(pod: Any) -> bool:
    statuses = pod.status.container_statuses or ()
    return bool(statuses and statuses[0].state.waiting and statuses[0].last_state.terminated)


def _short(error: BaseException) -> str:
    if isinstance(error, client.ApiException):
        return f"{error.status} {error.reason}"
    return str(error)
