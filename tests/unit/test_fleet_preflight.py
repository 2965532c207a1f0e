"""The preflight of a fleet: what nodes answer, what they share, and how findings become JSON."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from scripts.fleet_preflight import NodePreflight, compared, node_preflight
from scripts.node_ssh import Answer, ssh_command
from scripts.preflight import as_text
from stacks.fleet import parse_fleet

PACKAGE = Path(__file__).parents[2] / "constructs_lib"
SMALLEST = (Path(__file__).parents[1] / "fleets" / "good" / "smallest.yaml").read_text()


def read(*, code: int | None, output: str = "", errors: str = "") -> NodePreflight:
    return node_preflight("gpu-1", Answer(code=code, output=output, errors=errors), address="192.0.2.1", user="edge")


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
        (read(code=None, errors="no answer within 120 s"), "ssh", "cannot be logged into"),
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


def test_the_login_checks_host_keys_and_reads_no_configuration(tmp_path: Path) -> None:
    fleet = parse_fleet(SMALLEST, source="test.yaml")
    command = ssh_command(fleet, fleet.nodes[0], known_hosts=tmp_path / "known_hosts")
    words = " ".join(command)
    assert "-F none" in words
    checked = fleet.nodes[0].host_key is not None
    assert ("StrictHostKeyChecking=yes" in words) == checked
    assert command[-1] == fleet.nodes[0].address
