"""One K3s node."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from constructs_lib.cdk import Construct
from constructs_lib.k3s_config import ConfigValue, refuse_own_keys
from constructs_lib.k3s_registry import K3sRegistry, registries_yaml
from constructs_lib.k3s_release import K3sRelease
from constructs_lib.machine import GPU_PRESENT_LABEL, Machine
from constructs_lib.place import Group
from constructs_lib.remote_step import RemoteStep


class K3sNode(Group):
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
        extra_config: Further keys of K3s's `config.yaml`, default none. Nothing secret: they are in the plan. A change
            restarts K3s; when it does not start with it, what ran before is put back and the step fails.
        registries: What to write as `registries.yaml`, see `K3sRegistry`. Default none: a file of one's own stays.
        token_id: Changes when the tokens in `secrets_folder` do, so that they are carried to the node. No secret.
        tls_sans: Further names and addresses in the server's certificate, default none.
        start_timeout_seconds: How long to wait for K3s to run, and then for the node to be Ready, default 180 each.

    Attributes:
        machine: The machine.
        install: The step that installs and starts K3s.

    Raises:
        ValueError: An agent without `server_url`, `cluster_init` on a node that joins, or a key in `extra_config` that
            this construct sets itself.
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
        extra_config: Mapping[str, ConfigValue] | None = None,
        registries: Sequence[K3sRegistry] = (),
        token_id: str = "",
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
        own = node_config(machine=machine, server_url=server_url, cluster_init=cluster_init, tls_sans=tls_sans)
        extra = dict(extra_config or {})
        refuse_own_keys(extra, where=f"K3sNode {machine.name!r}: extra_config")
        self.install = RemoteStep(
            self,
            "k3s",
            host=machine.host,
            node=machine.name,
            script="k3s_node.sh",
            secrets_folder=secrets_folder,
            # Two waits for K3s, two more when what ran before is put back, and the downloads before them.
            time_limit_seconds=4 * start_timeout_seconds + 900,
            parameters={
                "ROLE": machine.role,
                "JOINS": "no" if server_url is None else "yes",
                "TOKEN_ID": token_id,
                "K3S_VERSION": release.version,
                "K3S_URL": release.binary_url(architecture=machine.architecture),
                "K3S_SHA256": release.binary_sha256(architecture=machine.architecture),
                "CONFIG": json.dumps({**extra, **own}, indent=2),
                "REGISTRIES": registries_yaml(registries),
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
