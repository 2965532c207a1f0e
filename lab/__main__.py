"""The embedded lab's commands: `python -m lab up|down|status|exec`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence

from docker.errors import DockerException

from lab.artifacts.binding_source import BindingError
from lab.artifacts.command import BuildError
from lab.cache import CacheError
from lab.engine import connect_running
from lab.errors import LabError
from lab.labels import NODE, lab_filter
from lab.progress import Progress
from lab.settings import LabSettings, load_settings
from lab.sources import SourcesError
from lab.status import as_json, as_text, lab_status
from lab.up import bring_up, tear_down

_EPILOGUE = """\
environment:
  LAB_SOURCES   auto (default): parts from their public places where they answer, else built here; public; local
  LAB_NODES     the nodes (default: "server-1=server gpu-1=agent:2 gpu-2=agent:1"), NAME=ROLE or NAME=ROLE:GPUS
  LAB_SUBNET    the lab's network (default: 172.29.0.0/24)
  LAB_NAME      another name is another lab beside the first (give it a subnet of its own)
  EDGE_GPU_CACHE  where built parts are kept (default: ~/.cache/edge-gpu)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0 done, 1 refused or failed with a message, 130 interrupted, exec: CMD's own."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(os.environ)
        if options.command == "up":
            return _up(settings)
        if options.command == "down":
            return _down(settings)
        if options.command == "status":
            status = lab_status(settings)
            print(as_json(status) if options.json else as_text(status))
            return 0
        return _exec(settings, node=options.node, argv=options.argv)
    except (LabError, BuildError, CacheError, SourcesError, BindingError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
    except DockerException as error:
        print(f"ERROR: the Docker engine refused: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted; run the command again to go on from here", file=sys.stderr)
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description="Machines to try the deploy on: containers with systemd and sshd, and a mirror of what they need.",
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring the lab up, or what of it is missing, and write the fleet file")
    commands.add_parser("down", help="remove its nodes with their disks, and its network; built parts stay")
    status = commands.add_parser("status", help="list the nodes, and every part with version, source, real / stand-in")
    status.add_argument("--json", action="store_true", help="for programs")
    run = commands.add_parser("exec", help="run a command on a node as root: exec NODE -- CMD")
    run.add_argument("node", help="the node's name")
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD", help="the command")
    return parser


def _up(settings: LabSettings) -> int:
    started = time.monotonic()
    nodes = bring_up(settings, environment=os.environ, progress=Progress())
    print(f"Lab {settings.name}: {len(nodes)} nodes are up after {time.monotonic() - started:.1f} s")
    return 0


def _down(settings: LabSettings) -> int:
    started = time.monotonic()
    removed = tear_down(settings, progress=Progress())
    print(f"Lab {settings.name}: {removed} containers removed in {time.monotonic() - started:.1f} s")
    return 0


def _exec(settings: LabSettings, *, node: str, argv: Sequence[str]) -> int:
    command = list(argv[1:] if argv[:1] == ["--"] else argv)
    if not command:
        raise LabError(f"exec {node}: no command is given; use python -m lab exec {node} -- CMD")
    docker = shutil.which("docker")
    if docker is None:
        raise LabError("exec needs the docker command; install docker.io or docker-cli")
    client = connect_running()
    if client is None:
        raise LabError("no Docker engine answers, so no node runs; bring the lab up first: python -m lab up")
    running = {found.labels.get(NODE, "site") for found in client.containers.list(filters=lab_filter(settings))}
    client.close()
    if node not in running:
        known = ", ".join(sorted(running))
        raise LabError(f"no node {node!r} runs; running are: {known or 'none'}. Bring the lab up: python -m lab up")
    terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    sys.stdout.flush()
    # docker's own exec knows terminals, signals and exit codes; nothing is left to do here afterwards.
    os.execv(docker, [docker, "exec", "-i", *terminal, f"{settings.name}-{node}", *command])


if __name__ == "__main__":
    sys.exit(main())
