"""Where a node's containerd gets images of a registry from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath


@dataclass(frozen=True, kw_only=True, slots=True)
class K3sRegistry:
    """One registry in K3s's `registries.yaml`.

    Args:
        name: Registry as image names have it, for example `docker.io` or `registry.example.com:5000`; `*` for all.
        endpoints: Addresses asked instead, in order, default none: the registry itself.
        rewrites: New repository names by regular expression, default none.
        ca_file: On the node, authorities that sign the endpoints' certificates, default None: the system's.
        insecure_skip_verify: Take any certificate, default False.
    """

    name: str
    endpoints: tuple[str, ...] = ()
    rewrites: Mapping[str, str] = field(default_factory=dict)
    ca_file: PurePosixPath | None = None
    insecure_skip_verify: bool = False


def registries_yaml(registries: Sequence[K3sRegistry]) -> str:
    """The file's text (JSON, which is YAML); empty without registries."""
    if not registries:
        return ""
    mirrors: dict[str, object] = {}
    configs: dict[str, object] = {}
    for registry in registries:
        mirror: dict[str, object] = {"endpoint": list(registry.endpoints)} if registry.endpoints else {}
        if registry.rewrites:
            mirror["rewrite"] = dict(registry.rewrites)
        mirrors[registry.name] = mirror
        tls: dict[str, object] = {}
        if registry.ca_file is not None:
            tls["ca_file"] = str(registry.ca_file)
        if registry.insecure_skip_verify:
            tls["insecure_skip_verify"] = True
        if tls:
            # K3s looks settings up by the host that is asked, which is the endpoint where there is one.
            hosts = [endpoint.split("://", 1)[1].split("/", 1)[0] for endpoint in registry.endpoints]
            configs.update({host: {"tls": tls} for host in hosts or [registry.name]})
    return json.dumps({"mirrors": mirrors, **({"configs": configs} if configs else {})}, indent=2)
