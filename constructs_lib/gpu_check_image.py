"""The small image whose program lists the GPUs and runs a CUDA kernel on each."""

from __future__ import annotations

from constructs_lib.cdk import Construct
from constructs_lib.container_image import ContainerImage
from constructs_lib.image_variants import ImageSettings

GPU_CHECK_COMMAND = ("/usr/local/bin/gpu-check",)
"""For `GpuCheck(command=...)` with this image."""

DRIVER_MINIMUM = 525
"""The first branch of CUDA 12: the program is linked with CUDA's runtime, which needs no newer one (minor version
compatibility)."""


class GpuCheckImage(ContainerImage):
    """`images/gpu-check`: `edge-gpu-check:latest`.

    Args:
        scope: Parent construct.
        id_: Construct id.
        settings: What all images of the site have in common.
        kernel: Compile and run a CUDA kernel, default True. False: nvidia-smi alone, and no CUDA image is pulled.

    Raises:
        ValueError: A base has no digest in the lock file.
    """

    def __init__(self, scope: Construct, id_: str, *, settings: ImageSettings, kernel: bool = True) -> None:
        folder = settings.folder / "gpu-check"
        cuda = {"CUDA_IMAGE": settings.base("cuda-12.9")} if kernel else {}
        super().__init__(
            scope,
            id_,
            repository="edge-gpu-check",
            context=folder,
            build_args={
                **settings.mirrors_for(folder / "Dockerfile"),
                "BASE_IMAGE": settings.base("ubuntu-22.04"),
                **cuda,
            },
            target="kernel" if kernel else "plain",
            driver_minimum=DRIVER_MINIMUM if kernel else None,
            platform=settings.platform,
            registry=settings.registry,
            network_mode=settings.network_mode,
            build_timeout_minutes=settings.build_timeout_minutes,
        )
