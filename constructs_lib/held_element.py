"""Elements whose blocks stay in this process until their stack is synthesized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import partialmethod
from typing import TYPE_CHECKING, Any, ClassVar, cast

import jsii

from constructs_lib.cdk import (
    Construct,
    TerraformDataSource,
    TerraformElement,
    TerraformProviderGeneratorMetadata,
    TerraformResource,
    TerraformResourceConfig,
    TerraformResourceLifecycle,
)
from constructs_lib.place import name_of, place_of, remember
from constructs_lib.stack_contents import StackContents
from constructs_lib.struct_values import made, plain_value, struct_values

_configs: dict[tuple[str, str | None], TerraformResourceConfig] = {}


class HeldElement:
    """What `HeldResource` and `HeldDataSource` have in common.

    What such an element holds goes to the CDK's process together with that of all others of the stack
    (`StackContents`): several round trips for each would be most of the time that a large fleet takes. What the CDK's
    own properties are set to (`resource.depends_on = [...]`) comes on top, but does not show here. To follow a renamed
    one use `moved`, not `move_to_id`.

    Attributes:
        type_: Terraform's type.
        arguments: Arguments by Terraform's name: plain values, or structs of the bindings.
        lifecycle_struct: The lifecycle as given.
        waits_for: Addresses of the resources it waits for.
        overrides: What `add_override` added: path, value.
        is_for_hcl: Whether `for_hcl` was called.
    """

    section: ClassVar[str]
    type_: str

    def _hold(
        self,
        scope: Construct,
        id_: str,
        *,
        type_: str,
        provider: str | None,
        lifecycle: TerraformResourceLifecycle | None,
        binding: type[TerraformElement] | None,
        arguments: Mapping[str, object],
    ) -> None:
        # As the binding's own constructor does, less its check of every argument against type hints read anew.
        base = TerraformResource if isinstance(self, TerraformResource) else TerraformDataSource
        jsii.create(base, self, [scope, id_, _config(type_, provider)])
        remember(cast(Construct, self), scope, id_)
        self.type_ = type_
        self.arguments = dict(arguments)
        self.lifecycle_struct = lifecycle
        self.waits_for: list[str] = []
        self.overrides: list[tuple[str, Any]] = []
        self.is_for_hcl = False
        self._binding = binding
        self._name: str | None = None
        StackContents.of(place_of(cast(Construct, self)).stack).add(self)

    @property
    def name(self) -> str:
        """Its name in Terraform."""
        return self._name or name_of(cast(TerraformElement, self))

    @property
    def address(self) -> str:
        """Its address in Terraform."""
        return f"{'data.' if self.section == 'data' else ''}{self.type_}.{self.name}"

    def _override_logical_id(self, new_logical_id: str) -> None:
        """Give it another name.

        Args:
            new_logical_id: The name. It has to be given before others refer to it.
        """
        TerraformElement.override_logical_id(cast(TerraformElement, self), new_logical_id)
        self._name = new_logical_id

    def _add_override(self, path: str, value: Any) -> None:
        """Set anything in the block, over all else.

        Args:
            path: Terraform's names, joined by dots; an index where there is a list.
            value: Its value; a mapping is merged into one that is there, a list is put behind one.
        """
        self.overrides.append((path, value))

    # A plain method of such a name would be told to the CDK's process as one that replaces its own: for each element
    # anew, and for calls from there, of which there are none.
    if not TYPE_CHECKING:
        override_logical_id = partialmethod(_override_logical_id)
        add_override = partialmethod(_add_override)

    def wait_for(self, addresses: Sequence[str]) -> None:
        """Have it wait for resources; `run_after` is for constructs.

        Args:
            addresses: Their addresses; one that is known already is not told twice.
        """
        self.waits_for = list(dict.fromkeys([*self.waits_for, *addresses]))

    def block(self) -> dict[str, Any]:
        """Its block, in Terraform's JSON syntax."""
        block: dict[str, Any] = {name: plain_value(value) for name, value in self.arguments.items()}
        if self.lifecycle_struct is not None:
            block["lifecycle"] = struct_values(self.lifecycle_struct)
        if self.waits_for:
            block["depends_on"] = self.waits_for
        return block

    def whole_block(self) -> dict[str, Any]:
        """The block with what `add_override` added."""
        # What is in a block may be in others too.
        block = deepcopy(self.block()) if self.overrides else self.block()
        for path, value in self.overrides:
            _override(block, path.split("."), value)
        return block

    def for_hcl(self) -> TerraformElement:
        """An element that holds all of this on the CDK's side, for the HCL writer, which reads nothing else."""
        self.is_for_hcl = True
        element = cast(TerraformElement, self)
        if self._binding is not None:
            # The HCL writer knows from the binding what is a block and what a mapping.
            scope, id_ = element.node.scope, element.node.id
            assert scope is not None
            scope.node.try_remove_child(id_)
            given = {name: made(value) for name, value in self.arguments.items()}
            element = cast(Any, self._binding)(scope, id_, **given)
        holder = cast(TerraformResource, element)
        holder.lifecycle = made(self.lifecycle_struct)
        if self.waits_for:
            holder.depends_on = self.waits_for
        for path, value in self.overrides:
            TerraformElement.add_override(element, path, value)
        return element


class HeldResource(HeldElement, TerraformResource):
    """A resource whose block stays here until the stack is synthesized; see `HeldElement`.

    Args:
        scope: Parent construct.
        id_: Construct id.
        type_: Terraform's type.
        provider: Name of its provider, default Terraform's own.
        binding: Its class in the provider's bindings, for the HCL writer. Default None: it has none.
        arguments: What the binding takes: plain values, or structs of the bindings. Default none.
        lifecycle: Default none.
    """

    section = "resource"

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        type_: str,
        provider: str | None = None,
        binding: type[TerraformResource] | None = None,
        arguments: Mapping[str, object] | None = None,
        lifecycle: TerraformResourceLifecycle | None = None,
    ) -> None:
        self._hold(
            scope,
            id_,
            type_=type_,
            provider=provider,
            binding=binding,
            arguments=arguments or {},
            lifecycle=lifecycle,
        )


class HeldDataSource(HeldElement, TerraformDataSource):
    """A data source whose block stays here until the stack is synthesized; for arguments see `HeldResource`."""

    section = "data"

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        type_: str,
        provider: str,
        binding: type[TerraformDataSource],
        arguments: Mapping[str, object],
        lifecycle: TerraformResourceLifecycle | None = None,
    ) -> None:
        self._hold(
            scope, id_, type_=type_, provider=provider, binding=binding, arguments=arguments, lifecycle=lifecycle
        )


def _config(type_: str, provider: str | None) -> TerraformResourceConfig:
    if (type_, provider) not in _configs:
        _configs[type_, provider] = TerraformResourceConfig(
            terraform_resource_type=type_,
            # What the CDK's check that each provider is there goes by.
            terraform_generator_metadata=TerraformProviderGeneratorMetadata(provider_name=provider)
            if provider is not None
            else None,
        )
    return _configs[type_, provider]


def _override(target: Any, path: Sequence[str], value: Any) -> None:
    name, *rest = path
    key: Any = int(name) if isinstance(target, list) else name
    before = target.get(key) if isinstance(target, dict) else target[key]
    if rest:
        if not isinstance(before, dict | list):
            before = target[key] = {}
        _override(before, rest, value)
    elif isinstance(before, dict) and isinstance(value, Mapping):
        merged = target[key] = dict(before)
        for inner, item in value.items():
            _override(merged, [inner], item)
    elif isinstance(before, list) and isinstance(value, list):
        target[key] = [*before, *value]
    else:
        target[key] = value
