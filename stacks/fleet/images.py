"""The fleet file's `images` section: which container images are built, on what, and where they go."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from stacks.fleet.problems import RuleError
from stacks.fleet.rules import Flag, NodeName, Rule
from stacks.fleet.section import Section

_Addresses = Annotated[
    Mapping[str, str],
    AfterValidator(MappingProxyType),
    Rule("a mapping of names to addresses", "{UBUNTU_MIRROR: http://mirror.example.com/ubuntu}"),
]
_Minutes = Annotated[int, Field(ge=1, le=1440), Rule("whole minutes from 1 to 1440, without unit", "120")]
_Platform = Annotated[Literal["linux/amd64", "linux/arm64"], Rule("linux/amd64 or linux/arm64", "linux/arm64")]
_Network = Annotated[Literal["default", "host", "none"], Rule("default, host or none", "host")]


def _registry(value: str) -> str:
    if "://" in value or "@" in value or value.endswith("/") or not value or value != value.lower():
        raise RuleError("is no registry", fix="write host, port and path, like registry.example:5000/edge")
    return value


_Engine = Annotated[str, Rule("an engine's address, as DOCKER_HOST has it", "ssh://edge@builder.example.com")]
_Registry = Annotated[
    str,
    AfterValidator(_registry),
    Rule("a registry with path, without scheme, in lower case", "registry.example:5000/edge"),
]


class ImageChoice(Section):
    """One image."""

    hand_over_to: tuple[NodeName, ...] = Field(
        (), strict=False, description="Nodes that get the image as a tar, without a registry."
    )


class TritonChoice(ImageChoice):
    """Option 1: Triton Inference Server."""

    image: Literal["triton"] = Field(description="Triton with ROS 2.")
    variant: Annotated[Literal["24.08", "22.03"], Rule("24.08 or 22.03", '"24.08"')] = Field(
        "24.08", description="Triton release; 22.03 is Ubuntu 20.04."
    )
    ros2: Flag = Field(
        True, description="With ROS 2 Humble: by apt on 24.08; from source on 22.03, which takes about two hours."
    )


class CudaBaseChoice(ImageChoice):
    """Option 2, step 1: CUDA and tools alone."""

    image: Literal["cuda-base"] = Field(description="Ubuntu 22.04 with CUDA.")
    variant: Annotated[Literal["12.9", "11.7"], Rule("12.9 or 11.7", '"12.9"')] = Field(
        "12.9", description="CUDA version."
    )


class Ros2HumbleChoice(ImageChoice):
    """Option 2: ROS 2 Humble on `cuda-base`, which is built too."""

    image: Literal["ros2-humble"] = Field(description="ROS 2 Humble by apt.")
    variant: Annotated[Literal["12.9", "11.7"], Rule("12.9 or 11.7", '"11.7"')] = Field(
        "12.9", description="CUDA version of the base."
    )
    nitros: Flag = Field(False, description="With isaac_ros_nitros v0.20.0-dp; needs the variant 11.7 and amd64.")


class GpuCheckChoice(ImageChoice):
    """The image of the GPU check."""

    image: Literal["gpu-check"] = Field(description="Lists GPUs and runs a CUDA kernel.")
    kernel: Flag = Field(True, description="With a CUDA kernel. false: nvidia-smi alone, no CUDA image is pulled.")


Choice = Annotated[
    TritonChoice | CudaBaseChoice | Ros2HumbleChoice | GpuCheckChoice,
    Field(discriminator="image"),
]


class Images(Section):
    """Container images, for the stack `edge-images`."""

    build: tuple[Choice, ...] = Field(strict=False, min_length=1, description="The images.")
    platform: _Platform | None = Field(None, description="What they are built for. Default: the engine's own.")
    registry: _Registry | None = Field(None, description="Where they are pushed to. Default: not pushed.")
    docker_host: _Engine | None = Field(
        None, description="Engine that builds, as DOCKER_HOST has it. Default: the environment's, else the local one."
    )
    network: _Network = Field("default", description="Network of the builds' RUN steps.")
    allow_unlocked_bases: Flag = Field(
        False, description="Build on a tag alone where images/bases.lock.toml has no digest. Warned of at each run."
    )
    registry_mirrors: _Addresses = Field(
        default_factory=lambda: MappingProxyType({}),
        description="Address to pull bases from by registry, `{nvcr.io: mirror.example:5000/nvcr}`.",
    )
    mirrors: _Addresses = Field(
        default_factory=lambda: MappingProxyType({}),
        description="Outside addresses of the builds by the Dockerfiles' argument, such as UBUNTU_MIRROR.",
    )
    build_timeout_minutes: _Minutes = Field(120, description="Limit of each build.")
