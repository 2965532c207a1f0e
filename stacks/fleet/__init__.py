"""The fleet file: the one input, parsed at the edge into frozen objects. Nothing here starts the CDK."""

from stacks.fleet.backend import (
    Backend,
    HttpBackendSettings,
    LocalBackendSettings,
    PgBackendSettings,
    S3BackendSettings,
)
from stacks.fleet.images import Images
from stacks.fleet.load import load_fleet, parse_fleet
from stacks.fleet.model import (
    Bastion,
    BundleSettings,
    ContainerToolkit,
    DevicePlugin,
    Fleet,
    GpuCheckSettings,
    ImageArchive,
    K3s,
    Node,
    Ssh,
)
from stacks.fleet.problems import FleetError, Problem

__all__ = [
    "Backend",
    "Bastion",
    "BundleSettings",
    "ContainerToolkit",
    "DevicePlugin",
    "Fleet",
    "FleetError",
    "GpuCheckSettings",
    "HttpBackendSettings",
    "ImageArchive",
    "Images",
    "K3s",
    "LocalBackendSettings",
    "Node",
    "PgBackendSettings",
    "Problem",
    "S3BackendSettings",
    "Ssh",
    "load_fleet",
    "parse_fleet",
]
