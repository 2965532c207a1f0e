"""Option 1: Triton Inference Server, with ROS 2 Humble on request."""

from __future__ import annotations

from collections.abc import Mapping

from constructs_lib.cdk import Construct
from constructs_lib.container_image import ContainerImage
from constructs_lib.image_variants import ImageSettings, variant

TRITON_VARIANTS: Mapping[str, Mapping[str, str]] = {
    "22.03": {"base": "triton-22.03", "repository": "triton-22.03", "ubuntu": "focal", "driver": "510"},
    "24.08": {"base": "triton-24.08", "repository": "triton-24.08", "ubuntu": "jammy", "driver": "560"},
}
"""By release: its Ubuntu and driver branch, from NVIDIA's release notes."""


class TritonImage(ContainerImage):
    """`images/triton`: `triton-24.08:latest` or `triton-22.03:latest`.

    Args:
        scope: Parent construct.
        id_: Construct id.
        settings: What all images of the site have in common.
        release: Triton release, default `24.08` (Ubuntu 22.04). `22.03` is the original guide's (Ubuntu 20.04).
        ros2_from_source: Build ROS 2 Humble from source into the image, default False; about two hours. For 22.03
            alone: on 24.08 put `Ros2HumbleImage` on top, which takes it by apt.

    Raises:
        ValueError: An unknown release, ROS 2 from source for another than 22.03, or the base has no digest.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: ImageSettings,
        release: str = "24.08",
        ros2_from_source: bool = False,
    ) -> None:
        chosen = variant(id_, release, TRITON_VARIANTS)
        if ros2_from_source and chosen["ubuntu"] != "focal":
            raise ValueError(
                f"{id_}: ros2_from_source is for Triton 22.03; on {release} use Ros2HumbleImage(base=<this image>)"
            )
        folder = settings.folder / "triton"
        super().__init__(
            scope,
            id_,
            repository=chosen["repository"] + ("-ros2" if ros2_from_source else ""),
            context=folder,
            build_args={
                **settings.mirrors_for(folder / "Dockerfile"),
                "BASE_IMAGE": settings.base(chosen["base"]),
                "UBUNTU_RELEASE": chosen["ubuntu"],
            },
            driver_minimum=int(chosen["driver"]),
            target="ros2-source" if ros2_from_source else "serving",
            platform=settings.platform,
            registry=settings.registry,
            network_mode=settings.network_mode,
            build_timeout_minutes=settings.build_timeout_minutes,
        )
