"""Runs a command where nothing can be reached but a state and a chart repository: `unshare -n python -m ... COMMAND`.

The network namespace has only its loopback, which carries the address of the lab's site, so that the fleet file can
stay as it is. The command sees the state's address in place of the word STATE in the fleet file that FLEET names.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

from tests.lab.diff.state_server import StateServer, serving


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path)
    parser.add_argument("--site", type=Path, required=True, help="folder that the site serves")
    parser.add_argument("--site-address", required=True)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "address", "add", f"{options.site_address}/32", "dev", "lo"], check=True)
    handler = functools.partial(_Quiet, directory=str(options.site))
    site = http.server.ThreadingHTTPServer((options.site_address, 80), handler)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    state = options.state.read_bytes() if options.state else None
    with serving(StateServer(state=state)) as server:
        fleet = Path(os.environ["FLEET"])
        fleet.write_text(fleet.read_text().replace("STATE", server.address))
        done = subprocess.run(options.command, check=False)
        print(f"the backend was asked: {' '.join(server.asked)}", flush=True)
        assert server.state == state, "the state was written"
    return done.returncode


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    sys.exit(main())
