"""What a valid fleet file allows that its owner should know of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stacks.fleet.ssh_keys import PREFERRED
from stacks.fleet.versions import is_placeholder

if TYPE_CHECKING:
    from stacks.fleet.model import Fleet


def cautions(fleet: Fleet) -> list[str]:
    """One line each, most dangerous first."""
    return [*_unchecked_host_keys(fleet), *_plain_http(fleet), *_placeholders(fleet), *_likely_slips(fleet)]


def _unchecked_host_keys(fleet: Fleet) -> list[str]:
    return [
        f"nodes[{index}] {node.name}: HOST KEY NOT CHECKED (insecure_skip_host_key_check). Whoever is between can read "
        "the cluster's certificate authorities and tokens. Pin host_key instead"
        for index, node in enumerate(fleet.nodes)
        if node.insecure_skip_host_key_check
    ]


def _plain_http(fleet: Fleet) -> list[str]:
    # Files with a pinned checksum lose nothing by plain http; these have none.
    toolkit, backend = fleet.container_toolkit, fleet.backend
    unprotected = {}
    # With a bundle nobody opens these; whoever made it was warned.
    if fleet.bundle is None:
        unprotected["device_plugin.chart_repository"] = fleet.device_plugin.chart_repository
    if fleet.bundle is None and toolkit.apt_key_sha256 is None:
        unprotected["container_toolkit.apt_key_url"] = toolkit.apt_key_url
    if backend.type == "http":
        unprotected["backend.address"] = backend.address
    elif backend.type == "s3" and backend.endpoint is not None:
        unprotected["backend.endpoint"] = backend.endpoint
    return [
        f"{key}: {url} is plain http and nothing pins what it serves: whoever is between can change it. Use https"
        + (", or pin apt_key_sha256" if key.endswith("apt_key_url") else "")
        for key, url in unprotected.items()
        if url.startswith("http://")
    ]


def _placeholders(fleet: Fleet) -> list[str]:
    checksums = {f"k3s.sha256.{name}": checksum for name, checksum in fleet.k3s.sha256.items()}
    for index, archive in enumerate(fleet.k3s.image_archives):
        checksums[f"k3s.image_archives[{index}].sha256"] = archive.sha256
    return [
        f"{key}: one digit repeated is a placeholder, no file has this checksum. Take it from the release"
        for key, checksum in checksums.items()
        if is_placeholder(checksum)
    ]


def _likely_slips(fleet: Fleet) -> list[str]:
    found = [
        f"nodes[{index}] {node.name}: host_key is {node.host_key.split()[0]}, but Terraform asks for ECDSA first: if "
        f'the node also has an {PREFERRED} key, the deploy ends with "knownhosts: key mismatch". Pin that one instead'
        for index, node in enumerate(fleet.nodes)
        if node.host_key is not None and not node.host_key.startswith("ecdsa-")
    ]
    first_with: dict[str, str] = {}
    for index, node in enumerate(fleet.nodes):
        if node.host_key is None:
            continue
        other = first_with.setdefault(node.host_key, node.name)
        if other != node.name:
            found.append(
                f"nodes[{index}] {node.name}: has the same host_key as {other}: a slip, or cloned machines, each of "
                "which can pretend to be the other. On a clone run: ssh-keygen -A after removing /etc/ssh/ssh_host_*"
            )
    if not any(node.gpus for node in fleet.nodes):
        found.append("nodes: no node has `gpus`, so nothing of NVIDIA's is installed and no GPU is checked")
    return found
