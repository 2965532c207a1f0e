"""Container images written as tar files without any engine, in the form that containerd and Docker both import."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.artifacts.tree_archive import FIXED_TIME_SECONDS, write_tar

# For the keys of what is written here.
IMAGE_RECIPE = Path(__file__)

_EPOCH = "2023-11-14T22:13:20Z"


@dataclass(frozen=True)
class ImageConfig:
    """What an image runs when nothing else is said.

    Attributes:
        entrypoint: argv of its program (default: none).
        command: arguments, or the whole argv without an entrypoint (default: none).
        environment: its variables (default: only a PATH).
        labels: image labels (default: none).
    """

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def write_image(*, root: Path, reference: str, config: ImageConfig, output: Path) -> None:
    """Write a one-layer linux/amd64 image; the same tree makes the same bytes.

    Args:
        root: the image's root directory.
        reference: the full name that containerd stores it under, e.g. "docker.io/edge-gpu-lab/pause:3.10.1". Kubernetes
            finds it as that and, for docker.io, without the registry's name too.
        config: what it runs.
        output: the tar to write: an OCI layout that also holds `docker load`'s manifest.json.
    """
    layer_bytes = io.BytesIO()
    write_tar(tree=root, output=layer_bytes)
    layer = layer_bytes.getvalue()
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **config.environment}
    image = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": _EPOCH,
            "config": {
                "Env": [f"{name}={value}" for name, value in environment.items()],
                "Entrypoint": list(config.entrypoint) or None,
                "Cmd": list(config.command) or None,
                "WorkingDir": "/",
                "Labels": dict(config.labels) or None,
            },
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
            "history": [{"created": _EPOCH, "created_by": "edge-gpu lab"}],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor(image, media_type="application/vnd.oci.image.config.v1+json"),
            "layers": [_descriptor(layer, media_type="application/vnd.oci.image.layer.v1.tar")],
        }
    )
    entry = _descriptor(manifest, media_type="application/vnd.oci.image.manifest.v1+json")
    entry["annotations"] = {
        "io.containerd.image.name": reference,
        "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
    }
    entry["platform"] = {"architecture": "amd64", "os": "linux"}
    for_docker = [
        {
            "Config": _blob_path(image),
            "RepoTags": [reference.removeprefix("docker.io/")],
            "Layers": [_blob_path(layer)],
        }
    ]
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [entry]}),
        "manifest.json": _json(for_docker),
        **{_blob_path(blob): blob for blob in (image, manifest, layer)},
    }
    with tarfile.open(output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), FIXED_TIME_SECONDS
            archive.addfile(member, io.BytesIO(content))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _blob_path(blob: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}"


def _descriptor(blob: bytes, *, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}
