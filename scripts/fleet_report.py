"""What a deploy left: per node what the fleet file wants, what the cluster says, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from scripts.node_failures import NodeFailure

Verdict = Literal["passed", "passed earlier", "failed", "not run", "no GPU"]
"""`passed earlier`: the check passed, but the node no longer offers the GPUs that it had then."""


@dataclass(frozen=True, kw_only=True)
class WantedNode:
    """A node as the fleet file has it.

    Attributes:
        name: node name.
        role: "server" or "agent".
        gpus: GPUs that it must offer.
        k3s_version: version that its kubelet must report.
        pods_per_gpu: how many pods share each of its GPUs.
    """

    name: str
    role: str
    gpus: int
    k3s_version: str
    pods_per_gpu: int = 1

    @property
    def offers(self) -> int:
        """The `nvidia.com/gpu` that it must offer."""
        return self.gpus * self.pods_per_gpu


@dataclass(frozen=True, kw_only=True)
class SeenNode:
    """A node as the cluster has it.

    Attributes:
        k3s_version: what its kubelet reports.
        ready: whether its Ready condition is true.
        gpus: allocatable `nvidia.com/gpu`.
        plugin_log: the device plugin's last lines on that node, when they were asked for.
    """

    k3s_version: str
    ready: bool
    gpus: int
    plugin_log: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class SeenCheck:
    """What the GPU check's pod on a node said.

    Attributes:
        exit_code: of its container; None when it has not ended.
        uuids: the GPUs it saw.
        failed_attempts: what earlier pods of the same check ended with.
    """

    exit_code: int | None
    uuids: Sequence[str] = ()
    failed_attempts: Sequence[str] = ()

    @classmethod
    def from_output(cls, entry: Mapping[str, Any]) -> SeenCheck:
        """One node's entry of the stack's output `gpu_report`."""
        return cls(
            exit_code=entry["exit_code"],
            uuids=tuple(entry["uuids"]),
            failed_attempts=tuple(entry["failed_attempts"]),
        )


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """One row: wanted, seen, and the problems that follow."""

    name: str
    role: str
    k3s_version: str | None
    gpus_expected: int
    shares_expected: int
    gpus_allocatable: int | None
    verdict: Verdict
    uuids: Sequence[str]
    problems: Sequence[str]
    failed_phase: str | None = None
    failed_attempts: Sequence[str] = field(default=())
    plugin_log: Sequence[str] = field(default=())


@dataclass(frozen=True, kw_only=True)
class FleetReport:
    """All rows of one fleet."""

    fleet: str
    nodes: Sequence[NodeReport]
    problems: Sequence[str]
    left_over: Sequence[str] = ()

    @property
    def fine(self) -> list[str]:
        """Names of the nodes that nothing is wrong with."""
        return [node.name for node in self.nodes if not node.problems]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.problems and not any(node.problems for node in self.nodes)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON has it: the fields, and `complete`."""
        return {**asdict(self), "complete": self.complete}


def compare(
    *,
    fleet: str,
    wanted: Sequence[WantedNode],
    seen: Mapping[str, SeenNode] | None,
    checks: Mapping[str, SeenCheck],
    failures: Mapping[str, NodeFailure] | None = None,
    left_over: Sequence[str] = (),
    problems: Sequence[str] = (),
) -> FleetReport:
    """Compare what the fleet file wants with what there is.

    Args:
        fleet: the fleet's name.
        wanted: its nodes.
        seen: the cluster's nodes by name; None when the cluster does not answer.
        checks: the GPU checks by node name.
        failures: where a deploy that failed stopped, by node name (default: none did).
        left_over: machines that left the fleet and still have K3s; they hold nothing up.
        problems: what went wrong while looking.
    """
    owners = Counter(uuid for check in checks.values() for uuid in set(check.uuids))
    shared = {uuid for uuid, count in owners.items() if count > 1}
    rows = []
    for node in wanted:
        state = seen.get(node.name) if seen is not None else None
        check = checks.get(node.name)
        verdict = _verdict(node, state, check)
        failure = (failures or {}).get(node.name)
        found = [f"failed in phase {failure.phase}: {failure.text}"] if failure else []
        found += _node_problems(node, state) if seen is not None else []
        if verdict in ("failed", "not run"):
            found.append(_check_problem(node, check))
        found += [f"{uuid} was seen on another node too" for uuid in (check.uuids if check else ()) if uuid in shared]
        rows.append(
            NodeReport(
                name=node.name,
                role=node.role,
                k3s_version=state.k3s_version if state else None,
                gpus_expected=node.gpus,
                shares_expected=node.offers,
                gpus_allocatable=state.gpus if state else None,
                verdict=verdict,
                uuids=check.uuids if check else (),
                problems=found,
                failed_phase=failure.phase if failure else None,
                failed_attempts=check.failed_attempts if check else (),
                plugin_log=state.plugin_log if state else (),
            )
        )
    return FleetReport(fleet=fleet, nodes=rows, problems=problems, left_over=left_over)


def _verdict(node: WantedNode, state: SeenNode | None, check: SeenCheck | None) -> Verdict:
    if node.gpus == 0:
        return "no GPU"
    if check is None or check.exit_code is None:
        return "not run"
    if check.exit_code != 0 or len(set(check.uuids)) != node.gpus:
        return "failed"
    return "passed" if state is None or state.gpus == node.offers else "passed earlier"


def _node_problems(node: WantedNode, state: SeenNode | None) -> list[str]:
    if state is None:
        return ["is not in the cluster"]
    problems = []
    if not state.ready:
        problems.append("is in the cluster but not Ready")
    if state.k3s_version != node.k3s_version:
        problems.append(f"runs K3s {state.k3s_version}; the fleet file has {node.k3s_version}")
    if state.gpus != node.offers:
        problems.append(f"offers {state.gpus} nvidia.com/gpu; expected {node.offers}")
    return problems


def _check_problem(node: WantedNode, check: SeenCheck | None) -> str:
    if check is None or check.exit_code is None:
        return "its GPU check has not run to its end"
    return (
        f"its GPU check ended with exit code {check.exit_code} and {len(set(check.uuids))} GPUs seen; "
        f"expected 0 and {node.gpus}"
    )
