"""What is done, and in which order, when a machine leaves; ssh is a stand-in that notes what it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from constructs_lib.removal_records import add_record, drop_record, read_records
from constructs_lib.remove_node import Removal, remove
from constructs_lib.ssh_access import SshAccess

STAND_IN_SSH = """\
#!/bin/sh
# A stand-in for ssh: no machine in $DOWN answers; the others note their address and the step they were given.
eval "address=\\${$(($# - 1))}"
printf '%s\\n' "$@" >>"$NOTES.arguments"
case " $DOWN " in *" $address "*) echo "ssh: connect to host $address port 22: No route to host"; exit 255 ;; esac
step=$(sed -n 's/^STEP=//p')
[ -n "$step" ] || exit 0
echo "$address $step" >>"$NOTES"
case " $FAILS " in *" $step "*) echo "said by $step"; exit "$CODE" ;; esac
"""
HOST_KEY = "ecdsa-sha2-nistp256 AAAA"


def target(name: str, address: str, **changes: str) -> dict[str, str]:
    """A machine as Terraform's state has it."""
    return {
        "name": name,
        "address": address,
        "port": "22",
        "host_key": HOST_KEY,
        "role": "agent",
        "user": "edge",
        "private_key_path": "/keys/id",
        "bastion_address": "",
        "bastion_port": "22",
        "bastion_user": "",
        "bastion_host_key": "any",
        "servers": "[]",
        **changes,
    }


SERVER = target("server-1", "192.0.2.10", role="server")
AGENT = target("gpu-1", "192.0.2.12", servers=json.dumps([SERVER]))


class Bench:
    """The stand-in, and what it noted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ssh = folder / "bin" / "ssh"
        ssh.parent.mkdir()
        ssh.write_text(STAND_IN_SSH)
        ssh.chmod(0o755)
        self.notes = folder / "notes"
        self.records = folder / "edge" / "not-removed.jsonl"
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("PATH", f"{ssh.parent}:/usr/bin:/bin")
        monkeypatch.setenv("NOTES", str(self.notes))
        self.world()

    def world(self, *, down: str = "", fails: str = "", code: int = 1) -> None:
        """Which machines do not answer, and which step ends with which code."""
        for name, value in (("DOWN", down), ("FAILS", fails), ("CODE", str(code))):
            self._monkeypatch.setenv(name, value)

    def remove(self, machine: dict[str, str], *, word: bool = False, whole_fleet: bool = False) -> int:
        """Remove a machine; exit code."""
        options = {
            "records_file": str(self.records),
            "may_lose_data": [machine["name"]] if word else [],
            "drain_seconds": 5,
        }
        return remove(Removal.read(options=options, target=machine, whole_fleet=whole_fleet))

    @property
    def steps(self) -> list[str]:
        """Which machine did which step, in order."""
        return self.notes.read_text().splitlines() if self.notes.exists() else []


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_a_node_is_drained_uninstalled_and_then_forgotten_by_the_cluster(bench: Bench) -> None:
    assert bench.remove(AGENT) == 0
    assert bench.steps == ["192.0.2.10 drain", "192.0.2.12 uninstall", "192.0.2.10 forget"]
    assert read_records(bench.records) == []


def test_a_machine_that_is_off_is_forgotten_by_the_cluster_and_written_down(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.world(down="192.0.2.12")
    assert bench.remove(AGENT) == 0
    assert bench.steps == ["192.0.2.10 drain", "192.0.2.10 forget"]
    (record,) = read_records(bench.records)
    assert (record.node, record.address, record.left) == ("gpu-1", "192.0.2.12", "K3s on the machine")
    assert "No route to host" in record.why
    assert f"written down in {bench.records}" in capsys.readouterr().out
    bench.world()
    assert bench.remove(record.target) == 0
    assert read_records(bench.records) == []


def test_without_an_answering_server_the_machine_is_cleaned_all_the_same(bench: Bench) -> None:
    bench.world(down="192.0.2.10")
    assert bench.remove(AGENT) == 0
    assert bench.steps == ["192.0.2.12 uninstall"]
    (record,) = read_records(bench.records)
    assert record.left == "its Node object in the cluster"


def test_a_node_with_data_stays_until_the_word_is_given(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.world(fails="drain", code=3)
    assert bench.remove(AGENT) == 1
    assert bench.steps == ["192.0.2.10 drain"]
    said = capsys.readouterr().err
    assert "ERROR node=gpu-1 step=removal: not removed, it holds data" in said
    assert "said by drain" in said
    assert "may_lose_data: [gpu-1]" in said


def test_the_last_server_stays_until_the_word_is_given(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.remove(SERVER) == 1
    assert bench.steps == []
    assert "the cluster's last server" in capsys.readouterr().err
    assert bench.remove(SERVER, word=True) == 0
    assert bench.steps == ["192.0.2.10 uninstall"]


def test_a_whole_fleet_goes_without_a_word_and_without_draining(bench: Bench) -> None:
    assert bench.remove(SERVER, whole_fleet=True) == 0
    assert bench.remove(AGENT, whole_fleet=True) == 0
    assert bench.steps == ["192.0.2.10 uninstall", "192.0.2.12 uninstall"]


def test_a_machine_that_answers_but_cannot_be_cleaned_is_an_error(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.world(fails="uninstall")
    assert bench.remove(AGENT) == 1
    assert bench.steps == ["192.0.2.10 drain", "192.0.2.12 uninstall"], "the Node object stays for the next attempt"
    said = capsys.readouterr()
    assert "said by uninstall" in said.out
    assert "ERROR node=gpu-1 step=removal" in said.err
    assert read_records(bench.records) == []


def test_the_pinned_host_key_is_checked_and_no_other_configuration_counts(bench: Bench) -> None:
    SshAccess.read(AGENT).run("true", timeout_seconds=10)
    arguments = bench.notes.with_name("notes.arguments").read_text().splitlines()
    assert "StrictHostKeyChecking=yes" in arguments
    assert arguments[:2] == ["-F", "none"]
    assert arguments[arguments.index("-i") + 1] == "/keys/id"


def test_a_bastion_is_gone_through_with_its_own_host_key(bench: Bench) -> None:
    behind = target("gpu-1", "192.0.2.12", bastion_address="192.0.2.1", bastion_user="jump", bastion_host_key="any")
    SshAccess.read(behind).run("true", timeout_seconds=10)
    (proxy,) = [
        line for line in bench.notes.with_name("notes.arguments").read_text().splitlines() if "ProxyCommand" in line
    ]
    assert "-l jump -W '[%h]:%p' 192.0.2.1" in proxy
    assert "StrictHostKeyChecking=no" in proxy


def test_a_record_is_kept_once_a_machine_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "edge" / "not-removed.jsonl"
    for why in ("first", "second"):
        add_record(file, node="gpu-1", address="192.0.2.12", left="K3s", why=why, target={})
    add_record(file, node="gpu-2", address="192.0.2.13", left="K3s", why="off", target={})
    assert [record.why for record in read_records(file)] == ["second", "off"]
    assert file.stat().st_mode & 0o077 == 0
    drop_record(file, node="gpu-1", address="192.0.2.12")
    drop_record(file, node="gpu-2", address="192.0.2.13")
    assert not file.exists()


@pytest.mark.parametrize(("words", "everything"), [("destroy -auto-approve", True), ("apply plan", False)])
def test_destroying_everything_is_told_from_terraforms_own_command(
    words: str, everything: bool, tmp_path: Path
) -> None:
    program = "from constructs_lib.remove_node import destroys_everything; print(destroys_everything())"
    terraform = tmp_path / "terraform"
    terraform.write_text(f'#!/bin/sh\n"{sys.executable}" -c "{program}"\nexit $?\n')
    terraform.chmod(0o755)
    done = subprocess.run([str(terraform), *words.split()], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str(everything)
