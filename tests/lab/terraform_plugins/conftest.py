"""Real Terraform with the plugin stand-ins, and a real Kubernetes API without nodes, for the tests of the stand-ins."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.artifacts.device_plugin import build_device_plugin_chart
from lab.artifacts.k3s import build_k3s
from lab.artifacts.terraform_plugins import build_terraform_plugins, write_terraform_rc
from lab.progress import Progress

COMMAND_LIMIT_SECONDS = 180
API_START_LIMIT_SECONDS = 90


@dataclass(frozen=True)
class Run:
    """A finished Terraform command: exit code, and what it printed."""

    code: int
    output: str


class Workspace:
    """A directory with a Terraform configuration."""

    def __init__(self, directory: Path, *, settings: Path) -> None:
        self.directory = directory
        # The checkout's own TF_DATA_DIR would mix these workspaces with the stack's.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
        self._log = directory.parent / "terraform.log"
        logged = {"TF_LOG": "WARN", "TF_LOG_PATH": str(self._log)}
        self._environment = {**inherited, **logged, "TF_CLI_CONFIG_FILE": str(settings), "CHECKPOINT_DISABLE": "1"}

    def write(self, configuration: dict[str, Any]) -> None:
        """Replace the configuration, and initialise the first time."""
        (self.directory / "main.tf.json").write_text(json.dumps(configuration))
        if not (self.directory / ".terraform").exists():
            started = self._run("init")
            assert started.code == 0, started.output

    def apply(self) -> Run:
        return self._run("apply", "-auto-approve")

    def applied(self) -> dict[str, Any]:
        """Apply, expect success, and return the outputs by name."""
        done = self.apply()
        assert done.code == 0, done.output
        assert self._tolerated() == []
        shown = json.loads(self._run("output", "-json").output)
        return {name: output["value"] for name, output in shown.items()}

    def changes(self) -> dict[str, list[str]]:
        """What the next apply would do: actions by resource address, unchanged ones left out."""
        planned = self._run("plan", "-out=plan")
        assert planned.code == 0, planned.output
        shown = json.loads(self._run("show", "-json", "plan").output)
        actions = {change["address"]: change["change"]["actions"] for change in shown.get("resource_changes", [])}
        return {address: action for address, action in actions.items() if action not in (["no-op"], ["read"])}

    def plan(self) -> Run:
        return self._run("plan")

    def destroy(self) -> None:
        done = self._run("destroy", "-auto-approve")
        assert done.code == 0, done.output

    def import_as(self, address: str, identifier: str) -> Run:
        return self._run("import", address, identifier)

    def state(self) -> str:
        return (self.directory / "terraform.tfstate").read_text()

    def _tolerated(self) -> list[str]:
        """What Terraform found wrong and let pass because such a plugin may be built on the old SDK.

        Planned defaults are the one thing that the real plugins do alike.
        """
        found = re.findall(r"^      - (\..*)$", self._log.read_text(), re.MULTILINE)
        return [line for line in found if not line.endswith("for a non-computed attribute")]

    def _run(self, *arguments: str) -> Run:
        done = subprocess.run(
            ["terraform", *arguments, *([] if arguments[0] in ("output", "show") else ["-no-color"])],
            cwd=self.directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_LIMIT_SECONDS,
            check=False,
        )
        return Run(done.returncode, done.stdout)


@pytest.fixture(scope="session")
def terraform_settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CLI configuration file that leads to the stand-ins."""
    destination = tmp_path_factory.mktemp("terraform") / "terraform.rc"
    write_terraform_rc(mirror=build_terraform_plugins(progress=Progress())[0].path, destination=destination)
    return destination


@pytest.fixture
def workspace(tmp_path: Path, terraform_settings: Path) -> Iterator[Workspace]:
    """An empty Terraform workspace; what it made is destroyed at the end, whatever the test found."""
    directory = tmp_path / "workspace"
    directory.mkdir()
    made = Workspace(directory, settings=terraform_settings)
    yield made
    if (directory / "terraform.tfstate").exists():
        made.destroy()


@dataclass(frozen=True)
class Api:
    """A Kubernetes API, and the settings with which the plugins reach it."""

    settings: dict[str, str]
    kubeconfig: Path
    program: Path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            [str(self.program), "kubectl", "--kubeconfig", str(self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    for first in range(26443, 26643, count):
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError(f"no {count} free ports in a row from 26443 on")


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The lab's K3s as an API server with controllers and without any node, on this machine's loopback."""
    directory = tmp_path_factory.mktemp("k3s")
    program = build_k3s(progress=Progress()).path / "k3s"
    # The API itself listens on the port after the one asked for; the controllers' default ports may be another K3s's.
    port, kubeconfig = _free_ports(4), directory / "kubeconfig"
    arguments = [
        "--disable-agent", f"--data-dir={directory / 'data'}", f"--write-kubeconfig={kubeconfig}", "--config=/dev/null",
        "--bind-address=127.0.0.1", f"--https-listen-port={port}", "--flannel-backend=none", "--disable-network-policy",
        f"--kube-controller-manager-arg=secure-port={port + 2}", f"--kube-scheduler-arg=secure-port={port + 3}",
        "--disable=traefik,coredns,servicelb,metrics-server,local-storage", "--disable-cloud-controller",
    ]  # fmt: skip
    with (directory / "log").open("w") as log:
        server = subprocess.Popen(
            [str(program), "server", *arguments], stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    tls = directory / "data" / "server" / "tls"
    settings = {
        "host": f"https://127.0.0.1:{port}",
        "cluster_ca_certificate": f'${{file("{tls}/server-ca.crt")}}',
        "client_certificate": f'${{file("{tls}/client-admin.crt")}}',
        "client_key": f'${{file("{tls}/client-admin.key")}}',
    }
    made = Api(settings=settings, kubeconfig=kubeconfig, program=program)
    try:
        _await(made, server, log=directory / "log")
        yield made
    finally:
        server.terminate()
        server.wait(timeout=60)


def _await(api: Api, server: subprocess.Popen[bytes], *, log: Path) -> None:
    deadline = time.monotonic() + API_START_LIMIT_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, f"K3s ended:\n{log.read_text()[-3000:]}"
        if api.kubeconfig.exists():
            try:
                api.kubectl("get", "serviceaccount", "default", "-n", "default")
            except AssertionError:
                pass
            else:
                return
        time.sleep(0.5)
    raise AssertionError(f"no Kubernetes API after {API_START_LIMIT_SECONDS} s:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def chart() -> Path:
    """The device plugin's chart, as the lab builds it."""
    return next(build_device_plugin_chart(progress=Progress()).path.glob("*.tgz"))
