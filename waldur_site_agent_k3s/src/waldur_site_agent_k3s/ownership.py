"""How a namespace says that it is Waldur's: its labels and annotations. What lacks them is never touched."""

from __future__ import annotations

import hashlib
import re

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "waldur-site-agent-k3s"

PREFIX = "waldur.edge-gpu"
RESOURCE_LABEL = f"{PREFIX}/resource"
PROJECT_LABEL = f"{PREFIX}/project"
CUSTOMER_LABEL = f"{PREFIX}/customer"
OFFERING_LABEL = f"{PREFIX}/offering"
USER_LABEL = f"{PREFIX}/user"
IMPORT_LABEL = f"{PREFIX}/import"
"""Set by the cluster's administrator to the slug of a Waldur project: the namespace may be handed over to it."""

LIMITS_ANNOTATION = f"{PREFIX}/limits"
"""What was bought, as JSON in Waldur's units: a paused tenant's quota does not tell."""
STATE_ANNOTATION = f"{PREFIX}/state"
SINCE_ANNOTATION = f"{PREFIX}/since"
"""When the tenant began, in UTC: nothing is billed before."""
PROJECT_SLUG_ANNOTATION = f"{PREFIX}/project-slug"
NAME_ANNOTATION = f"{PREFIX}/name"
USERNAME_ANNOTATION = f"{PREFIX}/username"
EXPIRES_ANNOTATION = f"{PREFIX}/expires"
REPLICAS_ANNOTATION = f"{PREFIX}/replicas-before-pause"
SUSPENDED_ANNOTATION = f"{PREFIX}/suspended-by-pause"

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MAX_NAME = 63
_RESERVED = ("default", "kube-")


def namespace_name(slug: str, *, prefix: str) -> str:
    """The namespace of a Waldur resource: prefix and slug, shortened to 63 characters with a hash where needed.

    Raises:
        ValueError: it is no name of a namespace, or one that belongs to Kubernetes.
    """
    name = f"{prefix}{slug}".lower()
    if len(name) > _MAX_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name[: _MAX_NAME - 9].rstrip('-')}-{digest}"
    check_name(name)
    return name


def check_name(name: str) -> None:
    """Refuse what cannot be a tenant's namespace.

    Raises:
        ValueError: it is no name of a namespace, or one that belongs to Kubernetes.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name of a namespace; allowed are 1 to 63 lower-case letters, digits and inner dashes. "
            "Fix: allocation_prefix in the agent's backend_settings, or the resource's slug in Waldur"
        )
    if name == _RESERVED[0] or name.startswith(_RESERVED[1]):
        raise ValueError(f"the namespace {name!r} belongs to Kubernetes. Fix: set allocation_prefix")


def role_binding_name(username: str) -> str:
    """The RoleBinding of a user: a hash, since user names may hold what names of objects may not."""
    return f"waldur-user-{hashlib.sha256(username.encode()).hexdigest()[:16]}"
