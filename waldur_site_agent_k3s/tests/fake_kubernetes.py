"""An in-memory stand-in for a Kubernetes API server: it stores objects, and neither admits, schedules nor authorizes.

Its version says so. What quota, RBAC and network policies do is tested on a real K3s (tests/lab/waldur).
"""

from __future__ import annotations

import copy
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes import client

VERSION = "v0.0.0-in-memory-fake"

Object = dict[str, Any]


class FakeKubernetes:
    """The objects, by plural, namespace and name.

    Attributes:
        broken: requests that are answered with this status, or None.
        stuck: names of namespaces and pods whose deletion does not end.
        writes: method and path of every request that changed something.
        token: what requests must carry, or None.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.broken: int | None = None
        self.stuck: set[str] = set()
        self.writes: list[str] = []
        self.token: str | None = None
        self.url = ""
        self._count = 0
        self.lock = threading.RLock()

    def put(self, plural: str, name: str, *, namespace: str = "", **content: Any) -> Object:
        """Put an object there, as if somebody else had made it."""
        metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **content.pop("metadata", {})}
        return self._store(plural, {"metadata": metadata, **content})

    def get(self, plural: str, name: str, *, namespace: str = "") -> Object | None:
        """An object."""
        return self.objects.get((plural, namespace, name))

    def names(self, plural: str, *, namespace: str = "") -> list[str]:
        """Names of a kind's objects."""
        return sorted(key[2] for key in self.objects if key[:2] == (plural, namespace))

    def _store(self, plural: str, wanted: Object) -> Object:
        self._count += 1
        metadata = wanted["metadata"]
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        metadata["resourceVersion"] = str(self._count)
        self.objects[plural, metadata.get("namespace", ""), metadata["name"]] = wanted
        return wanted

    def answer(self, method: str, path: str, query: dict[str, str], body: Object | None, content: str) -> Any:
        """Status and body."""
        if self.broken is not None:
            return self.broken, _status(self.broken, "broken by the test")
        if path == "/version":
            return 200, {"gitVersion": VERSION}
        plural, namespace, name = _place(path)
        if namespace and ("namespaces", "", namespace) not in self.objects:
            return 404, _status(404, f"namespaces {namespace} not found")
        there = self.objects.get((plural, namespace, name)) if name else None
        if method != "GET":
            self.writes.append(f"{method} {path}")
        if method == "GET" and not name:
            return 200, {"metadata": {}, "items": self._select(plural, namespace, query.get("labelSelector", ""))}
        if method == "POST":
            assert body is not None
            if (plural, namespace, body["metadata"]["name"]) in self.objects:
                return 409, _status(409, "already exists")
            return 201, self._store(plural, body)
        applied = method == "PATCH" and content == "application/apply-patch+yaml"
        if there is None and not applied:
            return 404, _status(404, f"{plural} {name} not found")
        if method == "PATCH":
            assert body is not None
            return self._patch(plural, there, body, applied=applied, query=query)
        assert there is not None
        if method == "DELETE":
            return self._delete(plural, there, body or {})
        return 200, there

    def _patch(self, plural: str, there: Object | None, body: Object, *, applied: bool, query: dict[str, str]) -> Any:
        if applied and "fieldManager" not in query:
            return 400, _status(400, "fieldManager is required for apply patch")
        if there is not None:
            version = body.get("metadata", {}).get("resourceVersion")
            if version is not None and version != there["metadata"]["resourceVersion"]:
                return 409, _status(409, "the object has been modified")
            if "roleRef" in there and body.get("roleRef", there["roleRef"]) != there["roleRef"]:
                return 422, _status(422, "roleRef: cannot change")
        # Good enough of server-side apply: one manager, so what it no longer names goes, but for metadata.
        changed = copy.deepcopy(there) if there is not None else {"metadata": {}}
        if applied:
            metadata = body["metadata"]
            for field in ("labels", "annotations"):
                changed["metadata"].setdefault(field, {}).update(metadata.get(field, {}))
            changed["metadata"] |= {key: metadata[key] for key in ("name", "namespace") if key in metadata}
            changed |= {key: value for key, value in body.items() if key != "metadata"}
            if there is not None and _without_version(changed) == _without_version(there):
                return 200, there
        else:
            changed = _merge(changed, body)
        return (200 if there is not None else 201), self._store(plural, changed)

    def _delete(self, plural: str, there: Object, options: Object) -> Any:
        metadata = there["metadata"]
        wanted = options.get("preconditions", {}).get("uid")
        if wanted is not None and wanted != metadata["uid"]:
            return 409, _status(409, "the UID in the precondition does not match")
        metadata["deletionTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if metadata["name"] not in self.stuck:
            del self.objects[plural, metadata.get("namespace", ""), metadata["name"]]
            if plural == "namespaces":
                for key in [key for key in self.objects if key[1] == metadata["name"]]:
                    del self.objects[key]
        return 200, there

    def _select(self, plural: str, namespace: str, selector: str) -> list[Object]:
        found = [
            one for key, one in self.objects.items() if key[0] == plural and (not namespace or key[1] == namespace)
        ]
        for term in filter(None, selector.split(",")):
            found = [one for one in found if _matches(one["metadata"].get("labels") or {}, term)]
        return found


@contextmanager
def serving(fake: FakeKubernetes) -> Iterator[Any]:
    """Serve it on the loopback; the official client for it."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the parent's name)
            pass

        def answer_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            with fake.lock:
                content = self.headers.get("Content-Type", "")
                known = fake.token is None or self.headers.get("Authorization") == f"Bearer {fake.token}"
                status, answer = (
                    fake.answer(self.command, url.path, query, body, content)
                    if known
                    else (401, _status(401, "Unauthorized"))
                )
                sent = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

    for method in ("GET", "POST", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.answer_any)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True).start()
    settings = client.Configuration()
    settings.host = f"http://127.0.0.1:{server.server_port}"
    settings.retries = False
    fake.url = settings.host
    try:
        yield client.ApiClient(settings)
    finally:
        server.shutdown()
        server.server_close()


def _place(path: str) -> tuple[str, str, str]:
    words = path.strip("/").split("/")
    words = words[2:] if words[0] == "api" else words[3:]
    if words[0] == "namespaces" and len(words) > 2:
        return words[2], words[1], words[3] if len(words) > 3 else ""
    return words[0], "", words[1] if len(words) > 1 else ""


def _matches(labels: dict[str, str], term: str) -> bool:
    if term.startswith("!"):
        return term[1:] not in labels
    key, equal, value = term.partition("=")
    return labels.get(key) == value if equal else key in labels


def _merge(there: Any, change: Any) -> Any:
    if not isinstance(change, dict):
        return change
    merged = dict(there) if isinstance(there, dict) else {}
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def _without_version(one: Object) -> Object:
    return {**one, "metadata": {key: value for key, value in one["metadata"].items() if key != "resourceVersion"}}


def _status(code: int, message: str) -> Object:
    return {"kind": "Status", "status": "Failure", "code": code, "message": message}
