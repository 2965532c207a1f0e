"""Starts a Docker engine on a machine where none runs: by systemd where that is PID 1, else in a session of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.artifacts.command import BuildError, run_command
from lab.cache import cache_root
from lab.errors import LabError
from lab.progress import Progress

_START_TIMEOUT_SECONDS = 90.0
_INSTALL_TIMEOUT_SECONDS = 900.0
_POLL_SECONDS = 0.2
_END_TIMEOUT_SECONDS = 15.0
_LOG_LINES_SHOWN = 15
_ADMIN_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_PID_FILE = Path("/var/run/docker.pid")
_SYSTEMD = Path("/run/systemd/system")


@dataclass(frozen=True)
class _Way:
    """One way to start dockerd: its options, and the directory that its iptables comes from."""

    options: tuple[str, ...] = ()
    iptables: Path | None = None


def start_engine(*, answers: Callable[[], bool], progress: Progress) -> None:
    """Start this machine's Docker engine, after Debian's docker.io was installed if there is none.

    The engine outlives this process. What it says is in <cache>/engine/dockerd.log, its process id in dockerd.pid
    beside it (where systemd starts it: in the journal).

    Args:
        answers: whether the engine answers by now.
        progress: says what is installed or started.

    Raises:
        LabError: this is not root, or the engine does not answer in time; with the last lines of its log.
        BuildError: the Debian package cannot be installed.
    """
    if os.geteuid() != 0:
        raise LabError(
            "no Docker engine answers on this machine, and only root can start one; start it (sudo systemctl start"
            " docker), run this command as root, or point DOCKER_HOST to another one"
        )
    search_path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_ADMIN_PATH])
    if shutil.which("dockerd", path=search_path) is None:
        _install(progress=progress)
        # Its package may have started it.
        if answers():
            return
    with progress.step("Docker engine: start"):
        if _SYSTEMD.is_dir():
            _start_by_systemd(answers=answers)
        else:
            _start_here(answers=answers, search_path=search_path, progress=progress)


def _install(*, progress: Progress) -> None:
    if shutil.which("apt-get") is None:
        raise LabError("there is neither a Docker engine nor apt-get on this machine; install Docker and run again")
    install = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "install"]
    packages = ["docker.io", "iptables"]
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    with progress.step("Docker engine: install Debian's docker.io"):
        try:
            run_command([*install, *packages], timeout_seconds=_INSTALL_TIMEOUT_SECONDS, env=environment)
        except BuildError:
            # Old package lists name files that are no longer there.
            run_command(["apt-get", "-q", "update"], timeout_seconds=_INSTALL_TIMEOUT_SECONDS)
            run_command([*install, *packages], timeout_seconds=_INSTALL_TIMEOUT_SECONDS, env=environment)


def _start_by_systemd(*, answers: Callable[[], bool]) -> None:
    try:
        run_command(["systemctl", "start", "docker.service"], timeout_seconds=_START_TIMEOUT_SECONDS)
    except BuildError as error:
        log = run_command(
            ["journalctl", "-u", "docker.service", "-n", str(_LOG_LINES_SHOWN), "--no-pager", "-o", "cat"],
            timeout_seconds=30,
        )
        raise LabError(f"systemd cannot start docker.service; correct what its journal names\n{log}") from error
    if not _wait(answers, process=None):
        raise LabError("docker.service is active, but no engine answers at its socket; see journalctl -u docker")


def _start_here(*, answers: Callable[[], bool], search_path: str, progress: Progress) -> None:
    directory = cache_root() / "engine"
    directory.mkdir(exist_ok=True)
    log = directory / "dockerd.log"
    way = _Way()
    tried: set[_Way] = set()
    while True:
        tried.add(way)
        seen = log.stat().st_size if log.exists() else 0
        process = _launch(way, log=log, search_path=search_path)
        (directory / "dockerd.pid").write_text(f"{process.pid}\n")
        if _wait(answers, process=process):
            return
        _end(process)
        with log.open("rb") as stream:
            stream.seek(seen)
            said = stream.read().decode(errors="replace")
        other = _other_way(said, way=way, directory=directory, search_path=search_path)
        if other is None or other[0] in tried:
            last = "\n".join(said.splitlines()[-_LOG_LINES_SHOWN:])
            raise LabError(
                f"dockerd did not answer within {_START_TIMEOUT_SECONDS:.0f} s or ended; correct what its log"
                f" ({log}) names last, then run again\n{last}"
            )
        way, why = other
        progress.note(f"      dockerd: {why}")


def _launch(way: _Way, *, log: Path, search_path: str) -> subprocess.Popen[bytes]:
    path = search_path if way.iptables is None else f"{way.iptables}{os.pathsep}{search_path}"
    with log.open("ab") as output:
        return subprocess.Popen(
            ["dockerd", *way.options],
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    # It takes its containerd with it when it is asked to end.
    process.terminate()
    try:
        process.wait(timeout=_END_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(answers: Callable[[], bool], *, process: subprocess.Popen[bytes] | None) -> bool:
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if answers():
            return True
        if process is not None and process.poll() is not None:
            return False
        time.sleep(_POLL_SECONDS)
    return False


def _other_way(said: str, *, way: _Way, directory: Path, search_path: str) -> tuple[_Way, str] | None:
    """What to try after dockerd ended with these words, and why; None when they name nothing that is known here."""
    if "pid file found" in said or re.search(r"process with PID \d+ is still running", said):
        if not _is_dockerd(_PID_FILE):
            _PID_FILE.unlink(missing_ok=True)
            # Another log line makes it another way, so that it is tried once.
            return _Way(options=(*way.options, "--pidfile", str(_PID_FILE)), iptables=way.iptables), (
                f"removed {_PID_FILE} of an engine that is gone"
            )
        return None
    if re.search(r"iptables|nf_tables|Table does not exist|NAT chain", said) and way.iptables is None:
        other = _other_iptables(directory, search_path=search_path)
        if other is not None:
            return _Way(options=way.options, iptables=other[0]), f"its iptables failed, trying {other[1]}"
    if re.search(r"graphdriver|storage.driver|overlay", said) and "--storage-driver" not in way.options:
        return _Way(options=(*way.options, "--storage-driver", "vfs"), iptables=way.iptables), (
            "its storage driver failed, trying vfs: every container is a whole copy, slow and large"
        )
    return None


def _is_dockerd(pid_file: Path) -> bool:
    try:
        pid = int(pid_file.read_text())
        return Path(f"/proc/{pid}/comm").read_text().strip() == "dockerd"
    except (OSError, ValueError):
        return False


def _other_iptables(directory: Path, *, search_path: str) -> tuple[Path, str] | None:
    """A directory whose iptables speaks to the other of the kernel's two packet filters, for dockerd's PATH only."""
    current = shutil.which("iptables", path=search_path)
    if current is None:
        return None
    version = run_command([current, "--version"], timeout_seconds=10)
    flavour = "legacy" if "nf_tables" in version else "nft"
    folder = directory / f"iptables-{flavour}"
    folder.mkdir(exist_ok=True)
    for name in ("iptables", "ip6tables"):
        program = shutil.which(f"{name}-{flavour}", path=search_path)
        if program is None:
            return None
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(program)
    return folder, f"iptables-{flavour}"
