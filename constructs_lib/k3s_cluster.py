"""A K3s cluster on machines that Terraform reaches over SSH."""

from __future__ import annotations

from collections.abc import Sequence

from constructs_lib.cdk import Construct
from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.k3s_node import K3sNode
from constructs_lib.k3s_release import K3sRelease
from constructs_lib.kubeconfig import API_PORT
from constructs_lib.machine import Machine
from constructs_lib.nvidia_container_toolkit import ContainerToolkitRelease, NvidiaContainerToolkit
from constructs_lib.nvidia_driver import NvidiaDriver
from constructs_lib.offline_bundle import BundleFile, OfflineBundle, release_in_bundle, toolkit_in_bundle
from constructs_lib.ordering import run_after
from constructs_lib.preflight import Preflight


class K3sCluster(Construct):
    """Servers and agents, each brought up in the order preflight, driver check, container toolkit, K3s.

    Machines are worked on side by side: a machine that fails stops its own steps and, if it is the first server,
    the joining of the others, nothing else. Steps that have to do with GPUs exist only for machines that have any.

    Args:
        scope: Parent construct.
        id_: Construct id.
        machines: The machines; the first one with the role `server` starts the cluster.
        release: The K3s to install.
        toolkit: The container toolkit for GPU machines. Needed when any machine has GPUs.
        identity: The cluster's certificate authorities and tokens.
        bundle: What `release` and `toolkit` name, in one file that is uploaded to each machine; then no machine opens
            their addresses. Default None: machines download.
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
        bundle: BundleFile | None = None,
        start_timeout_seconds: int = 180,
    ) -> None:
        super().__init__(scope, id_)
        servers = [machine for machine in machines if machine.role == "server"]
        _check(id_, machines=machines, servers=servers, toolkit=toolkit)
        if bundle is not None:
            release = release_in_bundle(release)
            toolkit = toolkit_in_bundle(toolkit) if toolkit is not None else None
        self.api_url = f"https://{bracketed(servers[0].host.address)}:{API_PORT}"
        self.nodes: list[K3sNode] = []
        for machine in machines:
            scope_of_node = Construct(self, machine.name)
            steps: list[Construct] = [Preflight(scope_of_node, "preflight", machine=machine)]
            if bundle is not None:
                steps.append(OfflineBundle(scope_of_node, "bundle", machine=machine, bundle=bundle))
            if machine.gpus > 0 and toolkit is not None:
                steps.append(NvidiaDriver(scope_of_node, "driver", machine=machine))
                steps.append(NvidiaContainerToolkit(scope_of_node, "toolkit", machine=machine, release=toolkit))
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
            for earlier, later in zip(steps, [*steps[1:], node.install], strict=True):
                run_after(later, earlier)
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
