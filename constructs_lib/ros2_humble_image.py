"""Option 2, step 2: ROS 2 Humble by apt on an Ubuntu 22.04 image, with NITROS on request."""

from __future__ import annotations

from constructs_lib.cdk import Construct
from constructs_lib.container_image import ContainerImage
from constructs_lib.image_variants import ImageSettings


class Ros2HumbleImage(ContainerImage):
    """`images/ros2-humble` on another image: `myros2humble:latest`.

    Args:
        scope: Parent construct.
        id_: Construct id.
        settings: What all images of the site have in common.
        base: An Ubuntu 22.04 image with a user 1000, as `CudaBaseImage` or `TritonImage("24.08")` make them.
        nitros: Add a workspace with isaac_ros_nitros v0.20.0-dp, default False. Needs a base with CUDA 11.7, amd64,
            VPI 2 and Git LFS.
        package: What of ROS 2 is installed, default `ros-humble-desktop`.
        repository: Image name, default `myros2humble`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: ImageSettings,
        base: ContainerImage,
        nitros: bool = False,
        package: str = "ros-humble-desktop",
        repository: str = "myros2humble",
    ) -> None:
        folder = settings.folder / "ros2-humble"
        super().__init__(
            scope,
            id_,
            repository=repository,
            context=folder,
            build_args={**settings.mirrors_for(folder / "Dockerfile"), "ROS_PACKAGE": package},
            base=base,
            target="nitros" if nitros else "ros2",
            platform=settings.platform,
            registry=settings.registry,
            network_mode=settings.network_mode,
            build_timeout_minutes=settings.build_timeout_minutes,
        )
