"""SSH failures as Terraform tells them, and what a reader is told in addition."""

from __future__ import annotations

import pytest

from scripts.cdktf_output import cause
from scripts.ssh_failures import explain_ssh_failure


def error(why: str, *, path: str = "cluster/gpu-1/node/k3s/run") -> list[str]:
    """One of Terraform's errors, wrapped as it wraps them."""
    address = f"terraform_data.{path.replace('/', '_')}_769C1116"
    return ["Error: remote-exec provisioner error", f"  with {address} ({path}),", *why.split("\n")]


@pytest.mark.parametrize(
    ("why", "what", "cause_", "fix"),
    [
        (
            "timeout - last error: SSH authentication failed (edge@192.0.2.1:22): ssh:\nhandshake failed: knownhosts:"
            "\nkey mismatch",
            "its SSH host key is not the fleet file's; nothing was sent",
            "installed anew",
            "/etc/ssh/ssh_host_ecdsa_key.pub",
        ),
        (
            "timeout - last error: dial tcp 192.0.2.1:22: connect: no\nroute to host",
            "no SSH connection",
            "no route to host at 192.0.2.1:22",
            "is the machine on",
        ),
        ("timeout - last error: dial tcp 192.0.2.1:22: i/o timeout", "no SSH connection", "i/o timeout", "firewall"),
        # The first attempt had not ended yet.
        ("timeout - last error: <nil>", "no SSH connection", "last error: <nil>", "firewall"),
        (
            'error executing "./.edge-gpu-1.sh": wait: remote command exited without\nexit status or exit signal',
            "the connection was lost while the step ran",
            "rebooted",
            "deploy again",
        ),
        (
            "ssh: unable to authenticate, attempted methods [none publickey]",
            "its sshd refuses the login",
            "not the one that the machine knows",
            "authorized_keys",
        ),
    ],
)
def test_each_failure_names_node_step_cause_and_fix(why: str, what: str, cause_: str, fix: str) -> None:
    first, second, third = explain_ssh_failure(error(why))
    assert first == f"  gpu-1: {what} (step k3s)"
    assert second.startswith("  cause: ")
    assert cause_ in second
    assert third.startswith("  fix: ")
    assert fix in third


def test_a_script_that_failed_speaks_for_itself() -> None:
    assert explain_ssh_failure(error('error executing "./.edge-gpu-1.sh": Process exited with status 1')) == []


def test_a_connection_to_the_api_server_is_not_ssh() -> None:
    _, resource, _ = error("", path="nvidia-device-plugin/namespace")
    refused = 'Post "https://192.0.2.1:6443/api/v1/namespaces": dial tcp 192.0.2.1:6443: connect: connection refused'
    assert explain_ssh_failure(["Error: Failed to create Namespace", resource, refused]) == []


def test_what_is_no_machines_error_is_left_alone() -> None:
    assert explain_ssh_failure(["Error: timeout", "dial tcp 192.0.2.1:6443: i/o timeout"]) == []


def test_many_failed_machines_are_all_told() -> None:
    nodes = [f"agent-{number}" for number in range(30)]
    lines = [line for node in nodes for line in error("dial tcp: i/o timeout", path=f"cluster/{node}/preflight/run")]
    said = cause(lines)
    for node in nodes:
        assert f"  {node}: no SSH connection (step preflight)" in said
