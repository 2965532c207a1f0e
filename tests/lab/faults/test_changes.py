"""Changes of a running cluster that go wrong: a bad option, other tokens, a machine that is off or comes back empty."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import pytest

from tests.lab.canaries import canaries
from tests.lab.faults.command import Command, deploy, deploy_well, edge_gpu
from tests.lab.faults.fault_lab import (
    EDGE,
    FLEET_FILE,
    container,
    docker,
    entry,
    fleet_data,
    fresh_lab,
    lab,
    on_node,
    only,
    ready_nodes,
    wait_for,
    write_fleet,
)
from tests.lab.faults.leaks import assert_no_leak

Record = Callable[[str, object], None]
LAB = "server-1=server agent-1=agent agent-2=agent"
NODES = ("server-1", "agent-1", "agent-2")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> None:
    """A server and two agents without GPUs, deployed."""
    fresh_lab(LAB)
    write_fleet(fleet_data())
    deploy_well()


@pytest.mark.fault("bad K3s option (config rolled back)")
def test_an_option_that_k3s_does_not_know_is_taken_back(record_property: Record) -> None:
    data = fleet_data()
    data["k3s"] = {**data["k3s"], "config": {"kubelet-arg": ["no-such-option=1"]}}
    write_fleet(data)
    config = on_node("server-1", "cat /etc/rancher/k3s/config.yaml")
    agents = [k3s_process(node) for node in ("agent-1", "agent-2")]
    refused = deploy()
    assert refused.code == 1
    assert "ERROR node=server-1 step=k3s:" in refused.told
    assert "what ran before is back, and the node is Ready with it" in refused.told
    assert "unknown flag: --no-such-option" in refused.told, "the journal's own words are missing"
    assert "phase: " in refused.told
    assert ready_nodes() == set(NODES)
    assert on_node("server-1", "cat /etc/rancher/k3s/config.yaml") == config
    assert [k3s_process(node) for node in ("agent-1", "agent-2")] == agents
    write_fleet(fleet_data())
    mended = deploy_well()
    record_property("seconds", mended.seconds)
    assert_no_leak({"refused": refused.output, "mended": mended.output}, nodes=NODES)


@pytest.mark.fault("token changed")
def test_new_tokens_reach_every_node_and_the_old_ones_end(record_property: Record) -> None:
    old = canaries(EDGE)
    write_fleet(fleet_data())
    rotated = Command([sys.executable, "-m", "stacks.identity", "--rotate-tokens", str(FLEET_FILE)]).end()
    assert rotated.code == 0, rotated.output
    assert canaries(EDGE)["agent/token"] != old["agent/token"]
    ended = deploy_well()
    record_property("seconds", ended.seconds)
    assert "K3s took the new server token" in ended.output
    assert ready_nodes() == set(NODES)
    assert answer_to(old["server/token"]) == "401"
    assert answer_to(canaries(EDGE)["server/token"]) == "405"
    for node in NODES:
        for secret in ("server/token", "server/agent-token"):
            assert old[secret] not in on_node(node, "cat /etc/rancher/k3s/token /etc/rancher/k3s/agent-token 2>&- || :")
    assert "No changes. Your infrastructure matches the configuration." in deploy_well().output
    assert_no_leak({"rotated": rotated.output, "deploy": ended.output}, nodes=NODES)


@pytest.mark.fault("rejoin with the same name")
def test_a_machine_that_comes_back_empty_joins_under_its_old_name(record_property: Record) -> None:
    data = fleet_data()
    write_fleet(only(data, "server-1", "agent-2"))
    docker("rm", "--force", "--volumes", container("agent-1"))
    without = deploy_well()
    assert "agent-1" in without.told
    wait_for(lambda: ready_nodes() == {"server-1", "agent-2"}, seconds=60, what="agent-1's Node object to be gone")
    # The machine comes back with empty disks and another host key.
    lab("up", nodes=LAB)
    write_fleet(fleet_data())
    assert entry(fleet_data(), "agent-1")["host_key"] != entry(data, "agent-1")["host_key"]
    ended = deploy_well()
    record_property("seconds", ended.seconds)
    assert ready_nodes() == set(NODES)
    assert_no_leak({"without": without.output, "with": ended.output}, nodes=NODES)


@pytest.mark.fault("destroy with a node off")
def test_destroy_ends_although_a_machine_is_off(record_property: Record) -> None:
    docker("stop", "--time", "5", container("agent-2"))
    gone = edge_gpu("destroy").end()
    assert gone.code == 0, gone.output
    record_property("seconds", gone.seconds)
    assert re.search(r"agent-2.*not", gone.told), "the machine that was off is not named"
    assert on_node("server-1", "ls /usr/local/bin") == ""
    assert_no_leak({"destroy": gone.output}, nodes=["server-1", "agent-1"])
    docker("start", container("agent-2"))
    wait_for(
        lambda: on_node("agent-2", "systemctl is-active ssh", check=False) == "active\n", seconds=60, what="agent-2"
    )
    again = deploy_well()
    assert ready_nodes() == set(NODES)
    assert_no_leak({"again": again.output}, nodes=NODES)


def k3s_process(node: str) -> str:
    """Process id and start of K3s: the same words after a deploy mean that it was not restarted."""
    return on_node(node, "systemctl show k3s k3s-agent -p MainPID,ActiveEnterTimestampMonotonic")


def answer_to(password: str) -> str:
    """Status of K3s's answer to a server that brings this token's password."""
    return on_node(
        "server-1",
        f"curl -sk -o /dev/null -w '%{{http_code}}' -u 'server:{password}' https://127.0.0.1:6443/v1-k3s/token",
    )
