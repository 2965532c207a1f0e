"""A fleet of its own on the lab's nodes, for the tests of what happens to a cluster over time."""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.artifacts.k3s import K3S_RELINK_VERSION, K3S_VERSION, build_k3s
from lab.progress import Progress
from lab.settings import LabSettings, load_settings
from scripts.checkout import LAB_FLEET, ROOT
from tests.lab.main_job.conftest import Run, edge_gpu, on_node, run

NAME = "lab-cluster"
EDGE = ROOT / ".edge" / NAME
RECORDS = EDGE / "not-removed.jsonl"

FleetData = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ClusterLab:
    """The lab's nodes and a fleet file for them.

    Attributes:
        settings: the lab.
        file: the fleet file, rewritten for each deploy.
        releases: address that serves both K3s versions.
        sha256: their checksums by version.
        asked: what nodes asked that address for, as "<node's address> <path>".
    """

    settings: LabSettings
    file: Path
    releases: str
    sha256: dict[str, str]
    asked: list[str]

    def deploy(self, change: Callable[[FleetData], None] | None = None) -> Run:
        """Deploy the lab's fleet, with something changed in its file."""
        self.write(change)
        return edge_gpu("deploy", fleet=self.file)

    def destroy(self) -> Run:
        """Destroy what the file of the last deploy has."""
        return edge_gpu("destroy", fleet=self.file)

    def write(self, change: Callable[[FleetData], None] | None = None) -> None:
        """Write the fleet file."""
        data: FleetData = yaml.safe_load(LAB_FLEET.read_text())
        data["name"] = NAME
        data["k3s"] |= {"artifact_url": self.releases, "start_timeout_seconds": 300}
        if change is not None:
            change(data)
        data["k3s"]["sha256"] = {"amd64": self.sha256[data["k3s"]["version"]]}
        self.file.write_text(yaml.safe_dump(data, sort_keys=False))

    def power_off(self, node: str) -> None:
        """Cut a node's power."""
        subprocess.run(["docker", "kill", f"{self.settings.name}-{node}"], check=True, capture_output=True, timeout=60)

    def power_on(self) -> None:
        """Start what is off."""
        up = run([sys.executable, "-m", "lab", "up"])
        assert up.code == 0, up.output

    def node_names(self) -> list[str]:
        """The lab's nodes, the first one a server."""
        return [node.name for node in self.settings.nodes]


def kubectl(server: str, *argv: str) -> Any:
    """What `kubectl ... -o json` answers on a server."""
    return json.loads(on_node(server, "k3s", "kubectl", *argv, "-o", "json"))


def nodes_of(server: str) -> dict[str, str]:
    """The cluster's nodes with the version that their kubelets report, Ready ones only."""
    return {
        node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"]
        for node in kubectl(server, "get", "nodes")["items"]
        if {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"
    }


def processes(*nodes: str) -> dict[str, str]:
    """Process id and start of K3s, by node: the same words after a deploy mean that it was not restarted."""
    shown = "systemctl show k3s k3s-agent -p MainPID,ActiveEnterTimestampMonotonic"
    return {node: on_node(node, "sh", "-c", shown) for node in nodes}


def told(run: Run) -> str:
    """The output in one line: Terraform breaks its own."""
    return " ".join(run.output.split())


@pytest.fixture(scope="session")
def settings() -> LabSettings:
    """The lab, its nodes up and free of what other tests deployed."""
    up = run([sys.executable, "-m", "lab", "up"])
    assert up.code == 0, up.output
    settings = load_settings(os.environ)
    if (ROOT / ".edge" / settings.fleet_name / "terraform.tfstate").exists():
        gone = edge_gpu("destroy")
        assert gone.code == 0, gone.output
    return settings


@pytest.fixture(scope="session")
def releases(
    settings: LabSettings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, str], list[str]]]:
    """Serves the lab's K3s and its relink as one version newer: address, checksums by version, what it was asked."""
    folder = tmp_path_factory.mktemp("releases")
    sha256 = {}
    for version in (K3S_VERSION, K3S_RELINK_VERSION):
        built = build_k3s(progress=Progress(), version=version).path
        (folder / version).symlink_to(built)
        sha256[version] = (built / "sha256sum-amd64.txt").read_text().split()[0]
    asked: list[str] = []
    handler = functools.partial(_Recording, asked, directory=str(folder))
    server = http.server.ThreadingHTTPServer((settings.gateway, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{settings.gateway}:{server.server_port}", sha256, asked
    server.shutdown()


@pytest.fixture(scope="module")
def lab(
    settings: LabSettings, releases: tuple[str, dict[str, str], list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterLab]:
    """The lab with a fleet file; destroyed at the end of the module."""
    file = tmp_path_factory.mktemp("fleets") / f"{NAME}.yaml"
    address, sha256, asked = releases
    lab = ClusterLab(settings=settings, file=file, releases=address, sha256=sha256, asked=asked)
    lab.write()
    if (EDGE / "terraform.tfstate").exists():
        left = lab.destroy()
        assert left.code == 0, left.output
    RECORDS.unlink(missing_ok=True)
    yield lab
    lab.power_on()
    gone = lab.destroy()
    assert gone.code == 0, gone.output
    RECORDS.unlink(missing_ok=True)


class _Recording(http.server.SimpleHTTPRequestHandler):
    def __init__(self, asked: list[str], *args: Any, **named: Any) -> None:
        self._asked = asked
        super().__init__(*args, **named)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 (the parent's names)
        self._asked.append(f"{self.client_address[0]} {self.path}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""
