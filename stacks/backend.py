"""Where the state lies."""

from __future__ import annotations

from pathlib import Path

from constructs_lib.cdk import HttpBackend, LocalBackend, PgBackend, S3Backend, TerraformStack
from stacks.fleet import Backend, HttpBackendSettings, PgBackendSettings, S3BackendSettings


def add_backend(stack: TerraformStack, *, backend: Backend, edge_folder: Path) -> None:
    """Give `stack` the backend of the fleet file. Credentials come from the backend's own environment variables.

    Args:
        stack: The stack.
        backend: The fleet file's `backend`.
        edge_folder: Absolute path of the folder for a local state. A relative one would put the state into
            `cdktf.out`, where the CLI deletes it when the stack is renamed.

    Raises:
        ValueError: `edge_folder` is relative.
    """
    if not edge_folder.is_absolute():
        raise ValueError(f"the folder of the local state must be absolute, got {str(edge_folder)!r}")
    if isinstance(backend, S3BackendSettings):
        S3Backend(stack, bucket=backend.bucket, key=backend.key, region=backend.region, encrypt=True)
        if backend.endpoint is not None:
            stack.add_override("terraform.backend.s3.endpoints", {"s3": backend.endpoint})
        # cdktf 0.21 does not know the argument; Terraform has it since 1.10.
        stack.add_override("terraform.backend.s3.use_lockfile", True)
    elif isinstance(backend, HttpBackendSettings):
        HttpBackend(
            stack,
            address=backend.address,
            lock_address=backend.lock_address,
            unlock_address=backend.unlock_address,
        )
    elif isinstance(backend, PgBackendSettings):
        # The bindings insist on a connection string, which holds a password; Terraform takes it from PG_CONN_STR.
        PgBackend(stack, conn_str="", schema_name=backend.schema_name)
        stack.add_override("terraform.backend.pg.conn_str", None)
    else:
        LocalBackend(stack, path=str(edge_folder / "terraform.tfstate"))
