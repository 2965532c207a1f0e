"""A site mirror that is up and wrong: it passes on what the real one serves, damaged."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.lab.faults.fault_lab import SETTINGS, on_node

Damage = Callable[[bytes], bytes]


def truncated(content: bytes) -> bytes:
    """The first half; the header still promises the whole."""
    return content[: len(content) // 2]


def tampered(content: bytes) -> bytes:
    """The last byte changed."""
    return content[:-1] + bytes([content[-1] ^ 1])


@contextmanager
def damaging_mirror(damage: Damage) -> Iterator[int]:
    """A web server at the lab network's gateway; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                with urllib.request.urlopen(f"http://{SETTINGS.site_address}{self.path}", timeout=30) as answer:
                    content: bytes = answer.read()
            except urllib.error.HTTPError as error:
                self.send_error(error.code)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(damage(content))

        def log_message(self, *_: object) -> None:
            """Say nothing: the node's own message is what counts."""

    server = ThreadingHTTPServer((SETTINGS.gateway, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _rule(target: str) -> str:
    table = "nat" if target.startswith("DNAT") else "filter"
    return f"-t {table} %s OUTPUT -d {SETTINGS.site_address} -p tcp --dport 80 -j {target}"


def answered_by(node: str, *, port: int) -> Callable[[], None]:
    """Let a node's requests to the site mirror reach another one; returns what undoes it."""
    return _put(node, _rule(f"DNAT --to-destination {SETTINGS.gateway}:{port}"))


def mirror_down(node: str) -> Callable[[], None]:
    """Let a node find nothing at the site mirror's port; returns what undoes it."""
    return _put(node, _rule("REJECT --reject-with tcp-reset"))


def _put(node: str, rule: str) -> Callable[[], None]:
    on_node(node, f"iptables -w {rule % '-I'}")

    def undo() -> None:
        on_node(node, f"iptables -w {rule % '-D'}")

    return undo
