"""The Docker provider's bindings; `constructs_lib.providers` has the others.

A module of its own, so that a stack without images does not load them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs_lib.cdk import CORE
from constructs_lib.lazy_import import lazy_package

if TYPE_CHECKING or CORE == "cdktf":
    lazy_package("cdktf_cdktf_provider_docker")

    from cdktf_cdktf_provider_docker.container import (
        Container,
        ContainerDevices,
        ContainerLabels,
        ContainerMounts,
    )
    from cdktf_cdktf_provider_docker.image import Image, ImageBuild, ImageTimeouts
    from cdktf_cdktf_provider_docker.provider import DockerProvider
    from cdktf_cdktf_provider_docker.registry_image import RegistryImage
else:
    lazy_package("cdktn_provider_docker")

    from cdktn_provider_docker.container import (
        Container,
        ContainerDevices,
        ContainerLabels,
        ContainerMounts,
    )
    from cdktn_provider_docker.image import Image, ImageBuild, ImageTimeouts
    from cdktn_provider_docker.provider import DockerProvider
    from cdktn_provider_docker.registry_image import RegistryImage

__all__ = [
    "Container",
    "ContainerDevices",
    "ContainerLabels",
    "ContainerMounts",
    "DockerProvider",
    "Image",
    "ImageBuild",
    "ImageTimeouts",
    "RegistryImage",
]
