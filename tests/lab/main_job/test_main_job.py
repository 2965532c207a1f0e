"""The main job on real K3s nodes, in the order a user meets it: deploy, deploy again, lose a label, destroy."""

from __future__ import annotations

import json
import subprocess

import pytest

from scripts.checkout import ROOT, STACK_DIRECTORY
from stacks.fleet import Fleet
from tests.lab.canaries import canaries
from tests.lab.main_job.conftest import EDGE, Run, edge_gpu, gpu_report, kubectl, main_pid, on_node, run

pytestmark = pytest.mark.usefixtures("deployed")


def gpus_of(node: str) -> list[str]:
    """UUIDs of the GPUs a node has, as its driver lists them outside of any container."""
    return sorted(on_node(node, "nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader").split())


def test_every_node_is_ready_at_the_fleets_version(fleet: Fleet) -> None:
    nodes = {node["metadata"]["name"]: node for node in kubectl("get", "nodes")["items"]}
    assert sorted(nodes) == sorted(node.name for node in fleet.nodes)
    for node in nodes.values():
        assert node["status"]["nodeInfo"]["kubeletVersion"] == fleet.k3s.version
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"


def test_the_table_shows_each_nodes_gpus_and_the_verdict(fleet: Fleet, deployed: Run) -> None:
    table = deployed.output.split("Apply complete!")[-1]
    for node in fleet.nodes:
        (line,) = [line for line in table.splitlines() if line.strip().startswith(node.name)]
        assert fleet.k3s.version in line
        for uuid in gpus_of(node.name) if node.gpus else []:
            assert uuid in table


def test_the_check_saw_the_gpus_of_its_own_node_and_no_other(fleet: Fleet) -> None:
    report = gpu_report()
    assert sorted(report) == sorted(node.name for node in fleet.nodes if node.gpus)
    seen: list[str] = []
    for name, entry in report.items():
        assert entry["exit_code"] == 0
        assert sorted(entry["uuids"]) == gpus_of(name)
        assert len(entry["uuids"]) == entry["expected"]
        seen += entry["uuids"]
    assert len(seen) == len(set(seen))


def test_the_checks_pods_ran_on_the_nvidia_runtime_with_their_gpus_allocated(fleet: Fleet) -> None:
    pods = kubectl("get", "pods", "-n", "gpu-check")["items"]
    succeeded = {pod["spec"]["nodeName"]: pod for pod in pods if pod["status"]["phase"] == "Succeeded"}
    for node in (node for node in fleet.nodes if node.gpus):
        pod = succeeded[node.name]
        assert pod["spec"]["runtimeClassName"] == "nvidia"
        assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == str(node.gpus)
        config = on_node(node.name, "cat", "/var/lib/rancher/k3s/agent/etc/containerd/config.toml")
        assert "/usr/bin/nvidia-container-runtime" in config


def test_a_second_deploy_changes_nothing_and_restarts_nothing(fleet: Fleet) -> None:
    before = {node.name: main_pid(node.name) for node in fleet.nodes}
    again = edge_gpu("deploy")
    assert again.code == 0, again.output
    assert "No changes. Your infrastructure matches the configuration." in again.output
    assert {node.name: main_pid(node.name) for node in fleet.nodes} == before


def test_a_plain_cdktf_diff_in_the_environment_of_make_sees_no_change() -> None:
    shown = run(["cdktf", "diff", "edge-gpu", "--no-color"])
    assert shown.code == 0, shown.output
    assert "No changes. Your infrastructure matches the configuration." in shown.output


def test_no_secret_is_in_state_plan_synthesized_code_or_logs(deployed: Run) -> None:
    plan = run(["terraform", f"-chdir={STACK_DIRECTORY}", "plan", "-input=false", "-out=canary.plan"])
    assert plan.code == 0, plan.output
    shown = run(["terraform", f"-chdir={STACK_DIRECTORY}", "show", "-json", "canary.plan"])
    texts = {"deploy's output": deployed.output, "plan": plan.output, "plan as JSON": shown.output}
    places = [EDGE / "terraform.tfstate", *STACK_DIRECTORY.glob("*.json"), *(ROOT / "build" / "log").rglob("*.log")]
    texts |= {str(path): path.read_text(errors="replace") for path in places}
    (STACK_DIRECTORY / "canary.plan").unlink()
    for secret, canary in canaries(EDGE).items():
        for place, text in texts.items():
            assert canary not in text, f"{secret} is in {place}"


def readable_by_anybody(node: str, words: list[str]) -> list[str]:
    """Files of a node, and arguments and environments of its processes, in which user `nobody` finds a canary."""
    # /proc is searched apart: of a process another user reads its arguments, and some other files have no end.
    search = (
        "cat >/tmp/canaries; cd /; grep -rlFs -f /tmp/canaries --exclude=canaries --devices=skip "
        "bin boot etc home lib* media mnt opt root run sbin srv tmp usr var; "
        "grep -lFs -f /tmp/canaries /proc/[0-9]*/cmdline /proc/[0-9]*/environ; rm /tmp/canaries"
    )
    done = subprocess.run(
        ["docker", "exec", "-i", "-u", "nobody", f"edge-gpu-lab-{node}", "sh", "-c", search],
        input="\n".join(words) + "\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_no_secret_can_be_read_by_another_user_of_a_node(fleet: Fleet) -> None:
    secrets = canaries(EDGE)
    for node in fleet.nodes:
        assert "usr/lib/os-release" in readable_by_anybody(node.name, ["Debian GNU/Linux"]), "the search finds nothing"
        assert readable_by_anybody(node.name, list(secrets.values())) == []
        journal = on_node(node.name, "journalctl", "--no-pager", "-o", "cat")
        for secret, canary in secrets.items():
            assert canary not in journal, f"{secret} is in the journal of {node.name}"


def test_secrets_lie_on_the_operators_side_only_for_the_operator() -> None:
    for path in EDGE.rglob("*"):
        if path.name in ("token", "agent-token", "kubeconfig") or path.suffix == ".key":
            assert path.stat().st_mode & 0o077 == 0, path
            assert path.parent.stat().st_mode & 0o077 == 0, path.parent


def test_nothing_secret_is_left_where_steps_are_uploaded(fleet: Fleet) -> None:
    for node in fleet.nodes:
        listed = on_node(node.name, "sh", "-c", "ls -A /home/edge/.edge-gpu; stat -c %a /home/edge/.edge-gpu")
        assert "secrets" not in listed
        assert listed.split()[-1] == "700"


def test_destroy_leaves_no_k3s_and_the_next_deploy_works(fleet: Fleet) -> None:
    gone = edge_gpu("destroy")
    assert gone.code == 0, gone.output
    state = json.loads((EDGE / "terraform.tfstate").read_text())
    assert state["resources"] == []
    for node in fleet.nodes:
        left = on_node(
            node.name, "sh", "-c",
            "ls -d /usr/local/bin/k3s /etc/systemd/system/k3s*.service /etc/rancher/k3s/config.yaml /run/k3s 2>&-;"
            "find /var/lib/rancher/k3s /var/lib/kubelet -type f; ps -eo comm= | grep -E 'k3s|containerd';"
            "grep k3s /proc/self/mounts",
            check=False,
        )  # fmt: skip
        assert left == "", f"{node.name}: {left}"
    again = edge_gpu("deploy")
    assert again.code == 0, again.output
    assert all(entry["exit_code"] == 0 for entry in gpu_report().values())
