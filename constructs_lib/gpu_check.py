"""Proof that every GPU node's GPUs are usable through the scheduler and the nvidia runtime."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from constructs_lib.cdk import Construct, IConstruct, Postcondition, TerraformResourceLifecycle
from constructs_lib.gpu_sharing import MigStrategy
from constructs_lib.held_element import HeldResource
from constructs_lib.kubernetes_objects import KubernetesObjects
from constructs_lib.machine import GPU_PRESENT_LABEL
from constructs_lib.node_script import terraform_literal
from constructs_lib.nvidia_device_plugin import NvidiaDevicePlugin
from constructs_lib.ordering import address_of, addresses_of, run_after
from constructs_lib.place import Group
from constructs_lib.providers import (
    JobV1,
    JobV1Metadata,
    JobV1Spec,
    JobV1SpecTemplate,
    JobV1SpecTemplateMetadata,
    JobV1SpecTemplateSpec,
    JobV1SpecTemplateSpecContainer,
    JobV1SpecTemplateSpecContainerEnv,
    JobV1SpecTemplateSpecContainerResources,
    JobV1SpecTemplateSpecToleration,
    JobV1Timeouts,
    NamespaceV1,
    NamespaceV1Metadata,
)
from constructs_lib.remote_step import RemoteStep
from constructs_lib.runtime_class_check import RuntimeClassCheck
from constructs_lib.ssh_host import SshHost
from constructs_lib.struct_values import later

GPU_RESOURCE = "nvidia.com/gpu"
HOLD_SECONDS = 10
"""How long pods that share GPUs keep theirs: long enough for all of them to start, so that they run together."""
RETRIES = 2
"""A device plugin that restarts while a pod is admitted fails that pod once (UnexpectedAdmissionError)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuNode:
    """A node whose GPUs are to be checked.

    Args:
        name: Node name.
        gpus: GPUs that it must offer, at least 1.
        made_by: What makes the node; the check waits for it, and runs again whenever it ran again. Default None:
            the node is there already.
    """

    name: str
    gpus: int
    made_by: IConstruct | None = None


class GpuCheck(Group):
    """Gate, job and report for each GPU node; a node that fails fails the deploy and hides no other.

    Gate: a bounded wait until the node offers exactly its GPUs; on failure it tells the cause (no label, no
    plugin pod, the plugin's last log lines). Job: a pod on that node with RuntimeClass `nvidia` asks for all of
    its GPUs and says which it sees. Every later plan reads the node again: a lost GPU fails the plan.

    Args:
        scope: Parent construct.
        id_: Construct id.
        nodes: The nodes.
        image: Image with a POSIX shell; the toolkit brings `nvidia-smi` into it.
        command: Replaces the check's own command, which exits 0 when the container sees exactly the GPUs it was
            given and writes their UUIDs, separated by spaces, to /dev/termination-log. `EXPECTED_GPUS` is in its
            environment.
        plugin: The device plugin to wait for. Default None: it is there already.
        gate_host: A server of the cluster, for the gate. Default None: no gate; a node that offers too few GPUs
            is then seen by its job's time limit alone, without a cause.
        timeout_seconds: Limit of the gate and again of the job, default 300.
        namespace: Made by this construct, default `gpu-check`.
        pods_per_gpu: How many pods share a GPU by time-slicing. Then as many pods run at the same time, each with
            one share, and the check fails unless every GPU was seen by exactly so many of them. Default None: as
            `plugin` says, 1 without it.

    Attributes:
        report: A Terraform expression: JSON object by node name with `expected`, `uuids`, `exit_code` (null when
            the job has no finished pod) and `failed_attempts`; with shared GPUs also `pods_by_uuid`.

    Raises:
        ValueError: No nodes, a node with no GPU, a name used twice, `pods_per_gpu` below 1, or a `plugin` that
            offers MIG devices, which this check does not count.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        nodes: Sequence[GpuNode],
        image: str,
        command: Sequence[str] | None = None,
        plugin: NvidiaDevicePlugin | None = None,
        gate_host: SshHost | None = None,
        timeout_seconds: int = 300,
        namespace: str = "gpu-check",
        pods_per_gpu: int | None = None,
    ) -> None:
        super().__init__(scope, id_)
        if pods_per_gpu is None:
            pods_per_gpu = plugin.pods_per_gpu if plugin is not None else 1
        _check(id_, nodes=nodes, pods_per_gpu=pods_per_gpu, mig=plugin.mig_strategy if plugin is not None else "none")
        home = NamespaceV1(self, "namespace", metadata=NamespaceV1Metadata(name=namespace))
        if plugin is not None:
            run_after(home, plugin)
        home_address = address_of(home)
        plugin_addresses = addresses_of(plugin) if plugin is not None else []
        own = files("constructs_lib").joinpath("gpu_check.sh").read_text(encoding="utf-8")
        argv = list(command) if command is not None else ["/bin/sh", "-c", own]
        argv = [terraform_literal(word) for word in argv]
        entries: list[str] = []
        jobs: list[HeldResource] = []
        for node in nodes:
            scope_of_node = Group(self, node.name)
            made_by = addresses_of(node.made_by) if node.made_by is not None else []
            before = [home_address, *made_by, *plugin_addresses]
            rerun_with = [*made_by, *([address_of(plugin.release)] if plugin is not None else [])]
            if gate_host is not None:
                gate = _gate(
                    scope_of_node,
                    node=node,
                    shares=node.gpus * pods_per_gpu,
                    host=gate_host,
                    plugin=plugin,
                    namespace=namespace,
                    timeout_seconds=timeout_seconds,
                    rerun_with=rerun_with,
                )
                gate.resource.wait_for(before)
                before, rerun_with = [home_address, gate.address], [gate.address]
            job = _job(
                scope_of_node,
                node=node,
                pods_per_gpu=pods_per_gpu,
                namespace=namespace,
                image=image,
                command=argv,
                timeout_seconds=timeout_seconds,
                rerun_with=rerun_with,
            )
            job.wait_for(before)
            jobs.append(job)
            _allocatable(scope_of_node, node=node, shares=node.gpus * pods_per_gpu, after=job)
            pods = KubernetesObjects(
                scope_of_node,
                "pods",
                api_version="v1",
                kind="Pod",
                namespace=namespace,
                label_selector=f"job-name={job_name(node.name)}",
                lifecycle=_shared_equally(node, pods_per_gpu=pods_per_gpu) if pods_per_gpu > 1 else None,
            )
            pods.wait_for([job.address])
            entries.append(
                _report_entry(node, objects=f"{pods.address}.objects", shared=pods_per_gpu > 1),
            )
        RuntimeClassCheck(self, "runtime-class", after=jobs)
        self.report = "${jsonencode({" + ", ".join(entries) + "})}"


def job_name(node: str) -> str:
    """Name of the job that checks `node`."""
    return f"gpu-check-{node}"


def _check(id_: str, *, nodes: Sequence[GpuNode], pods_per_gpu: int, mig: MigStrategy) -> None:
    if pods_per_gpu < 1:
        raise ValueError(f"GpuCheck {id_!r}: pods_per_gpu={pods_per_gpu}; allowed is 1 or more")
    if mig != "none":
        raise ValueError(
            f"GpuCheck {id_!r}: the plugin's mig_strategy is {mig!r}; allowed is 'none': this check counts whole GPUs"
        )
    if not nodes:
        raise ValueError(f"GpuCheck {id_!r}: no nodes; a check of nothing would always pass")
    names = [node.name for node in nodes]
    for node in nodes:
        if node.gpus < 1:
            raise ValueError(f"GpuCheck {id_!r}: node {node.name!r} has gpus={node.gpus}; allowed is 1 or more")
        if names.count(node.name) > 1:
            raise ValueError(f"GpuCheck {id_!r}: node {node.name!r} is listed more than once")


def _gate(
    scope: Construct,
    *,
    node: GpuNode,
    shares: int,
    host: SshHost,
    plugin: NvidiaDevicePlugin | None,
    namespace: str,
    timeout_seconds: int,
    rerun_with: Sequence[str],
) -> RemoteStep:
    return RemoteStep(
        scope,
        "gpu-gate",
        host=host,
        node=node.name,
        script="gpu_gate.sh",
        time_limit_seconds=timeout_seconds + 180,
        parameters={
            "GPUS": str(shares),
            "WAIT_SECONDS": str(timeout_seconds),
            "CHECK_NAMESPACE": namespace,
            "CHECK_JOB": job_name(node.name),
            "PLUGIN_NAMESPACE": plugin.namespace_name if plugin is not None else "nvidia-device-plugin",
            "PLUGIN_SELECTOR": plugin.pod_selector
            if plugin is not None
            else "app.kubernetes.io/name=nvidia-device-plugin",
        },
        rerun_with=rerun_with,
        # `rerun_with` sees a release that changes, not one that is made anew because somebody had uninstalled it: its
        # id is unknown in that plan, and the same in all others.
        triggers={"plugin": f"${{{address_of(plugin.release)}.id}}"} if plugin is not None else None,
    )


def _container(*, gpus: int, hold: bool, image: str, command: Sequence[str]) -> JobV1SpecTemplateSpecContainer:
    limit = {GPU_RESOURCE: str(gpus)}
    environment = {"EXPECTED_GPUS": str(gpus), **({"HOLD_SECONDS": str(HOLD_SECONDS)} if hold else {})}
    return later(
        JobV1SpecTemplateSpecContainer,
        name="gpu-check",
        image=image,
        image_pull_policy="IfNotPresent",
        command=list(command),
        env=[later(JobV1SpecTemplateSpecContainerEnv, name=name, value=value) for name, value in environment.items()],
        resources=later(JobV1SpecTemplateSpecContainerResources, limits=limit, requests=limit),
        termination_message_policy="FallbackToLogsOnError",
    )


def _job(
    scope: Construct,
    *,
    node: GpuNode,
    pods_per_gpu: int,
    namespace: str,
    image: str,
    command: Sequence[str],
    timeout_seconds: int,
    rerun_with: Sequence[str],
) -> HeldResource:
    labels = {"app.kubernetes.io/name": "gpu-check"}
    shared = pods_per_gpu > 1
    pods = node.gpus * pods_per_gpu
    return HeldResource(
        scope,
        "job",
        type_="kubernetes_job_v1",
        provider="kubernetes",
        binding=JobV1,
        arguments={
            "metadata": later(JobV1Metadata, name=job_name(node.name), namespace=namespace, labels=labels),
            "spec": later(
                JobV1Spec,
                backoff_limit=RETRIES,
                completions=pods if shared else None,
                parallelism=pods if shared else None,
                active_deadline_seconds=timeout_seconds,
                template=later(
                    JobV1SpecTemplate,
                    metadata=later(JobV1SpecTemplateMetadata, labels=labels),
                    spec=later(
                        JobV1SpecTemplateSpec,
                        runtime_class_name="nvidia",
                        restart_policy="Never",
                        node_selector={"kubernetes.io/hostname": node.name},
                        toleration=[later(JobV1SpecTemplateSpecToleration, operator="Exists")],
                        automount_service_account_token=False,
                        container=[
                            _container(gpus=1 if shared else node.gpus, hold=shared, image=image, command=command)
                        ],
                    ),
                ),
            ),
            "wait_for_completion": True,
            # Longer than the job's own deadline: the job's failure says more than ours.
            "timeouts": later(JobV1Timeouts, create=f"{timeout_seconds + 60}s", delete="2m"),
        },
        lifecycle=later(TerraformResourceLifecycle, replace_triggered_by=list(rerun_with)) if rerun_with else None,
    )


def _allocatable(scope: Construct, *, node: GpuNode, shares: int, after: HeldResource) -> None:
    label = f'try(self.objects[0].metadata.labels["{GPU_PRESENT_LABEL}"], "missing")'
    seen = f'try(tonumber(self.objects[0].status.allocatable["{GPU_RESOURCE}"]), 0)'
    read = KubernetesObjects(
        scope,
        "allocatable",
        api_version="v1",
        kind="Node",
        field_selector=f"metadata.name={node.name}",
        lifecycle=later(
            TerraformResourceLifecycle,
            postcondition=[
                later(
                    Postcondition,
                    condition=f"${{{seen} == {shares}}}",
                    error_message=(
                        f"Node {node.name}: expected {shares} {GPU_RESOURCE} allocatable, seen ${{{seen}}}. "
                        f"Its label {GPU_PRESENT_LABEL} is ${{{label}}}. Fix: restore a missing label with "
                        f"kubectl label node {node.name} {GPU_PRESENT_LABEL}=true; else read the log of the "
                        f"device plugin's pod on {node.name} and run nvidia-smi there."
                    ),
                )
            ],
        ),
    )
    read.wait_for([after.address])


def _ended(objects: str) -> str:
    """The terminated containers of the pods that succeeded."""
    return (
        f'[for pod in {objects} : pod.status.containerStatuses[0].state.terminated if pod.status.phase == "Succeeded"]'
    )


def _pods_by_uuid(objects: str) -> str:
    """UUID -> how many of the pods that succeeded saw it."""
    return (
        f"{{for uuid, times in {{for pod in {_ended(objects)} : trimspace(pod.message) => 1...}} : uuid => sum(times)}}"
    )


def _shared_equally(node: GpuNode, *, pods_per_gpu: int) -> TerraformResourceLifecycle:
    """Refuses pods that did not share each GPU at the same time. Where pods are gone by now, nothing is judged."""
    pods = node.gpus * pods_per_gpu
    ended = _ended("self.objects")
    seen = f"try({_pods_by_uuid('self.objects')}, {{}})"
    # Every pod began before any other ended.
    together = f"alltrue([for a in {ended} : alltrue([for b in {ended} : timecmp(a.startedAt, b.finishedAt) <= 0])])"
    equally = f"length({seen}) == {node.gpus} && alltrue([for times in values({seen}) : times == {pods_per_gpu}])"
    return later(
        TerraformResourceLifecycle,
        postcondition=[
            later(
                Postcondition,
                condition=f"${{length({ended}) < {pods} || ({equally})}}",
                error_message=(
                    f"Node {node.name}: {pods} pods were to share {node.gpus} GPUs, {pods_per_gpu} each. Seen, pods by "
                    f"UUID: ${{jsonencode({seen})}}. Fix: read the log of the device plugin's pod on {node.name}."
                ),
            ),
            later(
                Postcondition,
                condition=f"${{length({ended}) < {pods} || {together}}}",
                error_message=(
                    f"Node {node.name}: the {pods} pods that were to share its GPUs did not run at the same time. "
                    f"Fix: look for what delays pods there (kubectl describe pods), then deploy again."
                ),
            ),
        ],
    )


def _report_entry(node: GpuNode, *, objects: str, shared: bool) -> str:
    ended = _ended(objects)
    reason = 'try(pod.status.reason, pod.status.containerStatuses[0].state.terminated.reason, "unknown reason")'
    message = 'try(pod.status.message, pod.status.containerStatuses[0].state.terminated.message, "")'
    failed = f'[for pod in {objects} : "${{{reason}}}: ${{{message}}}" if pod.status.phase == "Failed"]'
    by_uuid = f"try({_pods_by_uuid(objects)}, {{}})"
    uuids = f"keys({by_uuid})" if shared else f'try(split(" ", trimspace({ended}[0].message)), [])'
    return (
        f"{json.dumps(node.name)} = {{expected = {node.gpus}, "
        f"uuids = {uuids}, "
        + (f"pods_by_uuid = {by_uuid}, " if shared else "")
        + f"exit_code = try({ended}[0].exitCode, null), failed_attempts = {failed}}}"
    )
