"""The drivers that a fleet's images need: the numbers that become the images' label `edge-gpu.driver.minimum`."""

from __future__ import annotations

from constructs_lib.driver_settings import DriverNeed
from stacks.fleet.images import Choice, Images


def image_driver_needs(images: Images) -> tuple[DriverNeed, ...]:
    """What each of `images` needs of the driver; the check without a kernel needs none."""
    return tuple(need for choice in images.build if (need := _need(choice)) is not None)


def _need(choice: Choice) -> DriverNeed | None:
    # Only a fleet with images pays for the import of the Docker provider's bindings.
    from constructs_lib.cuda_base_image import CUDA_VARIANTS
    from constructs_lib.gpu_check_image import DRIVER_MINIMUM
    from constructs_lib.triton_image import TRITON_VARIANTS

    if choice.image == "gpu-check":
        return DriverNeed(minimum=DRIVER_MINIMUM, needed_by="the image gpu-check") if choice.kernel else None
    variants = TRITON_VARIANTS if choice.image == "triton" else CUDA_VARIANTS
    branch = int(variants[choice.variant]["driver"])
    return DriverNeed(minimum=branch, needed_by=f"the image {choice.image} {choice.variant}")
