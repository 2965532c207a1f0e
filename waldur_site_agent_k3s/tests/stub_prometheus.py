"""A STUB of Prometheus: it answers each query by what the test says, and evaluates nothing.

What the rules and queries are worth is tested with the real one (tests/lab/waldur).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class StubPrometheus:
    """What it answers.

    Attributes:
        gpu_minutes: sum over the window, or None for no series.
        coverage: covered minutes; None: all of them.
        status: HTTP status.
        queries: what was asked.
    """

    def __init__(self) -> None:
        self.gpu_minutes: float | None = None
        self.coverage: float | None = None
        self.status = 200
        self.queries: list[str] = []
        self.url = ""

    def value(self, query: str) -> float | None:
        """The answer to a query."""
        self.queries.append(query)
        if query.startswith("count_over_time"):
            return 1e9 if self.coverage is None else self.coverage
        return self.gpu_minutes


@contextmanager
def serving_prometheus(stub: StubPrometheus) -> Iterator[StubPrometheus]:
    """Serve it on the loopback."""

    class Handler(BaseHTTPRequestHandler):
        server_version = "stub-prometheus/0.1 (a stand-in, not Prometheus)"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the parent's name)
            pass

        def answer_any(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            value = stub.value(form["query"][0])
            result: list[Any] = [] if value is None else [{"metric": {}, "value": [float(form["time"][0]), str(value)]}]
            body = {"status": "success", "data": {"resultType": "vector", "result": result}}
            sent = json.dumps(body if stub.status == 200 else {"status": "error", "error": "broken"}).encode()
            self.send_response(stub.status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

    setattr(Handler, "do_POST", Handler.answer_any)  # noqa: B010 (the name is the parent's)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
