"""Option 2, step 1: Ubuntu 22.04 with CUDA and the tools that a ROS 2 workspace is built with."""

from __future__ import annotations

from collections.abc import Mapping

from constructs_lib.cdk import Construct
from constructs_lib.container_image import ContainerImage
from constructs_lib.image_variants import ImageSettings, variant

CUDA_VARIANTS: Mapping[str, Mapping[str, str]] = {
    "11.7": {"base": "cuda-11.7", "repository": "myros2ubuntu22cuda117", "driver": "515"},
    "12.9": {"base": "cuda-12.9", "repository": "myros2ubuntu22cuda129", "driver": "575"},
}
"""By CUDA version; `driver` is the branch that the version came with. Data-centre GPUs also work with older ones."""


class CudaBaseImage(ContainerImage):
    """`images/cuda-base`: 11.7 as `myros2ubuntu22cuda117:latest`, 12.9 as `myros2ubuntu22cuda129:latest`.

    Args:
        scope: Parent construct.
        id_: Construct id.
        settings: What all images of the site have in common.
        version: CUDA version, default `12.9`. `11.7` is what NITROS v0.20.0-dp links, and NVIDIA may delete its base
            at any time: mirror it.

    Raises:
        ValueError: An unknown version, or its base has no digest in the lock file.
    """

    def __init__(self, scope: Construct, id_: str, *, settings: ImageSettings, version: str = "12.9") -> None:
        chosen = variant(id_, version, CUDA_VARIANTS)
        folder = settings.folder / "cuda-base"
        super().__init__(
            scope,
            id_,
            repository=chosen["repository"],
            context=folder,
            build_args={
                **settings.mirrors_for(folder / "Dockerfile"),
                "BASE_IMAGE": settings.base(chosen["base"]),
            },
            driver_minimum=int(chosen["driver"]),
            platform=settings.platform,
            registry=settings.registry,
            network_mode=settings.network_mode,
            build_timeout_minutes=settings.build_timeout_minutes,
        )
