"""Workloads stopped and started again. What they had is noted on each of them, in the change that stops it."""

from __future__ import annotations

from waldur_site_agent_k3s.kubernetes_api import KubernetesApi, KubernetesError, Object, wait_until
from waldur_site_agent_k3s.ownership import REPLICAS_ANNOTATION, SUSPENDED_ANNOTATION

_SCALED = ("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController")
_SUSPENDED = ("CronJob", "Job")
_ENDED = ("Succeeded", "Failed")


def stop(api: KubernetesApi, namespace: str, *, timeout_seconds: float) -> None:
    """Scale workloads to nothing, suspend jobs, delete what pods are left and wait until they are gone.

    A pod without a workload above it is gone for good. The quota must admit no pod by now.

    Raises:
        KubernetesError: the cluster does not answer, or pods are still there at the end of the time.
    """
    for kind in _SCALED:
        for workload in _own(api, kind, namespace):
            replicas = workload["spec"].get("replicas", 1)
            if replicas:
                change = {"metadata": _note(REPLICAS_ANNOTATION, str(replicas)), "spec": {"replicas": 0}}
                _patch(api, kind, workload, change)
    for kind in _SUSPENDED:
        for workload in _own(api, kind, namespace):
            if not workload["spec"].get("suspend") and not _finished(workload):
                change = {"metadata": _note(SUSPENDED_ANNOTATION, "true"), "spec": {"suspend": True}}
                _patch(api, kind, workload, change)

    def gone() -> bool:
        running = _running(api, namespace)
        for pod in running:
            if "deletionTimestamp" not in pod["metadata"]:
                api.delete("Pod", pod["metadata"]["name"], namespace=namespace, uid=pod["metadata"]["uid"])
        return not running

    if not wait_until(gone, seconds=timeout_seconds):
        names = ", ".join(pod["metadata"]["name"] for pod in _running(api, namespace))
        raise KubernetesError(
            f"namespace {namespace}: pods are still there after {timeout_seconds:.0f} s: {names}. "
            "Fix: see their finalizers and whether their node is up",
            status=0,
        )


def start(api: KubernetesApi, namespace: str) -> None:
    """Give every workload back what stop() noted on it; what the tenant stopped stays so.

    Raises:
        KubernetesError: the cluster does not answer.
    """
    for kind in _SCALED:
        for workload in _own(api, kind, namespace):
            noted = _annotation(workload, REPLICAS_ANNOTATION)
            if noted is None:
                continue
            change: Object = {"metadata": _note(REPLICAS_ANNOTATION, None)}
            if not workload["spec"].get("replicas", 1) and noted.isdecimal():
                change["spec"] = {"replicas": int(noted)}
            _patch(api, kind, workload, change)
    for kind in _SUSPENDED:
        for workload in _own(api, kind, namespace):
            if _annotation(workload, SUSPENDED_ANNOTATION) is not None:
                _patch(api, kind, workload, {"metadata": _note(SUSPENDED_ANNOTATION, None), "spec": {"suspend": False}})


def _own(api: KubernetesApi, kind: str, namespace: str) -> list[Object]:
    # A ReplicaSet or Job below a Deployment or CronJob is scaled by that.
    return [one for one in api.list(kind, namespace=namespace) if kind == "Job" or not _controlled(one)]


def _controlled(workload: Object) -> bool:
    return any(owner.get("controller") for owner in workload["metadata"].get("ownerReferences", ()))


def _finished(workload: Object) -> bool:
    conditions = workload.get("status", {}).get("conditions") or ()
    return any(one["type"] in ("Complete", "Failed") and one["status"] == "True" for one in conditions)


def _running(api: KubernetesApi, namespace: str) -> list[Object]:
    return [pod for pod in api.list("Pod", namespace=namespace) if pod.get("status", {}).get("phase") not in _ENDED]


def _annotation(workload: Object, name: str) -> str | None:
    value: str | None = (workload["metadata"].get("annotations") or {}).get(name)
    return value


def _note(name: str, value: str | None) -> Object:
    return {"annotations": {name: value}}


def _patch(api: KubernetesApi, kind: str, workload: Object, change: Object) -> None:
    metadata = workload["metadata"]
    try:
        api.patch(kind, metadata["name"], change, namespace=metadata["namespace"])
    except KubernetesError as error:
        # The tenant or a controller deleted it meanwhile.
        if error.status != 404:
            raise
