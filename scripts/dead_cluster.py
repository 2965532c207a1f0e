"""Destroying a cluster whose API is gone: Terraform is made to forget what was in it."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.checkout import STACK_DIRECTORY
from scripts.errors import CommandError
from stacks.fleet import Fleet

API_PORT = 6443
IN_THE_CLUSTER = ("kubernetes_", "helm_")
"""Types of resources that exist only in the cluster: they end with it."""

_TRIES = 3
_TERRAFORM_LIMIT_SECONDS = 120


def destroy(cdktf_destroy: Callable[[], object], *, fleet: Fleet, env: Mapping[str, str]) -> None:
    """Destroy the stack; when that fails and no server answers any more, once again without the cluster's objects.

    Args:
        cdktf_destroy: runs `cdktf destroy`, and raises CommandError when it fails.
        fleet: the parsed fleet file.
        env: environment for Terraform.

    Raises:
        CommandError: it failed for another reason, or again.
    """
    try:
        cdktf_destroy()
    except CommandError as error:
        if api_answers(fleet):
            raise
        print(f"{error}\nno server of the fleet answers at port {API_PORT}: its objects end with it", flush=True)
        for address in forget_objects(env=env):
            print(f"      forgot {address}", flush=True)
        cdktf_destroy()


def api_answers(fleet: Fleet) -> bool:
    """Whether any server of the fleet takes connections for the Kubernetes API, in three tries."""
    servers = [node.address for node in fleet.nodes if node.role == "server"]
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(1)
        if any(_connects(address) for address in servers):
            return True
    return False


def forget_objects(*, env: Mapping[str, str], stack_directory: Path = STACK_DIRECTORY) -> list[str]:
    """Take the cluster's objects out of Terraform's state; the machines stay in it.

    Args:
        env: environment for Terraform.
        stack_directory: where the stack was initialised.

    Returns:
        the addresses that were forgotten.

    Raises:
        CommandError: Terraform cannot read or change the state.
    """
    terraform = [env.get("TERRAFORM_BINARY_NAME", "terraform"), f"-chdir={stack_directory}", "state"]
    listed = _run([*terraform, "list"], env=env).split()
    found = [address for address in listed if address.startswith(IN_THE_CLUSTER)]
    if found:
        _run([*terraform, "rm", *found], env=env)
    return found


def _connects(address: str) -> bool:
    try:
        with socket.create_connection((address, API_PORT), timeout=3):
            return True
    except OSError:
        return False


def _run(argv: list[str], *, env: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            argv, env=dict(env), capture_output=True, text=True, timeout=_TERRAFORM_LIMIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", "") or "").strip()
        raise CommandError(f"`{' '.join(argv[:4])}` failed: {error}\n{said}") from error
    return done.stdout
