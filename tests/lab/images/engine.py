"""A Docker engine of the tests' own: the lab's program with a data folder, a bridge and an nvidia runtime beside it.

It runs in a network namespace of its own: an engine removes `docker0` when it is given another bridge, and sets the
machine's forwarding. Of it, this machine sees one end of a cable while it runs. The shared engine keeps its settings,
networks and images, and nothing is left when the tests end.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from lab.artifacts.command import run_command
from lab.artifacts.container_toolkit import build_container_toolkit
from lab.artifacts.stand_in_driver import StandInGpu, build_stand_in_driver, cdi_spec
from lab.progress import Progress

NAMESPACE = "edge-gpu-images"
CABLE = "eg-images"
"""This machine's end of the cable into the namespace."""

GATEWAY = "172.30.255.1"
"""This machine, as the engine and its containers reach it."""

REGISTRY = f"{GATEWAY}:5000"
"""Where the engine pulls over plain http: BuildKit takes no whole network for that, as the engine itself does."""

_BRIDGE, _BRIDGE_ADDRESS, _BRIDGE_END = "containers", "172.30.255.2", "eg-bridge"
# None of the two above.
_CONTAINER_ADDRESSES = "172.30.255.128/25"
_START_TIMEOUT_SECONDS = 60.0
_TURN_TIMEOUT_SECONDS = 1200.0


@dataclass(frozen=True)
class Engine:
    """A running engine.

    Attributes:
        client: speaks to it.
        host: its address, as DOCKER_HOST has it.
    """

    client: docker.DockerClient
    host: str


@contextmanager
def private_engine(folder: Path, *, gpus: list[StandInGpu]) -> Iterator[Engine]:
    """Start the engine in `folder` and end it, with everything in it, when the block ends.

    Args:
        folder: an empty folder on a file system that overlayfs can use; its path must be short, sockets lie in it.
        gpus: the stand-in GPUs that its runtime `nvidia` has.
    """
    runtime = _nvidia_runtime(folder / "nvidia", gpus=gpus)
    host = f"unix://{folder}/docker.sock"
    with _only_one():
        _remove_network()
        try:
            _make_network()
            yield from _running(folder, host=host, runtime=runtime)
        finally:
            _remove_network()
            _unmount_below(folder)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _only_one() -> Iterator[None]:
    """Wait for other runs of these tests on this machine: names and addresses are the same in all."""
    path = Path(tempfile.gettempdir()) / f"{NAMESPACE}.lock"
    deadline = time.monotonic() + _TURN_TIMEOUT_SECONDS
    with path.open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holds = f"another run of these tests has held {path} for {_TURN_TIMEOUT_SECONDS:.0f} s"
                assert time.monotonic() < deadline, f"{holds}; wait for it, or end it"
                time.sleep(1)
                continue
            break
        yield


def _running(folder: Path, *, host: str, runtime: Path) -> Iterator[Engine]:
    log = folder / "dockerd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                # Not `ip netns exec`: that hides the control groups.
                "nsenter", f"--net=/run/netns/{NAMESPACE}",
                "dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid",
                "--host", host, "--bridge", _BRIDGE, "--fixed-cidr", _CONTAINER_ADDRESSES,
                "--iptables=false", "--ip-masq=false", "--ip-forward=false", "--insecure-registry", REGISTRY,
                "--add-runtime", f"nvidia={runtime}",
            ],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        client = _wait_for(host, process=process, log=log)
        yield Engine(client=client, host=host)
        for container in client.containers.list():
            container.kill()
        client.close()
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _make_network() -> None:
    inside = ("-n", NAMESPACE)
    for words in (
        ("netns", "add", NAMESPACE),
        (*inside, "link", "set", "lo", "up"),
        (*inside, "link", "add", _BRIDGE, "type", "bridge"),
        (*inside, "address", "add", f"{_BRIDGE_ADDRESS}/24", "dev", _BRIDGE),
        ("link", "add", CABLE, "type", "veth", "peer", "name", _BRIDGE_END, "netns", NAMESPACE),
        (*inside, "link", "set", _BRIDGE_END, "master", _BRIDGE),
        (*inside, "link", "set", _BRIDGE_END, "up"),
        (*inside, "link", "set", _BRIDGE, "up"),
        ("address", "add", f"{GATEWAY}/24", "dev", CABLE),
        ("link", "set", CABLE, "up"),
    ):
        run_command(["ip", *words], timeout_seconds=10)


def _remove_network() -> None:
    """Also what a run that was killed has left."""
    for words in (("link", "delete", CABLE), ("netns", "delete", NAMESPACE)):
        subprocess.run(["ip", *words], capture_output=True, check=False)


def _wait_for(host: str, *, process: subprocess.Popen[bytes], log: Path) -> docker.DockerClient:
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client = docker.DockerClient(base_url=host, timeout=120)
            client.ping()
        except (docker.errors.DockerException, OSError):
            time.sleep(0.2)
            continue
        return client
    last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise AssertionError(f"no engine within {_START_TIMEOUT_SECONDS:.0f} s at {host}\n{last}")


def _unmount_below(folder: Path) -> None:
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def _nvidia_runtime(folder: Path, *, gpus: list[StandInGpu]) -> Path:
    """NVIDIA's own container runtime in CDI mode, over the stand-in driver's files; the path that Docker starts."""
    tree = build_stand_in_driver(progress=Progress()).path
    (folder / "toolkit").mkdir(parents=True)
    packages = build_container_toolkit(progress=Progress())[0].path
    for package in packages.glob("nvidia-container-toolkit*.deb"):
        run_command(["dpkg-deb", "-x", package, folder / "toolkit"], timeout_seconds=60)
    (folder / "edge-gpu-lab").mkdir()
    lines = "".join(f"{gpu.index} {gpu.uuid} {gpu.name}\n" for gpu in gpus)
    (folder / "edge-gpu-lab" / "gpus.conf").write_text(lines)
    spec = cdi_spec(gpus).replace("hostPath: /usr/", f"hostPath: {tree}/usr/")
    spec = spec.replace("hostPath: /etc/edge-gpu-lab", f"hostPath: {folder}/edge-gpu-lab")
    for gpu in gpus:
        # This machine has no such device, and none is made.
        node = f"- path: /dev/nvidia{gpu.index}\n"
        spec = spec.replace(node, f"{node}          hostPath: /dev/null\n")
    (folder / "cdi").mkdir()
    (folder / "cdi" / "nvidia.yaml").write_text(spec)
    settings = folder / "nvidia-container-runtime"
    settings.mkdir()
    (settings / "config.toml").write_text(
        f'[nvidia-container-runtime]\nmode = "cdi"\nruntimes = ["runc"]\n'
        f'[nvidia-container-runtime.modes.cdi]\nspec-dirs = ["{folder}/cdi"]\n'
    )
    program = folder / "runtime"
    program.write_text(
        f"#!/bin/sh\nXDG_CONFIG_HOME={folder} NVIDIA_CTK_CONFIG_FILE_PATH={settings}/config.toml"
        f' exec {folder}/toolkit/usr/bin/nvidia-container-runtime "$@"\n'
    )
    program.chmod(0o755)
    os.sync()
    return program
