"""The few calls that this backend makes to Kubernetes, over the official client, with objects as plain dictionaries."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import urllib3
from kubernetes import client, config

Object = dict[str, Any]

FIELD_MANAGER = "waldur-site-agent-k3s"

_TIMEOUT_SECONDS = (5, 30)
_PAGE = 500
_FAILURES = (urllib3.exceptions.HTTPError, OSError)

PLACES = {
    "Namespace": ("/api/v1", "namespaces"),
    "Pod": ("/api/v1", "pods"),
    "ResourceQuota": ("/api/v1", "resourcequotas"),
    "LimitRange": ("/api/v1", "limitranges"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "ReplicationController": ("/api/v1", "replicationcontrollers"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "Job": ("/apis/batch/v1", "jobs"),
    "CronJob": ("/apis/batch/v1", "cronjobs"),
}


class KubernetesError(Exception):
    """Kubernetes refused or did not answer.

    Attributes:
        status: HTTP status, or 0 without an answer.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class KubernetesApi:
    """One cluster.

    Args:
        api_client: the official client. Its configuration says where the cluster is and who asks.
    """

    def __init__(self, api_client: Any) -> None:
        self._client = api_client

    @classmethod
    def connect(cls, kubeconfig: str | None) -> KubernetesApi:
        """The cluster of a kubeconfig file, or, with None, the one this pod runs in.

        Raises:
            KubernetesError: neither is to be had.
        """
        settings = client.Configuration()
        load: Any = config
        try:
            if kubeconfig is None:
                load.load_incluster_config(client_configuration=settings)
            else:
                load.load_kube_config(config_file=kubeconfig, client_configuration=settings)
        except config.ConfigException as error:
            place = f"kubeconfig {kubeconfig}" if kubeconfig else "the ServiceAccount of this pod"
            fix = "Fix: set kubeconfig in backend_settings" if kubeconfig is None else "Fix: check the file"
            raise KubernetesError(f"no access to the cluster by {place}: {error}. {fix}", status=0) from error
        return cls(client.ApiClient(settings))

    def version(self) -> str:
        """The API server's version."""
        return str(self._call("GET", "/version")["gitVersion"])

    def get(self, kind: str, name: str, *, namespace: str | None = None) -> Object | None:
        """An object, or None when there is none of this name."""
        try:
            return self._call("GET", _path(kind, namespace=namespace, name=name))
        except KubernetesError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: str, *, namespace: str | None = None, selector: str = "") -> list[Object]:
        """All objects of a kind, of one namespace or of all."""
        found: list[Object] = []
        query = {"limit": str(_PAGE), **({"labelSelector": selector} if selector else {})}
        while True:
            page = self._call("GET", _path(kind, namespace=namespace), query=query)
            found += page["items"]
            more = page["metadata"].get("continue")
            if not more:
                return found
            query["continue"] = more

    def create(self, wanted: Object) -> Object:
        """Make an object; one of the same name is an error with status 409."""
        namespace = wanted["metadata"].get("namespace")
        return self._call("POST", _path(wanted["kind"], namespace=namespace), body=wanted)

    def apply(self, wanted: Object) -> Object:
        """Make an object as wanted, whether it is there or not; what others own of it stays (server-side apply)."""
        metadata = wanted["metadata"]
        return self._call(
            "PATCH",
            _path(wanted["kind"], namespace=metadata.get("namespace"), name=metadata["name"]),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=wanted,
            content="application/apply-patch+yaml",
        )

    def patch(self, kind: str, name: str, change: Object, *, namespace: str | None = None) -> Object:
        """Merge a change into an object; None takes a field away."""
        path = _path(kind, namespace=namespace, name=name)
        return self._call("PATCH", path, body=change, content="application/merge-patch+json")

    def delete(self, kind: str, name: str, *, namespace: str | None = None, uid: str | None = None) -> None:
        """Delete an object if it is there; with `uid`, only that one and none made anew under its name."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            self._call("DELETE", _path(kind, namespace=namespace, name=name), body=body)
        except KubernetesError as error:
            if error.status != 404:
                raise

    def _call(
        self,
        method: Literal["GET", "POST", "PATCH", "DELETE"],
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Object | None = None,
        content: str = "application/json",
    ) -> Object:
        try:
            answer: Object = self._client.call_api(
                path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": "application/json", "Content-Type": content},
                body=body,
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=_TIMEOUT_SECONDS,
            )
        except client.ApiException as error:
            raise KubernetesError(f"{method} {path}: {_reason(error)}", status=error.status or 0) from error
        except _FAILURES as error:
            host = self._client.configuration.host
            raise KubernetesError(f"{method} {path}: {host} does not answer: {error}", status=0) from error
        return answer


def wait_until(done: Callable[[], bool], *, seconds: float, every: float = 1.0) -> bool:
    """Ask until it is so or the time is up; whether it is so."""
    end = time.monotonic() + seconds
    while True:
        if done():
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(every)


def _path(kind: str, *, namespace: str | None, name: str | None = None) -> str:
    base, plural = PLACES[kind]
    middle = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}{middle}/{plural}" + (f"/{name}" if name else "")


def _reason(error: client.ApiException) -> str:
    body = str(error.body or "").strip()
    return f"{error.status} {error.reason}" + (f": {body[:500]}" if body else "")
