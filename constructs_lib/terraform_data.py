"""Terraform's built-in `terraform_data` resource."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from constructs_lib.cdk import (
    Construct,
    FileProvisioner,
    LocalExecProvisioner,
    RemoteExecProvisioner,
    SSHProvisionerConnection,
    TerraformElement,
    TerraformResourceLifecycle,
)
from constructs_lib.held_element import HeldResource
from constructs_lib.place import Group
from constructs_lib.struct_values import made, struct_values


class TerraformData(HeldResource):
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

    Attributes:
        connection_struct: The connection as given.
        provisioner_structs: The provisioners as given.
        arguments: What `set_argument` gave, `triggers_replace` and `input` among it.
        provisioner_settings: What `set_in_provisioner` added: index, argument, value.
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
        super().__init__(scope, id_, type_="terraform_data", lifecycle=lifecycle)
        self.connection_struct = connection
        self.provisioner_structs = tuple(provisioners)
        self.provisioner_settings: list[tuple[int, str, object]] = []
        self.set_argument("triggers_replace", _plain(triggers_replace))
        if input is not None:
            self.set_argument("input", _plain(input))

    def set_argument(self, argument: str, value: object) -> None:
        """Give the resource an argument.

        Args:
            argument: Terraform's name, for example `for_each`.
            value: Its value.
        """
        self.arguments[argument] = value

    def set_in_provisioner(self, index: int, argument: str, value: object) -> None:
        """Give a provisioner an argument that its struct does not have (terraform-cdk issue 3502).

        Args:
            index: Which, from 0.
            argument: Terraform's name, for example `when`.
            value: Its value.
        """
        self.provisioner_settings.append((index, argument, value))

    def block(self) -> dict[str, Any]:
        """The resource's block, in Terraform's JSON syntax."""
        block = super().block()
        if self.connection_struct is not None:
            block["connection"] = struct_values(self.connection_struct)
        provisioners: list[dict[str, dict[str, object]]] = []
        for struct in self.provisioner_structs:
            values = dict(struct_values(struct))
            provisioners.append({str(values.pop("type")): values})
        for index, argument, value in self.provisioner_settings:
            (body,) = provisioners[index].values()
            body[argument] = value
        if provisioners:
            # An empty list would be a block without a kind, which Terraform refuses.
            block["provisioner"] = provisioners
        return block

    def for_hcl(self) -> TerraformData:
        """The same resource, which now holds connection and provisioners on the CDK's side too."""
        super().for_hcl()
        self.provisioner_structs = tuple(made(struct) for struct in self.provisioner_structs)
        self.connection = made(self.connection_struct)
        self.provisioners = list(self.provisioner_structs) or None
        return self

    def override_for_hcl(self, path: str, value: object) -> None:
        """Set something in what the CDK's own resource writes, which is its HCL alone.

        Args:
            path: Names in the HCL writer's own form, joined by dots.
            value: Its value.
        """
        TerraformElement.add_override(self, path, value)


class Step(Group):
    """A construct that is one `terraform_data` and nothing else.

    Attributes:
        resource: The `terraform_data` resource.
    """

    resource: TerraformData


def _plain(value: Mapping[str, str] | str) -> dict[str, str] | str:
    return value if isinstance(value, str) else dict(value)
