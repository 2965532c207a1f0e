"""A cluster that runs, and something on it breaks: the next deploy says what, and with it mended there is no change."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.lab.faults.command import Ended, deploy, deploy_well
from tests.lab.faults.fault_lab import FleetData, entry, fleet_data, fresh_lab, kubectl, on_node, wait_for, write_fleet
from tests.lab.faults.leaks import assert_no_leak

Record = Callable[[str, object], None]

GPUS_FILE = "/etc/edge-gpu-lab/gpus.conf"
PLUGIN = "nvidia-device-plugin"
LABEL = "nvidia.com/gpu.present"
# A package whose installation is killed as a power cut would: dpkg's journal stays behind.
INTERRUPT_DPKG = """
mkdir -p /root/cut/DEBIAN
printf '%s\\n' 'Package: power-cut' 'Version: 1' 'Architecture: all' 'Maintainer: lab <lab@example.org>' \
    'Description: stands for a power cut while dpkg works' >/root/cut/DEBIAN/control
printf '%s\\n' '#!/bin/sh' 'if [ ! -e /root/cut.done ]; then touch /root/cut.done; kill -9 $PPID; fi' \
    >/root/cut/DEBIAN/postinst
chmod 0755 /root/cut/DEBIAN/postinst
dpkg-deb --build /root/cut /root/cut.deb >/dev/null
dpkg --install /root/cut.deb >/dev/null 2>&1 || :
ls /var/lib/dpkg/updates | grep -q .
"""


@pytest.fixture(scope="module", autouse=True)
def cluster() -> None:
    """A server, three GPU nodes and one whose GPU the fleet file does not have yet, deployed."""
    fresh_lab("server-1=server gpu-1=agent:2 gpu-2=agent:1 gpu-3=agent:1 agent-1=agent:1")
    write_fleet(fleet_without_agent_gpu())
    deploy_well()


def fleet_without_agent_gpu() -> FleetData:
    data = fleet_data()
    entry(data, "agent-1")["gpus"] = 0
    return data


def allocatable(node: str) -> str:
    return kubectl(f"get node {node} -o 'jsonpath={{.status.allocatable.nvidia\\.com/gpu}}'")


def restart_plugin(node: str) -> None:
    """What the kubelet does by itself, after a back-off that grows."""
    kubectl(f"delete pod -n {PLUGIN} --field-selector=spec.nodeName={node} --wait=false")


def offers(node: str, gpus: int) -> None:
    # A node that never had a plugin has no such resource.
    wait_for(lambda: (allocatable(node) or "0") == str(gpus), seconds=120, what=f"{node} to offer {gpus} GPUs")


@dataclass(frozen=True, kw_only=True)
class BrokenGpus:
    """The deploy that met three broken GPU nodes at once, and the one after they were mended."""

    broken: Ended
    mended: Ended

    def assert_named(self, node: str, *, expected: int, seen: int) -> None:
        assert self.broken.code == 1
        assert f"Node {node}: expected {expected} nvidia.com/gpu allocatable, seen {seen}" in self.broken.told
        assert re.search(rf"PROBLEM +{node} offers {seen} nvidia.com/gpu; expected {expected}", self.broken.output)

    def seconds_to_recover(self) -> float:
        assert self.mended.code == 0, self.mended.output
        assert "No changes. Your infrastructure matches the configuration." in self.mended.output
        return self.mended.seconds


@pytest.fixture(scope="module")
def gpus() -> BrokenGpus:
    """gpu-1 loses a GPU, gpu-2 its label, gpu-3 its driver, so that the plugin there crashes."""
    on_node("gpu-1", f"cp {GPUS_FILE} /root/gpus.conf; grep -v ^1 /root/gpus.conf >{GPUS_FILE}")
    on_node("gpu-3", f"mv {GPUS_FILE} /root/gpus.conf")
    kubectl(f"label node gpu-2 {LABEL}-")
    restart_plugin("gpu-1")
    restart_plugin("gpu-3")
    offers("gpu-1", 1)
    offers("gpu-2", 0)
    offers("gpu-3", 0)
    broken = deploy()
    on_node("gpu-1", f"cp /root/gpus.conf {GPUS_FILE}")
    on_node("gpu-3", f"mv /root/gpus.conf {GPUS_FILE}")
    kubectl(f"label node gpu-2 {LABEL}=true")
    restart_plugin("gpu-1")
    restart_plugin("gpu-3")
    offers("gpu-1", 2)
    offers("gpu-2", 1)
    offers("gpu-3", 1)
    return BrokenGpus(broken=broken, mended=deploy())


@pytest.mark.fault("GPU gone after deploy")
def test_a_lost_gpu_is_named_with_what_is_expected_and_seen(gpus: BrokenGpus, record_property: Record) -> None:
    gpus.assert_named("gpu-1", expected=2, seen=1)
    assert "run nvidia-smi there" in gpus.broken.told
    record_property("seconds", gpus.seconds_to_recover())


@pytest.mark.fault("label removed")
def test_a_lost_label_is_named_with_the_command_that_restores_it(gpus: BrokenGpus, record_property: Record) -> None:
    gpus.assert_named("gpu-2", expected=1, seen=0)
    assert f"Its label {LABEL} is missing" in gpus.broken.told
    assert f"kubectl label node gpu-2 {LABEL}=true" in gpus.broken.told
    record_property("seconds", gpus.seconds_to_recover())


@pytest.mark.fault("device plugin crash-looping")
def test_a_crashing_plugin_is_shown_with_its_last_lines(gpus: BrokenGpus, record_property: Record) -> None:
    gpus.assert_named("gpu-3", expected=1, seen=0)
    assert "The device plugin's last lines on gpu-3:" in gpus.broken.output
    assert "error starting plugins" in gpus.broken.told
    record_property("seconds", gpus.seconds_to_recover())


@pytest.mark.fault("RuntimeClass deleted")
def test_a_deleted_runtime_class_is_named_with_the_command_that_restores_it(record_property: Record) -> None:
    kubectl("delete runtimeclass nvidia")
    broken = deploy()
    assert broken.code == 1
    assert "RuntimeClass nvidia: missing on the cluster" in broken.told
    (fix,) = set(re.findall(r"Fix: on a server run (k3s kubectl apply -f \S+)", broken.told))
    on_node("server-1", fix)
    mended = deploy_well()
    assert "No changes. Your infrastructure matches the configuration." in mended.output
    record_property("seconds", mended.seconds)


@pytest.mark.fault("changed host key")
def test_a_host_key_that_changed_stops_only_that_machine(record_property: Record) -> None:
    data = fleet_without_agent_gpu()
    entry(data, "agent-1")["labels"] = {"site": "north"}
    entry(data, "gpu-2")["labels"] = {"site": "south"}
    write_fleet(data)
    on_node("agent-1", "cp -a /etc/ssh /root/ssh; rm /etc/ssh/ssh_host_ecdsa_key*; ssh-keygen -q -N '' -t ecdsa "
            "-f /etc/ssh/ssh_host_ecdsa_key; systemctl restart ssh")  # fmt: skip
    refused = deploy()
    assert refused.code == 1
    assert "agent-1: its SSH host key is not the fleet file's; nothing was sent (step k3s)" in refused.told
    assert "fix: read the key on the machine itself" in refused.told
    assert "cluster/gpu-2/node/k3s/run: Creation complete" in refused.output
    on_node("agent-1", "cp -a /root/ssh/. /etc/ssh/; systemctl restart ssh")
    ended = deploy_well()
    record_property("seconds", ended.seconds)
    assert_no_leak({"refused": refused.output, "then": ended.output}, nodes=["server-1", "gpu-2", "agent-1"])


@pytest.fixture(scope="module")
def late_gpu() -> Ended:
    """The deploy that first hears of agent-1's GPU; its K3s runs, and a power cut interrupted its dpkg."""
    on_node("agent-1", INTERRUPT_DPKG)
    write_fleet(fleet_data())
    return deploy_well()


@pytest.mark.fault("K3s installed before the toolkit")
def test_a_node_that_had_k3s_first_gets_the_nvidia_runtime(late_gpu: Ended, record_property: Record) -> None:
    assert allocatable("agent-1") == "1"
    assert "gpu-check/agent-1/job: Creation complete" in late_gpu.output
    again = deploy_well()
    assert "No changes. Your infrastructure matches the configuration." in again.output
    record_property("seconds", late_gpu.seconds_until(r"gpu-check/agent-1/job: Creation complete"))
    assert_no_leak({"deploy": late_gpu.output}, nodes=["server-1", "agent-1"])


@pytest.mark.fault("dpkg interrupted")
def test_an_interrupted_dpkg_is_finished_first(late_gpu: Ended, record_property: Record) -> None:
    assert "agent-1 toolkit: dpkg was interrupted: finishing it" in late_gpu.told
    assert on_node("agent-1", "dpkg-query -W -f '${db:Status-Status}' power-cut") == "installed"
    record_property("seconds", late_gpu.seconds_until(r"cluster/agent-1/machine/toolkit/run: Creation complete"))
