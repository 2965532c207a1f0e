"""An image on K3s nodes without a registry: its tar in the folder that K3s imports from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from constructs_lib.cdk import Construct, LocalExecProvisioner
from constructs_lib.container_image import ContainerImage
from constructs_lib.destroy_step import DestroyStep
from constructs_lib.node_script import terraform_literal
from constructs_lib.ordering import run_after
from constructs_lib.place import Group
from constructs_lib.remote_step import RemoteStep
from constructs_lib.ssh_host import SshHost
from constructs_lib.terraform_data import TerraformData

HANDOVER = "image_handover.sh"
"""The script that runs on each node."""


class ImageHandover(Group):
    """Save an image once, upload it to each node, check its sha256 there and let K3s import it.

    All of it happens when the image's id, the script or the machine changes, never otherwise. On the node the image
    has the name `ContainerImage.name`, for `image:` of a pod with `imagePullPolicy: IfNotPresent`.

    Args:
        scope: Parent construct.
        id_: Construct id.
        image: The image.
        hosts: The machines by node name, at least one.
        archive_folder: Absolute path of a folder on the machine that runs Terraform: the tar stays there.
        import_timeout_seconds: How long a running K3s may take to import, default 300.
        docker_host: Engine that holds the image, as DOCKER_HOST has it. Default None: the environment's.

    Attributes:
        archive: Path of the tar.

    Raises:
        ValueError: No hosts, or `archive_folder` is not absolute.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        image: ContainerImage,
        hosts: Mapping[str, SshHost],
        archive_folder: Path,
        import_timeout_seconds: int = 300,
        docker_host: str | None = None,
    ) -> None:
        super().__init__(scope, id_)
        if not hosts:
            raise ValueError(f"{self.node.path}: no hosts to hand {image.name} to")
        if not archive_folder.is_absolute():
            raise ValueError(f"{self.node.path}: archive_folder must be absolute, got {str(archive_folder)!r}")
        # One file an image, whatever its tag: a new version replaces the old one on the node.
        stem = image.repository.replace("/", "-")
        self.archive = archive_folder / f"{stem}.tar"
        package = files("constructs_lib")
        save = package.joinpath("image_save.sh").read_text(encoding="utf-8")
        environment = {"IMAGE": image.name, "IMAGE_ID": image.image_id, "ARCHIVE": str(self.archive)}
        if docker_host is not None:
            environment["DOCKER_HOST"] = docker_host
        saved = TerraformData(
            self,
            "saved",
            # Whatever makes a node's upload run again: the archive may have been cleaned away since.
            triggers_replace={
                "image": image.image_id,
                "archive": str(self.archive),
                "nodes": ",".join(f"{name}={'|'.join(host.identity().values())}" for name, host in hosts.items()),
                "scripts_sha256": _sha256(
                    "".join([save, package.joinpath(HANDOVER).read_text(encoding="utf-8"), str(import_timeout_seconds)])
                ),
            },
            provisioners=[
                LocalExecProvisioner(
                    type="local-exec",
                    command=terraform_literal(save),
                    interpreter=["/bin/sh", "-c"],
                    environment=environment,
                )
            ],
        )
        run_after(saved, image)
        for name, host in hosts.items():
            node = Group(self, name)
            handed_over = RemoteStep(
                node,
                f"image-{stem}",
                host=host,
                node=name,
                script=HANDOVER,
                parameters={
                    "IMAGE": image.name,
                    "ARCHIVE": stem,
                    "IMPORT_TIMEOUT_SECONDS": str(import_timeout_seconds),
                },
                time_limit_seconds=import_timeout_seconds + 600,
                uploads=[self.archive, archive_folder / f"{stem}.tar.sha256"],
                triggers={"image": image.image_id},
            )
            run_after(handed_over, saved)
            DestroyStep(
                node,
                f"image-removal-{stem}",
                host=host,
                node=name,
                script="image_handover_remove.sh",
                parameters={"ARCHIVE": stem},
            )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
