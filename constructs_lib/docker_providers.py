"""The Docker provider's bindings; `constructs_lib.providers` has the others.

A module of its own, so that a stack without images does not load them.
"""

from __future__ import annotations

from constructs_lib.lazy_import import lazy_package

lazy_package("cdktf_cdktf_provider_docker")

from cdktf_cdktf_provider_docker.container import (  # noqa: E402
    Container,
    ContainerDevices,
    ContainerLabels,
    ContainerMounts,
)
from cdktf_cdktf_provider_docker.image import Image, ImageBuild, ImageTimeouts  # noqa: E402
from cdktf_cdktf_provider_docker.provider import DockerProvider  # noqa: E402
from cdktf_cdktf_provider_docker.registry_image import RegistryImage  # noqa: E402

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
