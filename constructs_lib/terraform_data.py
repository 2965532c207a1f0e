"""Terraform's built-in `terraform_data` resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from constructs_lib.cdk import (
    Construct,
    FileProvisioner,
    LocalExecProvisioner,
    RemoteExecProvisioner,
    SSHProvisionerConnection,
    TerraformResource,
    TerraformResourceLifecycle,
)


class TerraformData(TerraformResource):
    """A resource without anything behind it, for its provisioners.

    The CDK's own `DataResource` runs `terraform version` once for each resource at every synthesis, 60 ms a time: for
    a fleet of fifty nodes that is a quarter of a minute.

    Args:
        scope: Parent construct.
        id_: Construct id.
        triggers_replace: What makes it this resource: a change replaces it, and its create provisioners run again. A
            mapping, or a Terraform expression.
        input: What it remembers, as `self.output` at destroy; a change is no replacement. Default none.
        connection: How its provisioners log in.
        provisioners: What runs, in order.
        lifecycle: Default none.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        triggers_replace: Mapping[str, str] | str,
        input: Mapping[str, str] | str | None = None,  # noqa: A002 (Terraform's name)
        connection: SSHProvisionerConnection | None = None,
        provisioners: Sequence[FileProvisioner | LocalExecProvisioner | RemoteExecProvisioner] = (),
        lifecycle: TerraformResourceLifecycle | None = None,
    ) -> None:
        super().__init__(
            scope,
            id_,
            terraform_resource_type="terraform_data",
            connection=connection,
            # An empty list would be a block without a kind, which Terraform refuses.
            provisioners=list(provisioners) or None,
            lifecycle=lifecycle,
        )
        self.add_override("triggers_replace", _plain(triggers_replace))
        if input is not None:
            self.add_override("input", _plain(input))


class Step(Construct):
    """A construct that is one `terraform_data` and nothing else.

    Attributes:
        resource: The `terraform_data` resource.
    """

    resource: TerraformData


def _plain(value: Mapping[str, str] | str) -> dict[str, str] | str:
    return value if isinstance(value, str) else dict(value)
