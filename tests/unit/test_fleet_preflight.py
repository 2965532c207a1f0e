"""The preflight of a fleet: what nodes answer, what they share, and how findings become JSON."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from constructs_lib.ssh_access import SshResult
from scripts.fleet_preflight import NodePreflight, compared, node_preflight
from scripts.preflight import access_to, as_text
from stacks.fleet import load_fleet

PACKAGE = Path(__file__).parents[2] / "constructs_lib"
GOOD = Path(__file__).parents[1] / "fleets" / "good"


def read(*, code: int, output: str = "", errors: str = "") -> NodePreflight:
    answer = SshResult(reached=code not in (124, 255), code=code, stdout=output, stderr=errors)
    return node_preflight("gpu-1", answer, address="192.0.2.1", user="edge")


def findings(text: str) -> str:
    script = f"NODE=gpu-1 STEP=preflight\n{(PACKAGE / 'shared_findings.sh').read_text()}{text}"
    return subprocess.run(["sh", "-euc", script], capture_output=True, text=True, timeout=30, check=True).stdout


def test_findings_become_json_whatever_they_hold() -> None:
    told = findings("""
        check disk; finding error 'a "quote" and a \\ backslash' "two
lines" 'fix	it'; checked no
        check memory; checked '100 MiB'
        fact host_name 'n"1'
        findings_as_json
    """)
    read = json.loads(told)
    assert read["facts"] == {"host_name": 'n"1'}
    assert [check["result"] for check in read["checks"]] == ["error", "ok"]
    assert read["checks"][0]["what"] == 'a "quote" and a \\ backslash'
    assert read["checks"][0]["cause"] == "two lines"


def test_the_node_itself_shows_only_what_is_not_well() -> None:
    told = findings("check disk; finding warning full used free; check memory; checked fine; show_findings 2>&1")
    assert "warning  disk           full" in told
    assert "WARNING node=gpu-1 step=preflight: full\n  cause: used\n  fix: free" in told
    assert "memory" not in told


def test_a_node_that_cannot_be_asked_is_an_error_with_its_reason() -> None:
    for answer, check, what in (
        (read(code=255, errors="connect to host 192.0.2.1 port 22: refused"), "ssh", "cannot be logged into"),
        (read(code=255, errors="Host key verification failed."), "ssh", "has another host key"),
        (read(code=1, errors="sudo: a password is required"), "sudo", "edge may not use sudo without a password"),
        (read(code=124, errors="no end after 120 s"), "ssh", "cannot be logged into"),
        (read(code=0, output="Welcome!"), "preflight", "the checks' answer cannot be read"),
    ):  # fmt: skip
        (result,) = answer.results
        assert (result.result, result.check) == ("error", check)
        assert what in result.what
        assert result.fix


def test_cloned_machines_are_found_by_their_machine_ids() -> None:
    nodes = [NodePreflight(node=name, results=[], facts={"machine_id": value}) for name, value in
             (("a", "1"), ("b", "2"), ("c", "1"), ("d", ""), ("e", ""))]  # fmt: skip
    errors = {node.node: [result.what for result in node.results] for node in compared(nodes)}
    assert errors == {
        "a": ["its machine id 1 is the same as that of c"],
        "b": [],
        "c": ["its machine id 1 is the same as that of a"],
        "d": [],
        "e": [],
    }
    assert "ERROR a machine-id" in as_text("site", compared(nodes))


def test_a_node_is_logged_into_as_the_fleet_file_says() -> None:
    fleet = load_fleet(GOOD / "every-key.yaml")
    server, unchecked = (access_to(fleet, node) for node in (fleet.nodes[0], fleet.nodes[3]))
    assert (server.address, server.port, server.user) == ("2001:db8::11", "2022", "edge")
    assert server.host_key == fleet.nodes[0].host_key
    assert server.private_key_path == "/home/operator/.ssh/id_ed25519"
    assert (server.bastion_address, server.bastion_port, server.bastion_user) == ("jump.example.com", "2222", "jump")
    assert server.bastion_host_key.startswith("ssh-ed25519 ")
    assert unchecked.host_key == "any"
