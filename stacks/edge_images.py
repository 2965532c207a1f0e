"""The stack `edge-images`: the container images of a fleet, built, pushed and handed to its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from constructs_lib.cdk import Construct, TerraformOutput, TerraformStack
from constructs_lib.container_image import ContainerImage
from constructs_lib.cuda_base_image import CudaBaseImage
from constructs_lib.docker_providers import DockerProvider
from constructs_lib.gpu_check_image import GpuCheckImage
from constructs_lib.image_handover import ImageHandover
from constructs_lib.image_variants import ImageSettings
from constructs_lib.ros2_humble_image import Ros2HumbleImage
from constructs_lib.ssh_host import SshHost
from constructs_lib.triton_image import TritonImage
from stacks.backend import add_backend
from stacks.fleet import Backend, Images
from stacks.fleet.images import Choice, CudaBaseChoice, GpuCheckChoice, Ros2HumbleChoice
from stacks.images_backend import images_backend

STACK = "edge-images"


class EdgeImagesStack(TerraformStack):
    """Every image that the fleet file's `images` section names, and the bases they need, each built once.

    Args:
        scope: The app.
        id_: Stack name.
        images: The section.
        hosts: The fleet's machines by node name, for `hand_over_to`.
        backend: The fleet file's `backend`; the images' state lies beside the cluster's.
        images_folder: Absolute path of the project's `images/`.
        edge_folder: Absolute path of `.edge/<fleet>`; archives and a local state go to `images/` in it.

    Attributes:
        built: The images by name without tag.

    Raises:
        ValueError: A node of `hand_over_to` is not in the fleet, an image is named twice, or NITROS is asked for on
            another base than CUDA 11.7; or what the images' constructs raise.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        images: Images,
        hosts: Mapping[str, SshHost],
        backend: Backend,
        images_folder: Path,
        edge_folder: Path,
    ) -> None:
        super().__init__(scope, id_)
        own_folder = edge_folder / "images"
        add_backend(self, backend=images_backend(backend), edge_folder=own_folder)
        DockerProvider(self, "docker", host=images.docker_host)
        self._settings = ImageSettings(
            folder=images_folder,
            platform=images.platform,
            registry=images.registry,
            network_mode=None if images.network == "default" else images.network,
            allow_unlocked_bases=images.allow_unlocked_bases,
            registry_mirrors=images.registry_mirrors,
            mirrors=images.mirrors,
            build_timeout_minutes=images.build_timeout_minutes,
        )
        self.built: dict[str, ContainerImage] = {}
        handed_over: set[str] = set()
        for index, choice in enumerate(images.build):
            image = self._image(choice, where=f"images.build[{index}]")
            if not choice.hand_over_to:
                continue
            if image.repository in handed_over:
                raise ValueError(
                    f"images.build[{index}]: {image.repository} is handed over twice; join the two entries"
                )
            handed_over.add(image.repository)
            ImageHandover(
                self,
                f"hand-over-{image.node.id}",
                image=image,
                hosts={name: _host(name, hosts, index=index) for name in choice.hand_over_to},
                archive_folder=own_folder,
                docker_host=images.docker_host,
            )
        TerraformOutput(
            self,
            "images",
            value={name: {"image": image.name, "id": image.image_id} for name, image in self.built.items()},
            description="By name without tag: the image as a pod or runcontainer.sh names it, and its id",
        )

    def _image(self, choice: Choice, *, where: str) -> ContainerImage:
        if isinstance(choice, GpuCheckChoice) and self.node.try_find_child("gpu-check") is not None:
            raise ValueError(f"{where}: gpu-check is listed twice; keep one")
        if isinstance(choice, CudaBaseChoice):
            return self._cuda_base(choice.variant)
        if isinstance(choice, Ros2HumbleChoice):
            if choice.nitros and choice.variant != "11.7":
                raise ValueError(f"{where}: nitros needs variant '11.7', got {choice.variant!r}: it links CUDA 11.7")
            base = self._cuda_base(choice.variant)
            return self._once(
                Ros2HumbleImage(
                    self,
                    f"ros2-humble-{choice.variant}{'-nitros' if choice.nitros else ''}",
                    settings=self._settings,
                    base=base,
                    nitros=choice.nitros,
                ),
                where=where,
            )
        if isinstance(choice, GpuCheckChoice):
            return self._once(
                GpuCheckImage(self, "gpu-check", settings=self._settings, kernel=choice.kernel), where=where
            )
        from_source = choice.ros2 and choice.variant == "22.03"
        triton = self._once(
            TritonImage(
                self,
                f"triton-{choice.variant}",
                settings=self._settings,
                release=choice.variant,
                ros2_from_source=from_source,
            ),
            where=where,
        )
        if not choice.ros2 or from_source:
            return triton
        return self._once(
            Ros2HumbleImage(
                self,
                f"triton-{choice.variant}-ros2",
                settings=self._settings,
                base=triton,
                package="ros-humble-ros-base",
                repository=f"{triton.repository}-ros2",
            ),
            where=where,
        )

    def _cuda_base(self, version: str) -> ContainerImage:
        id_ = f"cuda-base-{version}"
        known = next((image for image in self.built.values() if image.node.id == id_), None)
        if known is not None:
            return known
        return self._once(CudaBaseImage(self, id_, settings=self._settings, version=version), where=id_)

    def _once(self, image: ContainerImage, *, where: str) -> ContainerImage:
        if image.repository in self.built:
            raise ValueError(f"{where}: {image.repository} is built twice, and both would be {image.repository}:latest")
        self.built[image.repository] = image
        return image


def _host(name: str, hosts: Mapping[str, SshHost], *, index: int) -> SshHost:
    if name not in hosts:
        raise ValueError(
            f"images.build[{index}].hand_over_to: no node {name!r}; there are {', '.join(hosts) or 'none'}"
        )
    return hosts[name]
