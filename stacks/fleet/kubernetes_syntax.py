"""Names, labels and taints as Kubernetes accepts them."""

from __future__ import annotations

import re

from stacks.fleet.problems import RuleError

GPU_PRESENT_LABEL = "nvidia.com/gpu.present"
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NAME_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ALLOWED_RESERVED_LABELS = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone")
_ALLOWED_RESERVED_NAMESPACES = ("node.kubernetes.io", "kubelet.kubernetes.io")


def dns_label(value: str) -> str:
    """An RFC 1123 label, what Kubernetes and host names have in common.

    Raises:
        RuleError: It is none.
    """
    if not _DNS_LABEL.fullmatch(value):
        near = re.sub(r"[^a-z0-9-]+", "-", value.lower()).strip("-")[:63].strip("-")
        raise RuleError("is no DNS label", fix=f"write it as {near}" if near else None)
    return value


def label_key(value: str) -> str:
    """A label key that a kubelet may set on its own node.

    Raises:
        RuleError: Bad syntax, set by this project itself, or reserved (kubelet's own rule: ValidateKubeletFlags).
    """
    _qualified_name(value)
    if value == GPU_PRESENT_LABEL:
        raise RuleError(
            "is set by this project on nodes with `gpus`", fix="remove the label, and set `gpus` on the node"
        )
    namespace = value.partition("/")[0] if "/" in value else ""
    reserved = any(namespace == owner or namespace.endswith(f".{owner}") for owner in ("kubernetes.io", "k8s.io"))
    allowed = value in _ALLOWED_RESERVED_LABELS or any(
        namespace == owner or namespace.endswith(f".{owner}") for owner in _ALLOWED_RESERVED_NAMESPACES
    )
    if reserved and not allowed:
        raise RuleError(
            "is reserved: a kubelet that is told to set it does not start",
            fix=f"use a prefix of your own, or set it with kubectl after the deploy; of the reserved ones only "
            f"node.kubernetes.io/…, kubelet.kubernetes.io/… and {', '.join(_ALLOWED_RESERVED_LABELS)} are allowed",
        )
    return value


def label_value(value: str) -> str:
    """A label value: empty, or a name part of at most 63 characters.

    Raises:
        RuleError: It is neither.
    """
    if value and not _NAME_PART.fullmatch(value):
        near = re.sub(r"[^A-Za-z0-9._-]+", "-", value)[:63].strip("._-")
        raise RuleError("is no label value", fix=f'write "{near}"' if near else None)
    return value


def taint(value: str) -> str:
    """`key=value:Effect` or `key:Effect`.

    Raises:
        RuleError: Bad syntax or unknown effect.
    """
    subject, colon, effect = value.rpartition(":")
    if not colon:
        raise RuleError("has no effect", fix=f'end it with one, like "{value}:NoSchedule"')
    if effect not in TAINT_EFFECTS:
        known = {name.lower(): name for name in TAINT_EFFECTS}.get(effect.lower())
        raise RuleError(f'has the unknown effect "{effect}"', fix=f'write "{subject}:{known}"' if known else None)
    key, _, taint_value = subject.partition("=")
    for part, check in ((key, _qualified_name), (taint_value, label_value)):
        try:
            check(part)
        except RuleError as error:
            raise RuleError(f'is no taint: "{part}" {error.what}', fix=error.fix) from error
    return value


def taint_identity(value: str) -> tuple[str, str]:
    """What a node may have only once: the key and the effect of a taint."""
    subject, _, effect = value.rpartition(":")
    return subject.partition("=")[0], effect


def _qualified_name(value: str) -> str:
    prefix, slash, name = value.rpartition("/")
    if slash and (len(prefix) > 253 or not all(_DNS_LABEL.fullmatch(label) for label in prefix.split("."))):
        raise RuleError(f'has a prefix "{prefix}" that is no DNS name')
    if not _NAME_PART.fullmatch(name):
        raise RuleError(
            "is no key that Kubernetes accepts",
            fix="write letters, digits, `-`, `_`, `.`, at most 63, first and last a letter or digit; "
            "optionally a DNS name and `/` before it",
        )
    return value
