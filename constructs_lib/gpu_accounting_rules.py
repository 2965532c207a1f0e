"""Prometheus's recording rules for GPUs held by each namespace, from kube-state-metrics."""

from __future__ import annotations

JOB = "kube-state-metrics"
"""Name of the scrape job whose `up` says whether there is data."""

INTERVAL_SECONDS = 60
"""Of scrapes and rules; the sum of a recorded series over a window, step one minute, divided by 60, is GPU-hours."""

ALLOCATED = "namespace:gpu_allocated:sum"
SHARED_ALLOCATED = "namespace:gpu_shared_allocated:sum"
COVERAGE = "edge_gpu:kube_state_metrics_up:max"
UTILISATION = "namespace:gpu_utilisation:avg"

_RESOURCES = {ALLOCATED: "nvidia_com_gpu", SHARED_ALLOCATED: "nvidia_com_gpu_shared"}


def recording_rules() -> dict[str, object]:
    """A rule file's content.

    A pod holds its GPUs from the moment it is bound to a node, busy or not, to the moment it has ended; a pod that
    waits for a node holds none. `max` before `sum`: several replicas of kube-state-metrics say the same.
    """
    rules = [
        *({"record": name, "expr": _held(resource)} for name, resource in _RESOURCES.items()),
        # No sample while no replica answers: what is missing is then seen, and never taken for nothing used.
        {"record": COVERAGE, "expr": f'max(up{{job="{JOB}"}} == 1)'},
        {"record": UTILISATION, "expr": 'avg by (namespace) (DCGM_FI_DEV_GPU_UTIL{namespace!=""})'},
    ]
    return {"groups": [{"name": "edge-gpu-accounting", "interval": f"{INTERVAL_SECONDS}s", "rules": rules}]}


def _held(resource: str) -> str:
    # Node and phase come from the same pod: by uid, since a pod of the same name may follow within the look-back.
    return (
        "sum by (namespace) ("
        "max by (namespace, pod, container, uid) "
        f'(kube_pod_container_resource_requests{{resource="{resource}", node!=""}}) '
        "* on (namespace, pod, uid) group_left () "
        'max by (namespace, pod, uid) (kube_pod_status_phase{phase=~"Pending|Running"} == 1))'
    )
