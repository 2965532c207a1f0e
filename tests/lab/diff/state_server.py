"""A REST backend for Terraform's state, as GitLab's is, that remembers what it was asked."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class StateServer(http.server.ThreadingHTTPServer):
    """Serves one state at `address`.

    Attributes:
        state: its bytes; None when there is none.
        lock: who holds it, as Terraform says it; None when nobody does.
        asked: methods of the requests, in order.
    """

    daemon_threads = True

    def __init__(self, *, state: bytes | None = None, lock: dict[str, str] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.state = state
        self.lock = lock
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/state"


@contextmanager
def serving(server: StateServer) -> Iterator[StateServer]:
    """Serve until the end of the block."""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: StateServer

    def do_GET(self) -> None:
        self._begin()
        self._answer(404 if self.server.state is None else 200, self.server.state or b"")

    def do_POST(self) -> None:
        self.server.state = self._begin()
        self._answer(200)

    def do_LOCK(self) -> None:
        wanted = self._begin()
        if self.server.lock is not None:
            self._answer(423, json.dumps(self.server.lock).encode())
            return
        self.server.lock = json.loads(wanted)
        self._answer(200)

    def do_UNLOCK(self) -> None:
        self._begin()
        self.server.lock = None
        self._answer(200)

    def _begin(self) -> bytes:
        self.server.asked.append(self.command)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, code: int, body: bytes = b"") -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
