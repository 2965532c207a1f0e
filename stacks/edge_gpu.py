"""The stack `edge-gpu`: machines become a K3s cluster, and its GPUs are proven to work."""

from __future__ import annotations

from pathlib import Path

from constructs_lib.cdk import Construct, TerraformOutput, TerraformStack
from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.dead_node_release import DeadNodeRelease
from constructs_lib.gpu_check import GpuCheck, GpuNode
from constructs_lib.k3s_cluster import K3sCluster
from constructs_lib.nvidia_device_plugin import NvidiaDevicePlugin
from constructs_lib.ordering import run_after
from stacks.backend import add_backend
from stacks.connection import connect_providers
from stacks.fleet import Fleet
from stacks.fleet_to_constructs import (
    bundle_file,
    driver_settings,
    k3s_release,
    machines,
    preflight_limits,
    reboot_settings,
    registries,
    time_slicing,
    toolkit_release,
)

STACK = "edge-gpu"


class EdgeGpuStack(TerraformStack):
    """K3s on every machine of a fleet, then the device plugin, then the GPU check, in one self-contained stack.

    The providers' settings are files that exist before the plan: no resource of this apply feeds a provider.

    Args:
        scope: The app.
        id_: Stack name.
        fleet: The parsed fleet file.
        identity: The cluster's certificate authorities, tokens and admin certificate.
        edge_folder: Absolute path of the folder for the local state, `.edge/<fleet>`.
        chart_path: Absolute path of the device plugin's chart. Default None: its repository serves it. A fleet with a
            bundle needs it, since nobody opens the fleet's addresses then.

    Raises:
        ValueError: The fleet has a bundle and `chart_path` is None.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        fleet: Fleet,
        identity: ClusterIdentity,
        edge_folder: Path,
        chart_path: Path | None = None,
    ) -> None:
        super().__init__(scope, id_)
        if fleet.bundle is not None and chart_path is None:
            raise ValueError(f"fleet {fleet.name} has a bundle: pass chart_path, the device plugin's chart out of it")
        add_backend(self, backend=fleet.backend, edge_folder=edge_folder)

        cluster = K3sCluster(
            self,
            "cluster",
            machines=machines(fleet),
            release=k3s_release(fleet),
            toolkit=toolkit_release(fleet),
            driver=driver_settings(fleet),
            reboot=reboot_settings(fleet),
            preflight=preflight_limits(fleet),
            identity=identity,
            bundle=bundle_file(fleet),
            config=fleet.k3s.config,
            server_config=fleet.k3s.server_config,
            registries=registries(fleet),
            may_lose_data=fleet.removal.may_lose_data,
            start_timeout_seconds=fleet.k3s.start_timeout_seconds,
        )
        connect_providers(self, api_url=cluster.api_url, identity=identity)

        gpu_nodes = [node for node in cluster.nodes if node.machine.gpus > 0]
        if not gpu_nodes:
            return
        first_server = cluster.servers[0]
        plugin = NvidiaDevicePlugin(
            self,
            "nvidia-device-plugin",
            chart_version=fleet.device_plugin.chart_version,
            chart_repository=fleet.device_plugin.chart_repository,
            chart_path=chart_path,
            image=fleet.device_plugin.image,
            time_slicing=time_slicing(fleet),
            device_list_strategy=fleet.device_plugin.device_list_strategy,
        )
        # Of the agents only what removes them: one that fails to come up must not keep the plugin from the others,
        # and at destroy the plugin's pods must be gone while the nodes that run them still answer.
        run_after(plugin, first_server, *cluster.removal)
        DeadNodeRelease(
            self,
            "dead-node-release",
            machines=[node.machine for node in cluster.nodes],
            servers=[node.machine for node in cluster.servers],
            within=[plugin],
        )
        check = GpuCheck(
            self,
            "gpu-check",
            nodes=[GpuNode(name=node.machine.name, gpus=node.machine.gpus, made_by=node.install) for node in gpu_nodes],
            image=fleet.gpu_check.image,
            command=fleet.gpu_check.command,
            plugin=plugin,
            gate_host=first_server.machine.host,
            timeout_seconds=fleet.gpu_check.timeout_seconds,
        )
        TerraformOutput(
            self,
            "gpu_report",
            value=check.report,
            description="JSON by GPU node: GPUs expected, UUIDs the check's pod saw, exit code, failed attempts",
        )
