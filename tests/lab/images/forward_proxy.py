"""An HTTP proxy on this machine, for the one build step whose packages are Debian's own."""

from __future__ import annotations

import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_TIMEOUT_SECONDS = 60


@contextmanager
def forward_proxy(address: str) -> Iterator[str]:
    """Serve while the block runs; the proxy's URL. It knows GET of `http://`, which is all that apt asks for.

    Args:
        address: of this machine, as the build step reaches it.
    """
    server = ThreadingHTTPServer((address, 0), _Forward)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{address}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Forward(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if not self.path.startswith("http://"):
            self.send_error(400, "only http:// is forwarded")
            return
        try:
            with urllib.request.urlopen(self.path, timeout=_TIMEOUT_SECONDS) as answer:
                self.send_response(200)
                for name in ("Content-Length", "Content-Type", "Last-Modified"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.end_headers()
                shutil.copyfileobj(answer, self.wfile)
        except urllib.error.HTTPError as refusal:
            self.send_error(refusal.code)
        except OSError as error:
            self.send_error(502, str(error))

    def log_message(self, *_: object) -> None:
        pass
