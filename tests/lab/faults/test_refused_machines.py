"""Machines that cannot be reached or used as they are: each fails alone in one first deploy, and says what to do."""

from __future__ import annotations

import re

import pytest

from tests.lab.faults.command import deploy, edge_gpu
from tests.lab.faults.conftest import Recovered
from tests.lab.faults.fault_lab import (
    container,
    docker,
    fleet_data,
    fresh_lab,
    on_node,
    ready_nodes,
    restart_node,
    write_fleet,
)
from tests.lab.faults.leaks import assert_no_leak
from tests.lab.faults.two_deploys import TwoDeploys

LAB = "server-1=server:1 agent-1=agent agent-2=agent agent-3=agent agent-4=agent"
DATE_AHEAD = "/usr/local/sbin/date"
DATE_SCRIPT = "#!/bin/sh\nexec /usr/bin/date -d '+10 minutes' \"$@\"\n"
K3D_TEMPLATE = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl"
OLD_TEMPLATE = '[plugins.linux]\n  runtime = "io.containerd.runtime.v1.linux"\n'


@pytest.fixture(scope="module")
def deploys() -> TwoDeploys:
    """All faults in the first deploy, none in the second; agent-4 has many, and is told all of them at once."""
    fresh_lab(LAB)
    write_fleet(fleet_data())
    docker("stop", "--time", "5", container("agent-1"))
    on_node("agent-2", "iptables -w -I INPUT -p tcp --dport 22 -j DROP")
    on_node("agent-3", "mv /etc/sudoers.d/edge /root/sudoers")
    on_node("agent-4", "echo '[Service]' >/etc/systemd/system/k3s-agent.service")
    on_node("agent-4", "mount -t tmpfs -o size=300m tmpfs /var/lib/rancher")
    on_node("agent-4", f"mkdir -p $(dirname {K3D_TEMPLATE}); cat >{K3D_TEMPLATE}", stdin=OLD_TEMPLATE)
    # A clock of its own is what a container cannot have: this `date` stands for one that is ahead.
    on_node("agent-4", f"cat >{DATE_AHEAD} && chmod 0755 {DATE_AHEAD}", stdin=DATE_SCRIPT)
    on_node("agent-4", "hostname agent-3")
    first = edge_gpu("deploy").end()
    ready = ready_nodes()
    restart_node("agent-1")
    on_node("agent-2", "iptables -w -D INPUT -p tcp --dport 22 -j DROP")
    on_node("agent-3", "mv /root/sudoers /etc/sudoers.d/edge")
    on_node("agent-4", f"rm {DATE_AHEAD}; hostname agent-4")
    on_node("agent-4", "umount /var/lib/rancher; rm /etc/systemd/system/k3s-agent.service")
    return TwoDeploys(first=first, ready_after_first=ready, second=deploy())


@pytest.mark.fault("node unreachable at the start")
def test_a_machine_that_is_off_fails_alone(deploys: TwoDeploys, recovered: Recovered) -> None:
    deploys.assert_failed_alone("agent-1")
    assert re.search(r"with terraform_data.cluster_agent-1_machine_preflight_run\S* ", deploys.first.told)
    assert "agent-1: no SSH connection" in deploys.first.told
    assert "fix: is the machine on" in deploys.first.told
    assert "PROBLEM agent-1 failed in phase preflight:" in deploys.first.told
    assert "fine server-1" in deploys.first.told
    recovered("agent-1")


@pytest.mark.fault("connection hanging (packets dropped)")
def test_a_machine_that_drops_packets_is_given_up_on(deploys: TwoDeploys, recovered: Recovered) -> None:
    deploys.assert_failed_alone("agent-2")
    assert "agent-2: no SSH connection" in deploys.first.told
    recovered("agent-2")


@pytest.mark.fault("no sudo")
def test_a_user_without_sudo_is_told_the_line_to_add(deploys: TwoDeploys, recovered: Recovered) -> None:
    deploys.assert_failed_alone("agent-3")
    assert "node=agent-3 step=preflight: edge may not use sudo without a password" in deploys.first.told
    assert "fix: add 'edge ALL=(ALL) NOPASSWD: ALL' to a file in /etc/sudoers.d" in deploys.first.told
    recovered("agent-3")


@pytest.mark.fault("foreign K3s on the node")
def test_a_k3s_of_somebody_else_is_left_alone_and_named(deploys: TwoDeploys, recovered: Recovered) -> None:
    deploys.assert_failed_alone("agent-4")
    said = deploys.first.told
    assert "node=agent-4 step=preflight: K3s is here already, installed by something else" in said
    assert "cause: /etc/systemd/system/k3s-agent.service is not ours" in said
    assert "fix: if it may go: /usr/local/bin/k3s-uninstall.sh" in said
    recovered("agent-4")


@pytest.mark.fault("the old k3d config.toml.tmpl in place")
def test_an_old_containerd_template_is_told_with_all_else_of_its_machine(
    deploys: TwoDeploys, recovered: Recovered
) -> None:
    deploys.assert_failed_alone("agent-4")
    said = deploys.first.told
    assert "node=agent-4 step=preflight: a containerd template overrides the runtimes that K3s finds" in said
    assert f"cause: {K3D_TEMPLATE} is the one that old k3d guides download" in said
    assert "fix: move it away: K3s finds the nvidia runtime by itself" in said
    recovered("agent-4")


@pytest.mark.fault("disk full")
def test_a_full_disk_is_told_with_what_is_free_and_what_is_wanted(deploys: TwoDeploys, recovered: Recovered) -> None:
    deploys.assert_failed_alone("agent-4")
    assert re.search(r"node=agent-4 step=preflight: .*?\b\d+ MiB (are )?free", deploys.first.told)
    assert "fix: free space there or mount a larger disk at /var/lib/rancher" in deploys.first.told
    recovered("agent-4")


@pytest.mark.fault("clock off by 10 minutes")
def test_a_wrong_clock_is_told_by_how_much(deploys: TwoDeploys, recovered: Recovered) -> None:
    deploys.assert_failed_alone("agent-4")
    found = re.search(r"node=agent-4 step=preflight: the clock is (\d+) s ahead of the operator's", deploys.first.told)
    assert found
    assert 590 <= int(found[1]) <= 660
    assert "fix: set the clock and keep it set: timedatectl set-ntp true" in deploys.first.told
    recovered("agent-4")


@pytest.mark.fault("duplicate host name")
def test_another_nodes_host_name_is_refused(deploys: TwoDeploys, recovered: Recovered) -> None:
    deploys.assert_failed_alone("agent-4")
    said = "node=agent-4 step=preflight: this machine's host name is agent-3, which is another node of the fleet"
    assert said in deploys.first.told
    assert "hostnamectl set-hostname agent-4" in deploys.first.told
    recovered("agent-4")


def test_all_of_them_leave_no_secret_behind(deploys: TwoDeploys) -> None:
    assert_no_leak(deploys.outputs, nodes=["server-1", "agent-4"])
