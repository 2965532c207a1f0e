"""The Docker engine that the lab's containers run in: the one that answers, or one that is started here."""

from __future__ import annotations

import os
from pathlib import Path

import docker
from docker.errors import DockerException

from lab.engine_start import start_engine
from lab.errors import LabError
from lab.part import Part
from lab.progress import Progress

HOST_VARIABLE = "DOCKER_HOST"

_SOCKET = Path("/var/run/docker.sock")
_REQUEST_TIMEOUT_SECONDS = 120


def connect(*, progress: Progress) -> docker.DockerClient:
    """A client of the engine that answers; as root, an engine is installed and started when none does.

    Args:
        progress: says what is installed or started.

    Raises:
        LabError: none answers and none can be started here; with the reason, the last lines of its log and the fix.
        BuildError: the Debian packages cannot be installed.
    """
    client = connect_running()
    if client is None:
        if os.environ.get(HOST_VARIABLE):
            raise LabError(
                f"no Docker engine answers at {HOST_VARIABLE}={os.environ[HOST_VARIABLE]}; start it, or unset"
                f" {HOST_VARIABLE} to use this machine's"
            )
        start_engine(answers=lambda: connect_running() is not None, progress=progress)
        client = connect_running()
        if client is None:
            raise LabError(f"the Docker engine answered at {_SOCKET} and stopped again; run the command again")
    options = client.info().get("SecurityOptions") or []
    if any("rootless" in option for option in options):
        client.close()
        raise LabError(
            "the Docker engine that answers is a rootless one, in which no node can run K3s; point"
            f" {HOST_VARIABLE} to one that runs as root"
        )
    return client


def connect_running() -> docker.DockerClient | None:
    """A client of the engine that answers, None when none does; nothing is started.

    Raises:
        LabError: there is an engine, but this user may not use it.
    """
    try:
        client = docker.from_env(timeout=_REQUEST_TIMEOUT_SECONDS)
    except DockerException as error:
        if isinstance(_root_cause(error), PermissionError):
            raise LabError(
                f"user {os.geteuid()} may not use the Docker engine at {os.environ.get(HOST_VARIABLE) or _SOCKET}; add"
                " the user to the group docker and log in again, or run as root"
            ) from error
        return None
    try:
        client.ping()
    except (DockerException, OSError):
        client.close()
        return None
    return client


def engine_part(client: docker.DockerClient) -> Part:
    """The engine as one of the lab's parts."""
    version = client.version()
    info = client.info()
    return Part(
        name="Docker engine",
        version=str(version["Version"]),
        source=f"this machine: storage {info['Driver']}, cgroup v{info.get('CgroupVersion', '1')}",
        kind="real",
        path=Path(info["DockerRootDir"]),
    )


def _root_cause(error: BaseException) -> BaseException:
    """The first error of a chain; the client wraps the socket's into several of its own."""
    seen: BaseException = error
    while True:
        inner = seen.__cause__ or seen.__context__
        if inner is None:
            return seen
        seen = inner
