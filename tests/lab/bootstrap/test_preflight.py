"""Preflight on real lab nodes: a good node passes, a bad one gets all its findings at once, and nothing is changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.checkout import BUILD
from tests.lab.main_job.conftest import Run, on_node, run

TEMPLATE = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl"
# Perl because a bare Debian has it, and fcntl because that is what apt and dpkg lock with.
HOLD_LOCK = (
    "use Fcntl; open F, '>>', '/var/lib/dpkg/lock-frontend' or die; "
    "my \\$lock = pack('s s x4 q q l x4', F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, \\$lock) or die; sleep 600"
)
BREAK = f"""
mkdir -p $(dirname {TEMPLATE})
echo '[plugins.linux] # io.containerd.runtime.v1.linux' >{TEMPLATE}
echo 'deb https://nvidia.github.io/libnvidia-container/stable/ubuntu18.04/amd64 /' >/etc/apt/sources.list.d/old.list
echo '[Unit]' >/etc/systemd/system/k3s.service
hostname server-1
cp /etc/machine-id /root/machine-id
systemd-run --quiet --unit=test-port socat TCP-LISTEN:10250,fork,reuseaddr /dev/null
systemd-run --quiet --unit=test-lock perl -e "{HOLD_LOCK}"
touch /root/before
"""
REPAIR = f"""
systemctl stop test-port test-lock
systemctl reset-failed test-port test-lock
rm -rf {TEMPLATE} /etc/apt/sources.list.d/old.list /etc/systemd/system/k3s.service /root/before
cat /root/machine-id >/etc/machine-id
hostname gpu-1
"""
CHANGED = "find /etc /usr /opt /root /home /srv /var/lib/dpkg /var/lib/rancher -xdev -newer /root/before"


def preflight() -> Run:
    return run([sys.executable, "-m", "scripts.preflight"])


def report(node: str) -> dict[str, Any]:
    nodes = json.loads((BUILD / "preflight.json").read_text())["nodes"]
    (found,) = (entry for entry in nodes if entry["node"] == node)
    assert isinstance(found, dict)
    return found


def findings(node: str, result: str) -> dict[str, str]:
    return {check["check"]: check["what"] for check in report(node)["checks"] if check["result"] == result}


@pytest.mark.usefixtures("bare_nodes")
def test_good_nodes_pass_every_check() -> None:
    looked = preflight()
    assert looked.code == 0, looked.output
    assert "3 nodes: 0 errors, 0 warnings" in looked.output
    assert len(report("server-1")["checks"]) == 17
    assert len(report("gpu-1")["checks"]) == 22, "GPU nodes are looked at closer"


@pytest.fixture(scope="module")
def broken(bare_nodes: None) -> Iterator[Run]:  # noqa: ARG001
    """The report with gpu-1 wrong in many ways, and gpu-2's machine id on it."""
    on_node("gpu-1", "sh", "-euc", BREAK)
    other = on_node("gpu-2", "cat", "/etc/machine-id").strip()
    on_node("gpu-1", "sh", "-c", f"echo {other} >/etc/machine-id; touch /root/before")
    yield preflight()
    on_node("gpu-1", "sh", "-c", REPAIR)


def test_all_errors_of_a_node_are_said_at_once_each_with_its_fix(broken: Run) -> None:
    assert broken.code == 1
    errors = findings("gpu-1", "error")
    assert set(errors) == {"k3s", "ports", "containerd", "host-name", "machine-id"}
    assert errors["ports"] == "TCP port 10250 is in use"
    assert all(check["cause"] and check["fix"] for check in report("gpu-1")["checks"] if check["result"] != "ok")


@pytest.mark.usefixtures("broken")
def test_warnings_are_told_from_errors() -> None:
    warnings = findings("gpu-1", "warning")
    assert set(warnings) == {"apt", "apt-sources"}
    (lock,) = (check for check in report("gpu-1")["checks"] if check["check"] == "apt")
    assert "/var/lib/dpkg/lock-frontend is held by process" in lock["cause"]
    assert "perl" in lock["cause"]


@pytest.mark.usefixtures("broken")
def test_what_two_nodes_share_is_an_error_of_both() -> None:
    assert "is the same as that of gpu-2" in findings("gpu-1", "error")["machine-id"]
    assert "is the same as that of gpu-1" in findings("gpu-2", "error")["machine-id"]
    assert "is the same as that of gpu-1" in findings("server-1", "error")["host-name"]


@pytest.mark.usefixtures("broken")
def test_a_bad_node_hides_no_other() -> None:
    assert set(findings("gpu-2", "error")) == {"machine-id"}
    assert not findings("server-1", "warning")


@pytest.mark.usefixtures("broken")
def test_nothing_on_the_node_was_changed() -> None:
    assert on_node("gpu-1", "sh", "-c", CHANGED) == ""
