"""The report of a deploy: what it takes from the cluster and the stack, what it calls a problem, how it looks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from scripts.cluster import Cluster, with_plugin_logs
from scripts.errors import CommandError
from scripts.fleet_report import FleetReport, SeenCheck, SeenNode, WantedNode, compare
from scripts.report import as_text, gpu_report, parse_gpu_report
from scripts.table import render

VERSION = "v1.36.2+k3s1"
SERVER = WantedNode(name="server-1", role="server", gpus=0, k3s_version=VERSION)
GPU_1 = WantedNode(name="gpu-1", role="agent", gpus=2, k3s_version=VERSION)
GPU_2 = WantedNode(name="gpu-2", role="agent", gpus=1, k3s_version=VERSION)
PASSED = {
    "gpu-1": SeenCheck(exit_code=0, uuids=("GPU-a", "GPU-b")),
    "gpu-2": SeenCheck(exit_code=0, uuids=("GPU-c",)),
}


def seen(**changes: SeenNode) -> dict[str, SeenNode]:
    """The fleet's nodes as they should be, some of them otherwise; dashes in names are underscores here."""
    nodes = {node.name: SeenNode(k3s_version=VERSION, ready=True, gpus=node.gpus) for node in (SERVER, GPU_1, GPU_2)}
    return {**nodes, **{name.replace("_", "-"): node for name, node in changes.items()}}


def report(*, nodes: dict[str, SeenNode] | None = None, checks: dict[str, SeenCheck] | None = None) -> FleetReport:
    """The report of a fleet of three."""
    return compare(
        fleet="lab",
        wanted=[SERVER, GPU_1, GPU_2],
        seen=seen() if nodes is None else nodes,
        checks=PASSED if checks is None else checks,
    )


def problems(of: FleetReport) -> dict[str, list[str]]:
    """The problems by node, of nodes that have some."""
    return {node.name: list(node.problems) for node in of.nodes if node.problems}


def test_a_fleet_as_wanted_is_complete() -> None:
    assert report().complete
    assert problems(report()) == {}


def test_a_node_that_offers_fewer_gpus_is_named_with_expected_and_seen() -> None:
    short = report(nodes=seen(gpu_2=SeenNode(k3s_version=VERSION, ready=True, gpus=0)))
    assert not short.complete
    assert problems(short) == {"gpu-2": ["offers 0 nvidia.com/gpu; expected 1"]}


def test_a_node_whose_gpus_are_shared_must_offer_all_shares() -> None:
    shared = replace(GPU_2, pods_per_gpu=4)

    def said(gpus: int) -> FleetReport:
        nodes = {"gpu-2": SeenNode(k3s_version=VERSION, ready=True, gpus=gpus)}
        return compare(fleet="lab", wanted=[shared], seen=nodes, checks={"gpu-2": PASSED["gpu-2"]})

    assert said(4).complete
    assert "4/4" in as_text(said(4))
    assert problems(said(1)) == {"gpu-2": ["offers 1 nvidia.com/gpu; expected 4"]}


def test_a_check_that_passed_before_the_node_lost_a_gpu_is_not_called_passed() -> None:
    short = report(nodes=seen(gpu_1=SeenNode(k3s_version=VERSION, ready=True, gpus=1)))
    assert [node.verdict for node in short.nodes] == ["no GPU", "passed earlier", "passed"]


def test_a_node_that_is_not_in_the_cluster_is_a_problem() -> None:
    nodes = seen()
    del nodes["server-1"]
    assert problems(report(nodes=nodes)) == {"server-1": ["is not in the cluster"]}


def test_a_node_that_is_not_ready_or_runs_another_k3s_is_a_problem() -> None:
    nodes = seen(server_1=SeenNode(k3s_version="v1.35.0+k3s1", ready=False, gpus=0))
    assert problems(report(nodes=nodes)) == {
        "server-1": [
            "is in the cluster but not Ready",
            "runs K3s v1.35.0+k3s1; the fleet file has v1.36.2+k3s1",
        ]
    }


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        (None, "its GPU check has not run to its end"),
        (SeenCheck(exit_code=None), "its GPU check has not run to its end"),
        (SeenCheck(exit_code=0), "its GPU check ended with exit code 0 and 0 GPUs seen; expected 0 and 1"),
        (
            SeenCheck(exit_code=3, uuids=("GPU-c",)),
            "its GPU check ended with exit code 3 and 1 GPUs seen; expected 0 and 1",
        ),
    ],
)
def test_a_gpu_check_counts_only_with_exit_code_0_and_every_gpu_seen(check: SeenCheck | None, problem: str) -> None:
    checks = {"gpu-1": PASSED["gpu-1"], **({"gpu-2": check} if check else {})}
    assert problems(report(checks=checks)) == {"gpu-2": [problem]}


def test_the_same_gpu_on_two_nodes_is_a_problem_of_both() -> None:
    checks = {**PASSED, "gpu-2": SeenCheck(exit_code=0, uuids=("GPU-b",))}
    assert set(problems(report(checks=checks))) == {"gpu-1", "gpu-2"}


def test_an_unanswering_cluster_is_one_problem_and_not_one_a_node() -> None:
    silent = compare(fleet="lab", wanted=[SERVER], seen=None, checks={}, problems=["the cluster does not answer"])
    assert not silent.complete
    assert problems(silent) == {}
    assert "server-1  server  ?    0/?" in as_text(silent)


def test_the_text_has_a_row_a_node_and_the_plugins_last_words_where_gpus_are_short() -> None:
    short = SeenNode(k3s_version=VERSION, ready=True, gpus=0, plugin_log=("no NVML",))
    text = as_text(report(nodes=seen(gpu_2=short), checks={"gpu-1": PASSED["gpu-1"]}))
    assert text.splitlines() == [
        "Fleet lab",
        "",
        "NODE      ROLE    K3S           GPUS EXPECTED/ALLOCATABLE  GPU CHECK  GPUS SEEN BY THE CHECK",
        "--------  ------  ------------  -------------------------  ---------  ----------------------",
        "server-1  server  v1.36.2+k3s1  0/0                        no GPU",
        "gpu-1     agent   v1.36.2+k3s1  2/2                        passed     GPU-a",
        "                                                                      GPU-b",
        "gpu-2     agent   v1.36.2+k3s1  1/0                        not run",
        "",
        "PROBLEM  gpu-2 offers 0 nvidia.com/gpu; expected 1",
        "PROBLEM  gpu-2 its GPU check has not run to its end",
        "         The device plugin's last lines on gpu-2:",
        "           no NVML",
        "fine     server-1, gpu-1",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert render(("A", "BB"), []) == "A  BB\n-  --"


def test_the_json_says_whether_the_fleet_is_complete() -> None:
    found = json.loads(json.dumps(report().as_json()))
    assert found["complete"] is True
    assert found["nodes"][1]["uuids"] == ["GPU-a", "GPU-b"]


def test_the_stack_output_is_a_json_string_by_node() -> None:
    entry = {"expected": 1, "uuids": ["GPU-c"], "exit_code": 0, "failed_attempts": ["UnexpectedAdmissionError: x"]}
    outputs = json.dumps({"gpu_report": {"value": json.dumps({"gpu-2": entry})}})
    assert parse_gpu_report(outputs) == {
        "gpu-2": SeenCheck(exit_code=0, uuids=("GPU-c",), failed_attempts=("UnexpectedAdmissionError: x",))
    }


@pytest.mark.parametrize(
    "outputs", ["{}", "no JSON", '{"gpu_report": {"value": "[]"}}', '{"gpu_report": {"value": 1}}']
)
def test_a_stack_without_a_usable_output_says_so_with_the_fix(outputs: str) -> None:
    with pytest.raises(CommandError, match=r"no usable output gpu_report .*Fix: make deploy\."):
        parse_gpu_report(outputs)


def test_what_was_never_deployed_from_here_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="does not exist: nothing was deployed here"):
        gpu_report(env={}, stack_directory=tmp_path / "edge-gpu")


# --- the cluster, by its API ---------------------------------------------------------------------------------------


def node(name: str, *, gpus: str | None, label: str | None = None) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"nvidia.com/gpu.present": label} if label else {}},
        "status": {
            "allocatable": {"cpu": "2", **({"nvidia.com/gpu": gpus} if gpus else {})},
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {
                "kubeletVersion": VERSION,
                "architecture": "amd64",
                "bootID": "",
                "containerRuntimeVersion": "",
                "kernelVersion": "",
                "kubeProxyVersion": "",
                "machineID": "",
                "operatingSystem": "linux",
                "osImage": "",
                "systemUUID": "",
            },
        },
    }


def check_pod(*, on: str, created: str, phase: str, message: str, exit_code: int) -> dict[str, Any]:
    ended = {"exitCode": exit_code, "reason": "Error" if exit_code else "Completed", "message": message}
    status = {"name": "c", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    return {
        "metadata": {"name": f"check-{created}", "namespace": "gpu-check", "creationTimestamp": created},
        "spec": {"containers": [{"name": "c"}], "nodeSelector": {"kubernetes.io/hostname": on}},
        "status": {"phase": phase, "containerStatuses": [{**status, "state": {"terminated": ended}}]},
    }


PLUGIN_POD = {
    "metadata": {"name": "plugin-x", "namespace": "nvidia-device-plugin"},
    "spec": {"nodeName": "gpu-1", "containers": [{"name": "ctr"}]},
    "status": {"phase": "Running"},
}
CHECK_PODS = [
    check_pod(on="gpu-1", created="2026-01-01T00:00:09Z", phase="Succeeded", message="GPU-a GPU-b\n", exit_code=0),
    check_pod(on="gpu-1", created="2026-01-01T00:00:01Z", phase="Failed", message="no NVML", exit_code=1),
]


class Api(BaseHTTPRequestHandler):
    """As much of a Kubernetes API server as the report asks."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        selectors = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/api/v1/nodes":
            self._answer(json.dumps({"items": [node("gpu-1", gpus="1"), node("gpu-2", gpus=None)]}))
        elif url.path == "/api/v1/nodes/gpu-2":
            self._answer(json.dumps(node("gpu-2", gpus=None)))
        elif url.path == "/api/v1/pods" and selectors["labelSelector"].endswith("=gpu-check"):
            self._answer(json.dumps({"items": CHECK_PODS}))
        elif url.path == "/api/v1/pods" and selectors["fieldSelector"] == "spec.nodeName=gpu-1":
            self._answer(json.dumps({"items": [PLUGIN_POD]}))
        elif url.path == "/api/v1/pods":
            self._answer(json.dumps({"items": []}))
        elif url.path == "/api/v1/namespaces/nvidia-device-plugin/pods/plugin-x/log":
            self._answer("first\nlast\n", kind="text/plain")
        else:
            self.send_error(404)

    def _answer(self, body: str, *, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose API answers from this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Cluster(kubeconfig=write_kubeconfig(tmp_path, port=server.server_address[1]))
    server.shutdown()
    server.server_close()


def write_kubeconfig(directory: Path, *, port: int) -> Path:
    path = directory / "kubeconfig"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "admin"}}],
        "clusters": [{"name": "lab", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "admin", "user": {}}],
    }
    path.write_text(json.dumps(content))
    return path


def test_nodes_come_with_the_version_that_the_kubelet_reports_and_their_allocatable_gpus(cluster: Cluster) -> None:
    assert cluster.nodes() == {
        "gpu-1": SeenNode(k3s_version=VERSION, ready=True, gpus=1),
        "gpu-2": SeenNode(k3s_version=VERSION, ready=True, gpus=0),
    }


def test_a_check_that_passed_at_the_second_attempt_keeps_what_the_first_said(cluster: Cluster) -> None:
    assert cluster.gpu_checks() == {
        "gpu-1": SeenCheck(exit_code=0, uuids=("GPU-a", "GPU-b"), failed_attempts=("Error: no NVML",))
    }


def test_short_nodes_carry_the_plugins_last_lines_or_why_there_is_no_plugin(cluster: Cluster) -> None:
    nodes = with_plugin_logs(cluster, cluster.nodes(), short={"gpu-1", "gpu-2"})
    assert nodes["gpu-1"].plugin_log == ["first", "last"]
    assert nodes["gpu-2"].plugin_log == [
        "no pod of the device plugin on this node: its label nvidia.com/gpu.present is missing"
    ]


def test_a_cluster_that_is_down_is_said_with_its_kubeconfig(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        port = server.server_address[1]
    down = Cluster(kubeconfig=write_kubeconfig(tmp_path, port=port))
    with pytest.raises(CommandError, match="kubeconfig does not answer"):
        down.nodes()


def test_a_missing_kubeconfig_is_said_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Fix: `make deploy` makes it"):
        Cluster(kubeconfig=tmp_path / "kubeconfig")
