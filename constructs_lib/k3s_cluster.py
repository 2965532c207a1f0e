"""A K3s cluster on machines that Terraform reaches over SSH."""

from __future__ import annotations

from collections.abc import Sequence

from constructs_lib.cdk import Construct
from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.driver_settings import DriverSettings
from constructs_lib.k3s_node import K3sNode
from constructs_lib.k3s_release import K3sRelease
from constructs_lib.kubeconfig import API_PORT
from constructs_lib.machine import Machine
from constructs_lib.machine_preparation import MachinePreparation
from constructs_lib.nvidia_container_toolkit import ContainerToolkitRelease
from constructs_lib.ordering import run_after
from constructs_lib.preflight import PreflightLimits
from constructs_lib.reboot import Reboot, RebootSettings


class K3sCluster(Construct):
    """Servers and agents, each brought up in the order preflight, driver, reboot, container toolkit, K3s.

    Machines are worked on side by side: a machine that fails stops its own steps and, if it is the first server,
    the joining of the others, nothing else. Steps that have to do with GPUs exist only for machines that have any.

    Args:
        scope: Parent construct.
        id_: Construct id.
        machines: The machines; the first one with the role `server` starts the cluster.
        release: The K3s to install.
        toolkit: The container toolkit for GPU machines. Needed when any machine has GPUs.
        identity: The cluster's certificate authorities and tokens.
        driver: How GPU machines get their driver, default `DriverSettings()`: it is there already.
        reboot: Whether GPU machines may be rebooted for their driver, default `RebootSettings()`: no.
        preflight: What machines must have, default `PreflightLimits()`.
        start_timeout_seconds: Limit for K3s to run and again for the node to be Ready, default 180.

    Attributes:
        nodes: The nodes in the order of `machines`.
        servers: The nodes with the role `server`.
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
        toolkit: ContainerToolkitRelease | None = None,
        driver: DriverSettings | None = None,
        reboot: RebootSettings | None = None,
        preflight: PreflightLimits | None = None,
        start_timeout_seconds: int = 180,
    ) -> None:
        super().__init__(scope, id_)
        servers = [machine for machine in machines if machine.role == "server"]
        _check(id_, machines=machines, servers=servers, toolkit=toolkit)
        self.api_url = f"https://{bracketed(servers[0].host.address)}:{API_PORT}"
        self.nodes: list[K3sNode] = []
        server_reboots: list[Reboot] = []
        for machine in machines:
            scope_of_node = Construct(self, machine.name)
            preparation = MachinePreparation(
                scope_of_node,
                "machine",
                machine=machine,
                other_nodes=[other.name for other in machines if other is not machine],
                etcd=machine.role == "server" and len(servers) > 1,
                limits=preflight,
                driver=driver,
                reboot=reboot,
                toolkit=toolkit,
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
        for node in self.nodes:
            if node is not self.servers[0]:
                # Also the removal: at destroy the servers, which the agents' workloads need, go last.
                run_after(node.uninstall, self.servers[0].install)


def bracketed(address: str) -> str:
    """`address` as it stands in a URL: IPv6 addresses in brackets."""
    return f"[{address}]" if ":" in address else address


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
