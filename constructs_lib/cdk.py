"""The CDK core names this library uses.

CDKTF is archived; its successor is a renamed fork of the same code. Everything else imports from here, from
`constructs_lib.providers` and from `constructs_lib.docker_providers`: moving over is a change of these three files.
"""

from __future__ import annotations

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
    TerraformElement,
    TerraformOutput,
    TerraformResource,
    TerraformResourceLifecycle,
    TerraformStack,
    Testing,
    Token,
)
from constructs import Construct, IConstruct

__all__ = [
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
    "TerraformElement",
    "TerraformOutput",
    "TerraformResource",
    "TerraformResourceLifecycle",
    "TerraformStack",
    "Testing",
    "Token",
]
