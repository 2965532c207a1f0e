"""One K3s node."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from constructs_lib.cdk import Construct
from constructs_lib.k3s_release import K3sRelease
from constructs_lib.machine import GPU_PRESENT_LABEL, Machine
from constructs_lib.remote_step import RemoteStep


class K3sNode(Construct):
    """K3s on one machine, as a server or an agent, from a pinned binary. `NodeRemoval` takes it away again.

    A later run restarts K3s only when its binary, unit, configuration or token changed, when it is not running,
    or when the machine's NVIDIA runtime was installed after K3s last started.

    Args:
        scope: Parent construct.
        id_: Construct id.
        machine: The machine, its role, labels and taints. K3s applies labels and taints when a node first joins.
        release: What to install.
        secrets_folder: Absolute path of the folder with what the node may know: for a server `token`,
            `agent-token` and `tls/`, for an agent `token`. `ClusterIdentity` makes both.
        server_url: Where to join, for example `https://192.0.2.10:6443`. Default None: this is the first server.
        cluster_init: Start an embedded etcd that further servers can join, default False: SQLite. First server only.
        tls_sans: Further names and addresses in the server's certificate, default none.
        start_timeout_seconds: How long to wait for K3s to run, and then for the node to be Ready, default 180 each.

    Attributes:
        machine: The machine.
        install: The step that installs and starts K3s.

    Raises:
        ValueError: An agent without `server_url`, or `cluster_init` on a node that joins.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        machine: Machine,
        release: K3sRelease,
        secrets_folder: Path,
        server_url: str | None = None,
        cluster_init: bool = False,
        tls_sans: Sequence[str] = (),
        start_timeout_seconds: int = 180,
    ) -> None:
        super().__init__(scope, id_)
        if machine.role == "agent" and server_url is None:
            raise ValueError(
                f"K3sNode {machine.name!r}: an agent needs server_url, for example https://192.0.2.10:6443"
            )
        if cluster_init and (machine.role == "agent" or server_url is not None):
            raise ValueError(f"K3sNode {machine.name!r}: cluster_init is for the first server only, this node joins")
        self.machine = machine
        config = node_config(machine=machine, server_url=server_url, cluster_init=cluster_init, tls_sans=tls_sans)
        self.install = RemoteStep(
            self,
            "k3s",
            host=machine.host,
            node=machine.name,
            script="k3s_node.sh",
            secrets_folder=secrets_folder,
            # Two waits for K3s, and the downloads before them.
            time_limit_seconds=2 * start_timeout_seconds + 900,
            parameters={
                "ROLE": machine.role,
                "K3S_VERSION": release.version,
                "K3S_URL": release.binary_url(architecture=machine.architecture),
                "K3S_SHA256": release.binary_sha256(architecture=machine.architecture),
                "CONFIG": json.dumps(config, indent=2),
                "IMAGE_ARCHIVES": "\n".join(f"{archive.sha256} {archive.url}" for archive in release.image_archives),
                "GPUS": str(machine.gpus),
                "START_TIMEOUT_SECONDS": str(start_timeout_seconds),
            },
        )


def node_config(
    *, machine: Machine, server_url: str | None, cluster_init: bool, tls_sans: Sequence[str]
) -> Mapping[str, object]:
    """K3s's `config.yaml` as a mapping; it names files with tokens and holds none."""
    labels = dict(machine.labels)
    if machine.gpus > 0:
        labels[GPU_PRESENT_LABEL] = "true"
    config: dict[str, object] = {
        "node-name": machine.name,
        "token-file": "/etc/rancher/k3s/token",
        "node-label": [f"{key}={value}" for key, value in sorted(labels.items())],
        "node-taint": list(machine.taints),
    }
    if server_url is not None:
        config["server"] = server_url
    if machine.role == "server":
        config["agent-token-file"] = "/etc/rancher/k3s/agent-token"
        config["tls-san"] = [machine.host.address, *tls_sans]
        config["write-kubeconfig-mode"] = "0600"
        if cluster_init:
            config["cluster-init"] = True
    return config
