"""The CDK core names this library uses.

CDKTF is archived; its successor, CDK Terrain, is a renamed fork of the same code. The switch is what is installed:
CDKTF where it is there, else CDK Terrain. Everything else imports from here, from `constructs_lib.providers` and from
`constructs_lib.docker_providers`; no other file names either.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from constructs import Construct, IConstruct

CORE = "cdktf" if find_spec("cdktf") is not None else "cdktn"
"""The installed core: `cdktf`, or `cdktn`."""
if CORE == "cdktn" and find_spec("cdktn") is None:
    raise ModuleNotFoundError("neither cdktf nor cdktn is installed: pip install 'edge-gpu-constructs[cdktf]'")

if TYPE_CHECKING or CORE == "cdktf":
    from cdktf import (
        App,
        FileProvisioner,
        Fn,
        HttpBackend,
        LocalBackend,
        LocalExecProvisioner,
        PgBackend,
        Postcondition,
        RemoteExecProvisioner,
        S3Backend,
        SSHProvisionerConnection,
        TerraformDataSource,
        TerraformElement,
        TerraformOutput,
        TerraformProviderGeneratorMetadata,
        TerraformResource,
        TerraformResourceConfig,
        TerraformResourceLifecycle,
        TerraformStack,
        Testing,
        Token,
    )
else:
    from cdktn import (
        App,
        FileProvisioner,
        Fn,
        HttpBackend,
        LocalBackend,
        LocalExecProvisioner,
        PgBackend,
        Postcondition,
        RemoteExecProvisioner,
        S3Backend,
        SSHProvisionerConnection,
        TerraformDataSource,
        TerraformElement,
        TerraformOutput,
        TerraformProviderGeneratorMetadata,
        TerraformResource,
        TerraformResourceConfig,
        TerraformResourceLifecycle,
        TerraformStack,
        Testing,
        Token,
    )

__all__ = [
    "CORE",
    "App",
    "Construct",
    "FileProvisioner",
    "Fn",
    "HttpBackend",
    "IConstruct",
    "LocalBackend",
    "LocalExecProvisioner",
    "PgBackend",
    "Postcondition",
    "RemoteExecProvisioner",
    "S3Backend",
    "SSHProvisionerConnection",
    "TerraformDataSource",
    "TerraformElement",
    "TerraformOutput",
    "TerraformProviderGeneratorMetadata",
    "TerraformResource",
    "TerraformResourceConfig",
    "TerraformResourceLifecycle",
    "TerraformStack",
    "Testing",
    "Token",
]
