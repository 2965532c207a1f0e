"""Removes one machine from a cluster; Terraform runs it when the machine's instance of `NodeRemoval` is destroyed.

Exit code 0 when K3s is gone from the machine, or the machine cannot be reached and was written down; 1 after a message
that tells node, cause and fix.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from constructs_lib.node_script import node_script, receive_step, run_as_root, script_path
from constructs_lib.private_files import make_private_folders
from constructs_lib.removal_records import add_record, drop_record
from constructs_lib.ssh_access import SshAccess, SshResult

STEP = "removal"
UNINSTALL_SECONDS = 300
FORGET_SECONDS = 90
NODE_OBJECT = "its Node object in the cluster"
HOLDS_DATA = 3
"""Exit code of k3s_node_drain.sh for a node that holds data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """One machine that leaves.

    Attributes:
        access: how it is reached.
        role: `server` or `agent`.
        servers: other servers of its cluster.
        records_file: where it is written down if it cannot be reached.
        may_lose_data: whether its data may be lost with it.
        drain_seconds: limit for its drain.
        whole_fleet: whether everything goes: then nothing is drained, for no other node will be left.
        target: what Terraform's state holds of it.
    """

    access: SshAccess
    role: str
    servers: Sequence[SshAccess]
    records_file: Path
    may_lose_data: bool
    drain_seconds: int
    whole_fleet: bool
    target: dict[str, str]

    @classmethod
    def read(cls, *, options: Mapping[str, object], target: dict[str, str], whole_fleet: bool) -> Removal:
        """From what `NodeRemoval` hands over."""
        words = options["may_lose_data"]
        assert isinstance(words, list)
        return cls(
            access=SshAccess.read(target),
            role=target["role"],
            servers=[SshAccess.read(server) for server in json.loads(target["servers"])],
            records_file=Path(str(options["records_file"])),
            may_lose_data=target["name"] in words,
            drain_seconds=int(str(options["drain_seconds"])),
            whole_fleet=whole_fleet,
            target=target,
        )


def main() -> int:
    """Terraform's entry: options as the last argument, the machine in EDGE_GPU_TARGET."""
    removal = Removal.read(
        options=json.loads(sys.argv[-1]),
        target=json.loads(os.environ["EDGE_GPU_TARGET"]),
        whole_fleet=destroys_everything(),
    )
    with servers_one_by_one(removal):
        return remove(removal)


def remove(removal: Removal) -> int:
    """Drain, uninstall, forget; see the module."""
    node, others = removal.access.name, [] if removal.whole_fleet else list(removal.servers)
    if removal.role == "server" and not removal.whole_fleet and not removal.servers and not removal.may_lose_data:
        return _refused(
            removal,
            "this is the cluster's last server: all of its objects and secrets would be lost with it",
            "it is no longer in the fleet file, or its address or host key is another one now, and no other server is",
        )
    server, there = _answering(others)
    if server is not None:
        drained = _on(
            server,
            "k3s_node_drain.sh",
            node=node,
            parameters={
                "MAY_LOSE_DATA": str(int(removal.may_lose_data)),
                "DRAIN_SECONDS": str(removal.drain_seconds if _reached(removal.access) else 0),
            },
            limit=removal.drain_seconds + FORGET_SECONDS,
        )
        if drained.reached and drained.code == HOLDS_DATA:
            return _refused(removal, "it holds data that would be lost with it", drained.output)
        _show(drained.output)
        if drained.code != 0:
            _say(node, "goes without having been drained")
    elif others:
        _say(node, f"goes without having been drained: {there}")

    gone = _on(removal.access, "k3s_node_uninstall.sh", node=node, parameters={}, limit=UNINSTALL_SECONDS)
    _show(gone.output)
    if gone.reached and gone.code != 0:
        print(
            f"ERROR node={node} step={STEP}: K3s could not be removed from {removal.access.address}\n"
            "  cause: see above\n  fix: correct it and run the same command again",
            file=sys.stderr,
        )
        return 1

    forgotten = None
    if server is not None:
        forgotten = _on(server, "k3s_node_forget.sh", node=node, parameters={}, limit=FORGET_SECONDS)
        _show(forgotten.output)
    return _written_down(removal, gone=gone, forgotten=forgotten, wanted=bool(others))


def destroys_everything() -> bool:
    """Whether the Terraform that started this program destroys all it has, and not only what left the fleet file."""
    # -ww: else the line may be cut at the width of a terminal.
    argv = ["ps", "-ww", "-o", "args=", "-p", str(os.getppid())]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    words = told.stdout.split()
    return "destroy" in words[1:] or any(word in ("-destroy", "--destroy", "-destroy=true") for word in words)


@contextmanager
def servers_one_by_one(removal: Removal) -> Iterator[None]:
    """Terraform removes machines side by side; etcd keeps its majority only if servers leave one after the other."""
    if removal.role != "server" or removal.whole_fleet:
        yield
        return
    make_private_folders(removal.records_file.parent)
    with (removal.records_file.parent / "server-removal.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _written_down(removal: Removal, *, gone: SshResult, forgotten: SshResult | None, wanted: bool) -> int:
    node, address = removal.access.name, removal.access.address
    left, why = [], []
    if not gone.reached:
        left.append("K3s on the machine")
        why.append(_last_line(gone) or "it cannot be reached")
    if wanted and (forgotten is None or forgotten.code != 0):
        left.append(NODE_OBJECT)
        why.append((_last_line(forgotten) if forgotten else "") or "no server answers")
    if not left:
        drop_record(removal.records_file, node=node, address=address)
        return 0
    add_record(
        removal.records_file,
        node=node,
        address=address,
        left=" and ".join(left),
        why="; ".join(why),
        target=removal.target,
    )
    _say(node, f"NOT REMOVED from {address}: {' and '.join(left)}: {'; '.join(why)}")
    _say(node, f"written down in {removal.records_file}; when it is back: python -m scripts.removals")
    return 0


def _refused(removal: Removal, what: str, cause: str) -> int:
    node = removal.access.name
    print(
        f"ERROR node={node} step={STEP}: not removed, {what}\n  cause: {cause}\n"
        f"  fix: put it back into the fleet file; or add to it `removal: {{may_lose_data: [{node}]}}` and deploy again",
        file=sys.stderr,
    )
    return 1


def _answering(servers: Sequence[SshAccess]) -> tuple[SshAccess | None, str]:
    """The first server whose K3s answers, else why none does."""
    why = []
    for server in servers:
        result = server.run("sudo -n timeout 20 /usr/local/bin/k3s kubectl get --raw=/readyz", timeout_seconds=60)
        if result.code == 0:
            return server, ""
        why.append(f"{server.name}: {_last_line(result) or 'no answer'}")
    return None, "; ".join(why)


def _reached(access: SshAccess) -> bool:
    return access.run("true", timeout_seconds=30).reached


def _on(access: SshAccess, script: str, *, node: str, parameters: Mapping[str, str], limit: int) -> SshResult:
    step = script.removesuffix(".sh").removeprefix("k3s_node_")
    path = script_path(step=step, node=node)
    return access.run(
        receive_step(path, step=step, node=node, time_limit_seconds=limit)
        + f"\ncat >{path} || exit 1\n"
        + run_as_root(path, step=step, node=node, time_limit_seconds=limit),
        stdin=node_script(script, step=step, node=node, parameters=parameters),
        timeout_seconds=2 * limit + 60,  # an earlier run may have to end first
    )


def _last_line(result: SshResult) -> str:
    return result.output.splitlines()[-1].strip() if result.output else ""


def _say(node: str, text: str) -> None:
    print(f"{node} {STEP}: {text}", flush=True)


def _show(output: str) -> None:
    if output:
        print(output, flush=True)


if __name__ == "__main__":
    sys.exit(main())
