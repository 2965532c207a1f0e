"""Which keys of K3s's `config.yaml` a fleet may set. Nothing here starts the CDK."""

from __future__ import annotations

from collections.abc import Iterable

ConfigValue = str | int | bool | tuple[str, ...]
"""What a key may hold: K3s's flags are texts, numbers, switches and lists of texts."""

OWN_KEYS = {
    "node-name": "the node's name in the fleet",
    "node-label": "the node's labels in the fleet",
    "node-taint": "the node's taints in the fleet",
    "server": "the first server",
    "cluster-init": "set with three or more servers",
    "data-dir": "where K3s is looked for and removed from",
    "tls-san": "the servers' addresses",
    "write-kubeconfig-mode": "0600",
    "token-file": "the fleet's secrets",
    "agent-token-file": "the fleet's secrets",
    "default-runtime": "every pod with a CUDA image would see all GPUs, whether it asked for one or not",
}
"""Keys that the constructs set themselves, and what each comes from."""

SECRET_KEYS = frozenset(
    {
        "token",
        "agent-token",
        "datastore-endpoint",
        "etcd-s3-access-key",
        "etcd-s3-secret-key",
        "etcd-s3-session-token",
        "vpn-auth",
    }
)
"""Keys whose values are secrets: they would be in plan and state."""


def refuse_own_keys(keys: Iterable[str], *, where: str) -> None:
    """Refuse keys that are not free to set.

    Args:
        keys: As in K3s's `config.yaml`; a `+` at the end, which appends, does not count.
        where: For the message.

    Raises:
        ValueError: One of them is set by the constructs, or would hold a secret.
    """
    for key in keys:
        bare = key.rstrip("+")
        if bare in OWN_KEYS:
            raise ValueError(f"{where} sets {key!r}, which comes from elsewhere ({OWN_KEYS[bare]}); remove it")
        if bare in SECRET_KEYS:
            raise ValueError(f"{where} sets {key!r}, a secret that would be in plan and state; remove it")
