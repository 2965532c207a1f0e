"""A K3s cluster on machines that Terraform reaches over SSH."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from constructs_lib.cdk import Construct
from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.driver_settings import DriverSettings
from constructs_lib.k3s_config import ConfigValue
from constructs_lib.k3s_node import K3sNode
from constructs_lib.k3s_registry import K3sRegistry
from constructs_lib.k3s_release import K3sRelease
from constructs_lib.kubeconfig import API_PORT
from constructs_lib.machine import Machine
from constructs_lib.machine_preparation import MachinePreparation
from constructs_lib.node_removal import NodeRemoval
from constructs_lib.nvidia_container_toolkit import ContainerToolkitRelease
from constructs_lib.offline_bundle import BundleFile, driver_in_bundle, release_in_bundle, toolkit_in_bundle
from constructs_lib.ordering import run_after
from constructs_lib.place import Group, place_of
from constructs_lib.preflight import PreflightLimits
from constructs_lib.reboot import Reboot, RebootSettings
from constructs_lib.stack_contents import StackContents


def api_url(server: Machine) -> str:
    """Address of the Kubernetes API at a server."""
    return f"https://{bracketed(server.host.address)}:{API_PORT}"


class K3sCluster(Group):
    """Servers and agents, each brought up in the order preflight, driver, reboot, container toolkit, K3s.

    Machines are worked on side by side, but K3s is installed and upgraded on the servers one after the other, and then
    on all agents. An agent that fails stops its own steps and nothing else; a server that fails, also the K3s of those
    that come after it. Steps that have to do with GPUs exist only for machines that have any.

    Args:
        scope: Parent construct.
        id_: Construct id.
        machines: The machines; the first one with the role `server` starts the cluster.
        release: The K3s to install.
        toolkit: The container toolkit for GPU machines. Needed when any machine has GPUs.
        identity: The cluster's certificate authorities and tokens. Machines that leave the cluster while they cannot be
            reached are written down beside them, in `not-removed.jsonl`.
        bundle: What `release` and `toolkit` name, in one file that is uploaded to each machine; then no machine opens
            their addresses. Default None: machines download.
        config: Further keys of K3s's `config.yaml` on every node, default none.
        server_config: The same for servers alone; they win over `config`. Default none.
        registries: For every node's `registries.yaml`, default none.
        may_lose_data: Names of nodes that may be taken out although data goes with them, see `NodeRemoval`.
        driver: How GPU machines get their driver, default `DriverSettings()`: it is there already.
        reboot: Whether GPU machines may be rebooted for their driver, default `RebootSettings()`: no.
        preflight: What machines must have, default `PreflightLimits()`.
        start_timeout_seconds: Limit for K3s to run and again for the node to be Ready, default 180.

    Attributes:
        nodes: The nodes in the order of `machines`.
        servers: The nodes with the role `server`.
        removal: What removes servers, and what removes agents.
        api_url: Address of the Kubernetes API at the first server.

    Raises:
        ValueError: No server, an even number of servers (etcd needs a majority), a name used twice, or GPUs
            without `toolkit`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        machines: Sequence[Machine],
        release: K3sRelease,
        identity: ClusterIdentity,
        bundle: BundleFile | None = None,
        config: Mapping[str, ConfigValue] | None = None,
        server_config: Mapping[str, ConfigValue] | None = None,
        registries: Sequence[K3sRegistry] = (),
        may_lose_data: Sequence[str] = (),
        toolkit: ContainerToolkitRelease | None = None,
        driver: DriverSettings | None = None,
        reboot: RebootSettings | None = None,
        preflight: PreflightLimits | None = None,
        start_timeout_seconds: int = 180,
    ) -> None:
        super().__init__(scope, id_)
        servers = [machine for machine in machines if machine.role == "server"]
        _check(id_, machines=machines, servers=servers, toolkit=toolkit)
        if bundle is not None:
            release = release_in_bundle(release)
            toolkit = toolkit_in_bundle(toolkit) if toolkit is not None else None
            driver = driver_in_bundle(driver or DriverSettings())
        self.api_url = api_url(servers[0])
        self.nodes: list[K3sNode] = []
        server_reboots: list[Reboot] = []
        # Once for all: in the step of every machine, the names of all others would grow with the square of the fleet.
        contents = StackContents.of(place_of(self).stack)
        names = contents.shared_text(
            f"edge_gpu_nodes_of_{place_of(self).name}", " ".join(machine.name for machine in machines)
        )
        for machine in machines:
            scope_of_node = Group(self, machine.name)
            preparation = MachinePreparation(
                scope_of_node,
                "machine",
                machine=machine,
                other_nodes=[_others(names, machine)],
                etcd=machine.role == "server" and len(servers) > 1,
                limits=preflight,
                driver=driver,
                reboot=reboot,
                toolkit=toolkit,
                bundle=bundle,
            )
            first = machine is servers[0]
            node = K3sNode(
                scope_of_node,
                "node",
                machine=machine,
                release=release,
                secrets_folder=(identity.server_upload_dir if machine.role == "server" else identity.agent_upload_dir),
                server_url=None if first else self.api_url,
                cluster_init=first and len(servers) > 1,
                extra_config={**dict(config or {}), **(dict(server_config or {}) if machine.role == "server" else {})},
                registries=registries,
                token_id=identity.token_id(role=machine.role),
                tls_sans=[server.host.address for server in servers if server is not machine],
                start_timeout_seconds=start_timeout_seconds,
            )
            run_after(node.install, preparation.last)
            if machine.role == "server" and preparation.reboot is not None:
                # One server at a time: etcd must keep its majority.
                if server_reboots:
                    run_after(preparation.reboot, server_reboots[-1])
                server_reboots.append(preparation.reboot)
            self.nodes.append(node)
        self.servers = [node for node in self.nodes if node.machine.role == "server"]
        self.removal = [
            NodeRemoval(
                self,
                f"{role}-removal",
                machines=[machine for machine in machines if machine.role == role],
                servers=servers,
                records_file=identity.directory / "not-removed.jsonl",
                may_lose_data=may_lose_data,
            )
            for role in ("server", "agent")
        ]
        # Agents go before the servers, which their workloads need.
        run_after(self.removal[1], self.removal[0])
        agents = [node for node in self.nodes if node.machine.role == "agent"]
        for node in self.nodes:
            # What will remove it is there before it is begun.
            run_after(node.install, self.removal[0 if node.machine.role == "server" else 1])
        # One server after the other, so that an upgrade never stops two; then the agents, which must not be newer.
        for before, after in pairwise(self.servers):
            run_after(after.install, before.install)
        for node in agents:
            run_after(node.install, self.servers[-1].install)


def bracketed(address: str) -> str:
    """`address` as it stands in a URL: IPv6 addresses in brackets."""
    return f"[{address}]" if ":" in address else address


def _others(names: str, machine: Machine) -> str:
    """An expression for the names without the machine's own."""
    inner = names.removeprefix("${").removesuffix("}")
    return f'${{join(" ", setsubtract(split(" ", {inner}), ["{machine.name}"]))}}'


def _check(
    id_: str,
    *,
    machines: Sequence[Machine],
    servers: Sequence[Machine],
    toolkit: ContainerToolkitRelease | None,
) -> None:
    if len(servers) % 2 == 0:
        raise ValueError(
            f"K3sCluster {id_!r}: {len(servers)} machines have the role server; allowed are 1, 3, 5, … because "
            "etcd decides by majority. Make one a server more or less"
        )
    names = [machine.name for machine in machines]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"K3sCluster {id_!r}: the name {twice[0]!r} is used by more than one machine; rename one")
    gpu_machines = [machine.name for machine in machines if machine.gpus > 0]
    if gpu_machines and toolkit is None:
        raise ValueError(
            f"K3sCluster {id_!r}: {gpu_machines[0]!r} has GPUs but no toolkit is given; "
            "pass toolkit=ContainerToolkitRelease(version=...)"
        )
