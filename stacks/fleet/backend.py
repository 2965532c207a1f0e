"""Where the state may lie. No credentials here: each backend takes them from its own environment variables."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stacks.fleet.rules import BaseUrl, Bucket, ObjectKey, Region, SchemaName, StateUrl
from stacks.fleet.section import Section


class LocalBackendSettings(Section):
    """State in `.edge/<fleet>/terraform.tfstate`, a folder that only its owner may enter."""

    type: Literal["local"] = Field("local", description="State on this machine.")


class S3BackendSettings(Section):
    """State in S3, locked there. Credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or a profile."""

    type: Literal["s3"] = Field(description="State in S3 or what speaks its protocol.")
    bucket: Bucket = Field(description="It must exist; turn its versioning on.")
    key: ObjectKey = Field(description="Object in the bucket, one a fleet.")
    region: Region = Field(description="Region of the bucket.")
    endpoint: BaseUrl | None = Field(None, description="Another service than AWS.")


class HttpBackendSettings(Section):
    """State behind a REST API, such as GitLab's. Credentials: TF_HTTP_USERNAME, TF_HTTP_PASSWORD."""

    type: Literal["http"] = Field(description="State behind a REST API.")
    address: StateUrl = Field(description="Where the state is read and written.")
    lock_address: StateUrl | None = Field(
        None, description="Where it is locked; together with `unlock_address`. Default: no lock."
    )
    unlock_address: StateUrl | None = Field(None, description="Where it is unlocked.")


class PgBackendSettings(Section):
    """State in PostgreSQL, locked there. Connection: PG_CONN_STR or libpq's variables."""

    type: Literal["pg"] = Field(description="State in PostgreSQL.")
    schema_name: SchemaName = Field("terraform_remote_state", description="One a fleet; made when absent.")


Backend = Annotated[
    LocalBackendSettings | S3BackendSettings | HttpBackendSettings | PgBackendSettings,
    Field(discriminator="type"),
]
