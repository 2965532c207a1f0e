"""The lab itself, on a small one of its own beside the lab that the other tests deploy to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import yaml
from docker.errors import NotFound
from docker.types import EndpointConfig

from lab.nodes import ssh_answers
from lab.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    **os.environ,
    "LAB_NAME": "edge-gpu-lab-test",
    "LAB_SUBNET": "172.30.251.0/24",
    "LAB_NODES": "server-1=server gpu-1=agent:2",
}
SETTINGS = load_settings(ENVIRONMENT)
NODES = ("server-1", "gpu-1")
UP_LIMIT_SECONDS = 1800
# What systemd, K3s and the kubelet would set on a machine that is theirs.
HOST_SYSCTLS = (
    "fs/file-max", "fs/nr_open", "fs/protected_regular", "fs/protected_symlinks", "kernel/panic", "kernel/core_pattern",
    "kernel/panic_on_oops", "kernel/pid_max", "kernel/keys/root_maxkeys", "vm/overcommit_memory", "vm/panic_on_oom",
    "net/ipv4/conf/all/rp_filter", "net/ipv4/conf/default/rp_filter",
)  # fmt: skip


def lab(*arguments: str, stdin: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m lab` for the tests' own lab."""
    return subprocess.run(
        [sys.executable, "-m", "lab", *arguments],
        cwd=ROOT,
        env={**ENVIRONMENT, **variables},
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=UP_LIMIT_SECONDS,
        check=False,
    )


def up(**variables: str) -> subprocess.CompletedProcess[str]:
    done = lab("up", **variables)
    assert done.returncode == 0, done.stderr
    return done


def on_node(node: str, *argv: str) -> str:
    done = lab("exec", node, "--", *argv)
    assert done.returncode == 0, f"{node}: {argv}: {done.stdout}{done.stderr}"
    return done.stdout


def ssh(node: str, command: str, *, user: str = "edge") -> subprocess.CompletedProcess[str]:
    """Log in as Terraform does: with the lab's key, and the host key that the fleet file pins."""
    fleet = yaml.safe_load(SETTINGS.fleet_file.read_text())
    (entry,) = (entry for entry in fleet["nodes"] if entry["name"] == node)
    known_hosts = ROOT / "build" / "edge-gpu-lab-test-known-hosts"
    known_hosts.write_text(f"{entry['address']} {entry['host_key']}\n")
    return subprocess.run(
        [
            "ssh", "-F", "none", "-i", str(SETTINGS.private_key), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
            "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known_hosts}", "-o", "ConnectTimeout=10",
            f"{user}@{entry['address']}", command,
        ],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def container_ids() -> dict[str, str]:
    listed = subprocess.run(
        ["docker", "ps", "-a", "--no-trunc", "--filter", f"label=edge-gpu-lab.lab={SETTINGS.name}", "--format",
         "{{.Names}} {{.ID}}"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return dict(line.split() for line in listed.stdout.splitlines())


def host_sysctls() -> dict[str, str]:
    return {name: Path("/proc/sys", name).read_text() for name in HOST_SYSCTLS if Path("/proc/sys", name).exists()}


@pytest.fixture(scope="module")
def sysctls_before() -> dict[str, str]:
    return host_sysctls()


@pytest.fixture(scope="module")
def engine(sysctls_before: dict[str, str]) -> Iterator[docker.DockerClient]:
    """The tests' lab, brought up from nothing; removed at the end."""
    assert sysctls_before
    gone = lab("down")
    assert gone.returncode == 0, gone.stderr
    up()
    client = docker.from_env()
    yield client
    client.close()
    assert lab("down").returncode == 0
    for leftover in (SETTINGS.fleet_file, SETTINGS.parts_file, ROOT / "build" / "edge-gpu-lab-test-known-hosts"):
        leftover.unlink(missing_ok=True)


@pytest.mark.usefixtures("engine")
class TestARunningLab:
    """What a node is."""

    def test_a_user_without_roots_password_logs_in_by_key_and_may_become_root(self) -> None:
        seen = ssh("gpu-1", "whoami; sudo -n whoami; hostname")
        assert seen.stdout.split() == ["edge", "root", "gpu-1"], seen.stderr

    def test_root_cannot_log_in(self) -> None:
        on_node("gpu-1", "sh", "-c", "install -d -m 0700 /root/.ssh && cp /home/edge/.ssh/authorized_keys /root/.ssh/")
        refused = ssh("gpu-1", "true", user="root")
        on_node("gpu-1", "rm", "-r", "/root/.ssh")
        assert (refused.returncode, "Permission denied" in refused.stderr) == (255, True)

    def test_systemd_runs_it_and_no_unit_failed(self) -> None:
        for node in NODES:
            assert on_node(node, "cat", "/proc/1/comm") == "systemd\n"
            assert on_node(node, "systemctl", "list-units", "--failed", "--no-legend") == ""

    def test_it_is_a_bare_machine_without_k3s_toolkit_or_runc(self) -> None:
        look = "command -v k3s runc containerd nvidia-container-runtime nvidia-ctk || true"
        for node in NODES:
            assert on_node(node, "sh", "-c", look) == ""

    def test_only_gpu_nodes_have_a_driver_and_it_says_that_it_is_a_stand_in(self) -> None:
        assert on_node("gpu-1", "nvidia-smi", "-L").count("Stand-in") == 2
        assert lab("exec", "server-1", "--", "sh", "-c", "command -v nvidia-smi").returncode != 0

    def test_no_two_nodes_have_the_same_identity(self) -> None:
        for file in ("/etc/machine-id", "/etc/ssh/ssh_host_ecdsa_key.pub", "/etc/ssh/ssh_host_ed25519_key.pub"):
            assert len({on_node(node, "cat", file) for node in NODES}) == len(NODES)

    def test_its_cgroups_are_a_tree_of_its_own_that_it_may_write(self) -> None:
        groups = on_node("gpu-1", "cat", "/proc/1/cgroup").split()
        assert {group.rsplit(":", 1)[1] for group in groups} <= {"/", "/init.scope"}
        group = "$(awk '$3 ~ /^cgroup2?$/ {print $2; exit}' /proc/self/mounts)/of-a-test"
        on_node("gpu-1", "sh", "-c", f"mkdir {group} && rmdir {group}")

    def test_the_hosts_sysctls_are_what_they_were_and_cannot_be_written(self, sysctls_before: dict[str, str]) -> None:
        assert host_sysctls() == sysctls_before
        for name in ("kernel/panic_on_warn", "vm/swappiness", "fs/file-max"):
            assert lab("exec", "gpu-1", "--", "sh", "-c", f"echo 1 >/proc/sys/{name}").returncode != 0
        assert host_sysctls() == sysctls_before
        assert on_node("gpu-1", "cat", "/proc/sys/vm/overcommit_memory") == "1\n"
        on_node("gpu-1", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")

    def test_every_node_has_a_pod_network_of_its_own_and_a_route_to_all_others(self) -> None:
        for node, own, other in (("server-1", 11, 12), ("gpu-1", 12, 11)):
            conflist = json.loads(on_node(node, "cat", "/etc/cni/net.d/10-edge-gpu-lab.conflist"))
            assert conflist["plugins"][0]["ipam"]["ranges"] == [[{"subnet": f"10.42.{own}.0/24"}]]
            route = on_node(node, "ip", "route", "get", f"10.42.{other}.2")
            assert f"via 172.30.251.{other} dev eth0" in route

    def test_it_reaches_the_site_mirror_which_serves_k3s_under_its_encoded_version(self) -> None:
        fleet = yaml.safe_load(SETTINGS.fleet_file.read_text())
        url = f"{fleet['k3s']['artifact_url']}/{fleet['k3s']['version'].replace('+', '%2B')}/k3s"
        seen = on_node("gpu-1", "sh", "-c", f"curl -sSf {url} | sha256sum")
        assert seen.split()[0] == fleet["k3s"]["sha256"]["amd64"]
        for archive in fleet["k3s"]["image_archives"]:
            assert on_node("gpu-1", "curl", "-sSf", f"{archive['url']}.sha256").split()[0] == archive["sha256"]

    def test_exec_passes_input_output_and_exit_code_on(self) -> None:
        done = lab("exec", "gpu-1", "--", "sh", "-c", "cat; echo oops >&2; exit 7", stdin="through\n")
        assert (done.stdout, done.stderr, done.returncode) == ("through\n", "oops\n", 7)

    def test_exec_on_an_unknown_node_names_the_known_ones(self) -> None:
        done = lab("exec", "gpu-9", "--", "true")
        assert done.returncode == 1
        assert "no node 'gpu-9' runs; running are: gpu-1, server-1, site" in done.stderr

    def test_status_tells_every_node_and_of_every_part_whether_it_is_real(self) -> None:
        told = json.loads(lab("status", "--json").stdout)
        assert [(node["name"], node["state"], node["ssh"], node["k3s"]) for node in told["containers"]] == [
            ("site", "running", False, ""),
            ("server-1", "running", True, ""),
            ("gpu-1", "running", True, ""),
        ]
        kinds = {part["name"]: part["kind"] for part in told["parts"]}
        assert kinds["k3s"] == kinds["node (Debian)"] == kinds["Docker engine"] == "real"
        assert [kind for name, kind in kinds.items() if name.startswith("NVIDIA driver")] == ["stand-in"]


@pytest.mark.usefixtures("engine")
class TestBringingUp:
    """What `lab up` does to a lab that is there in part."""

    def test_a_second_one_leaves_everything_as_it_is(self) -> None:
        before, fleet = container_ids(), SETTINGS.fleet_file.stat()
        started = time.monotonic()
        done = up()
        assert time.monotonic() - started < 30
        assert container_ids() == before
        assert SETTINGS.fleet_file.stat().st_mtime_ns == fleet.st_mtime_ns
        assert done.stderr.count("left as it is") == len(NODES)

    def test_a_stopped_node_is_started_with_its_disks_and_host_key(self, engine: docker.DockerClient) -> None:
        before, key = container_ids(), on_node("gpu-1", "cat", "/etc/ssh/ssh_host_ecdsa_key.pub")
        on_node("gpu-1", "touch", "/var/lib/rancher/kept")
        engine.containers.get("edge-gpu-lab-test-gpu-1").stop(timeout=20)
        engine.containers.get("edge-gpu-lab-test-site").stop(timeout=1)
        assert "gpu-1 at 172.30.251.12 started" in up().stderr
        assert container_ids() == before
        assert on_node("gpu-1", "cat", "/etc/ssh/ssh_host_ecdsa_key.pub") == key
        on_node("gpu-1", "test", "-e", "/var/lib/rancher/kept")
        assert ssh("gpu-1", "true").returncode == 0

    def test_a_node_that_reboots_comes_back_by_itself(self) -> None:
        on_node("gpu-1", "touch", "/run/gone-after-a-reboot")
        ssh("gpu-1", "sudo systemctl reboot")
        deadline = time.monotonic() + 30
        while lab("exec", "gpu-1", "--", "test", "!", "-e", "/run/gone-after-a-reboot").returncode != 0:
            assert time.monotonic() < deadline, "it did not reboot"
            time.sleep(0.2)
        while not ssh_answers("172.30.251.12"):
            assert time.monotonic() < deadline, "its sshd did not come back"
            time.sleep(0.2)
        assert on_node("gpu-1", "nvidia-smi", "-L").count("GPU-") == 2

    def test_a_removed_node_comes_back_bare_and_the_fleet_file_follows(self, engine: docker.DockerClient) -> None:
        before, fleet = container_ids(), SETTINGS.fleet_file.read_text()
        on_node("gpu-1", "touch", "/var/lib/rancher/gone")
        engine.containers.get("edge-gpu-lab-test-gpu-1").remove(force=True)
        up()
        after = container_ids()
        assert [name for name in after if after[name] != before[name]] == ["edge-gpu-lab-test-gpu-1"]
        on_node("gpu-1", "test", "!", "-e", "/var/lib/rancher/gone")
        assert SETTINGS.fleet_file.read_text() != fleet
        assert ssh("gpu-1", "true").returncode == 0

    def test_one_that_was_killed_half_way_is_finished_by_the_next(self, engine: docker.DockerClient) -> None:
        engine.containers.get("edge-gpu-lab-test-gpu-1").remove(force=True)
        engine.containers.get("edge-gpu-lab-test-server-1").remove(force=True)
        interrupted = subprocess.Popen(
            [sys.executable, "-m", "lab", "up"], cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while len(container_ids()) < 2:
            assert time.monotonic() < deadline, "no container was made"
            time.sleep(0.02)
        interrupted.send_signal(signal.SIGKILL)
        interrupted.wait()
        up()
        for node in NODES:
            assert ssh(node, "true").returncode == 0
        assert on_node("gpu-1", "nvidia-smi", "-L").count("GPU-") == 2

    def test_a_container_that_never_started_is_replaced_with_that_reason(self, engine: docker.DockerClient) -> None:
        name = "edge-gpu-lab-test-gpu-1"
        node = engine.containers.get(name)
        image, labels = node.image, node.labels
        assert image is not None
        node.remove(force=True)
        engine.containers.create(image, name=name, labels=labels, network=SETTINGS.name)
        assert "gpu-1 at 172.30.251.12 replaced: an earlier run did not finish it" in up().stderr
        assert ssh("gpu-1", "true").returncode == 0

    def test_an_ssh_key_made_anew_opens_the_nodes_that_are_there(self) -> None:
        before = container_ids()
        on_node("gpu-1", "sh", "-c", "echo 'ssh-ed25519 AAAA other' >/home/edge/.ssh/authorized_keys")
        assert ssh("gpu-1", "true").returncode == 255
        up()
        assert container_ids() == before
        assert ssh("gpu-1", "true").returncode == 0

    def test_a_further_node_is_added_beside_the_others(self, engine: docker.DockerClient) -> None:
        before = container_ids()
        up(LAB_NODES="server-1=server gpu-1=agent:2 server-2=server")
        after = container_ids()
        assert {name for name in after if name not in before} == {"edge-gpu-lab-test-server-2"}
        assert {name: after[name] for name in before} == before
        assert "server-2 is a node of an earlier run" in up().stderr
        engine.containers.get("edge-gpu-lab-test-server-2").remove(force=True)

    def test_two_at_once_take_turns(self, engine: docker.DockerClient) -> None:
        engine.containers.get("edge-gpu-lab-test-gpu-1").remove(force=True)
        command = [sys.executable, "-m", "lab", "up"]
        running = [
            subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) for _ in range(2)
        ]
        said = [process.communicate(timeout=120)[1] for process in running]
        assert [process.returncode for process in running] == [0, 0], said
        assert sorted("gpu-1 at 172.30.251.12 created" in text for text in said) == [False, True]


@pytest.mark.usefixtures("engine")
class TestRefusals:
    """What stops `lab up`, and that nothing is lost by it."""

    def test_a_subnet_in_use_is_refused_with_one_that_is_free(self, engine: docker.DockerClient) -> None:
        before = container_ids()
        refused = lab("up", LAB_NAME="edge-gpu-lab-test-2")
        assert refused.returncode == 1
        assert "subnet 172.30.251.0/24 is in use: Docker network edge-gpu-lab-test (172.30.251.0/24)" in refused.stderr
        assert re.search(r"LAB_SUBNET=172\.\d+\.\d+\.0/24", refused.stderr)
        assert container_ids() == before
        with pytest.raises(NotFound):
            engine.networks.get("edge-gpu-lab-test-2")

    def test_another_subnet_for_a_lab_that_is_there_is_refused(self) -> None:
        refused = lab("up", LAB_SUBNET="172.30.252.0/24")
        assert refused.returncode == 1
        assert "exists with 172.30.251.0/24, wanted is 172.30.252.0/24" in refused.stderr

    def test_a_taken_address_is_refused_with_its_holder(self, engine: docker.DockerClient) -> None:
        engine.containers.get("edge-gpu-lab-test-gpu-1").remove(force=True)
        site = engine.containers.get("edge-gpu-lab-test-site").image
        assert site is not None
        # On the lab's network from the start: the engine's own bridge has nothing to do with it.
        address = EndpointConfig(engine.api.api_version, ipv4_address="172.30.251.12")
        holder = engine.containers.create(
            site,
            name="edge-gpu-lab-test-intruder",
            network=SETTINGS.name,
            networking_config={SETTINGS.name: address},
        )
        try:
            holder.start()
            refused = lab("up")
            assert refused.returncode == 1
            assert "its address 172.30.251.12 is in use by container edge-gpu-lab-test-intruder" in refused.stderr
        finally:
            holder.remove(force=True)
        up()
        assert ssh("gpu-1", "true").returncode == 0


@pytest.mark.usefixtures("engine")
class TestTakingDown:
    """What `lab down` leaves; last in this file, because it takes the lab away."""

    def test_it_removes_containers_disks_and_network_of_its_own_lab_only(self, engine: docker.DockerClient) -> None:
        others = {name for name in (network.name for network in engine.networks.list()) if name != SETTINGS.name}
        done = lab("down")
        assert done.returncode == 0, done.stderr
        assert container_ids() == {}
        assert engine.volumes.list(filters={"label": f"edge-gpu-lab.lab={SETTINGS.name}"}) == []
        assert {network.name for network in engine.networks.list()} == others
        assert SETTINGS.private_key.exists()
        assert json.loads(lab("status", "--json").stdout)["containers"][1]["state"] == "missing"

    def test_a_second_one_has_nothing_to_do(self) -> None:
        done = lab("down")
        assert done.returncode == 0, done.stderr
        assert "0 containers removed" in done.stdout
