"""Ordering of whole constructs."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from constructs_lib.cdk import IConstruct, TerraformResource
from constructs_lib.held_element import HeldResource
from constructs_lib.terraform_data import Step

_addresses: WeakKeyDictionary[TerraformResource, str] = WeakKeyDictionary()


def run_after(construct: IConstruct, *dependencies: IConstruct) -> None:
    """Make every resource of `construct` wait for every resource of `dependencies`.

    Neither `depends_on=[construct]` nor `construct.node.add_dependency()` reaches Terraform: both are dropped
    without an error (open-constructs/cdk-terrain issue 354). Call this when both trees are complete: resources
    added later are not seen.

    Args:
        construct: The construct, or single resource, that has to wait.
        dependencies: What has to be there first.

    Raises:
        ValueError: `construct` or a dependency holds no Terraform resource (nothing would be ordered), or a
            dependency lies inside `construct` or the other way round (the plan would be a cycle).
    """
    waiting = {address_of(resource): resource for resource in resources_of(construct)}
    if not waiting:
        raise ValueError(f"run_after: {construct.node.path!r} holds no resource; call it after the tree is built")
    addresses: list[str] = []
    for dependency in dependencies:
        wanted = addresses_of(dependency)
        if not wanted:
            raise ValueError(
                f"run_after: {dependency.node.path!r} holds no resource to wait for; call it after the tree is built"
            )
        shared = [address for address in wanted if address in waiting]
        if shared:
            raise ValueError(f"run_after: {waiting[shared[0]].node.path!r} would wait for itself")
        addresses += wanted
    for resource in waiting.values():
        wait_for(resource, addresses)


def wait_for(resource: TerraformResource, addresses: Sequence[str]) -> None:
    """Order a resource after others, by their addresses; each is told once."""
    if isinstance(resource, HeldResource):
        resource.wait_for(addresses)
    else:
        resource.depends_on = list(dict.fromkeys([*(resource.depends_on or []), *addresses]))


def addresses_of(construct: IConstruct) -> list[str]:
    """The addresses of `resources_of(construct)`."""
    return [address_of(resource) for resource in resources_of(construct)]


def resources_of(construct: IConstruct) -> list[TerraformResource]:
    """All Terraform resources at and below `construct`, in tree order."""
    if isinstance(construct, HeldResource):
        return [construct]
    if isinstance(construct, Step):
        return [construct.resource]
    return [node for node in construct.node.find_all() if isinstance(node, TerraformResource)]


def address_of(resource: TerraformResource) -> str:
    """The Terraform address of `resource`, for example `terraform_data.gpu-1_k3s_1A2B3C4D`.

    Remembered of what is no `HeldResource`, since asking costs two round trips: `override_logical_id` has to come
    before the first `run_after` with the resource.
    """
    if isinstance(resource, HeldResource):
        return resource.address
    if resource not in _addresses:
        _addresses[resource] = f"{resource.terraform_resource_type}.{resource.friendly_unique_id}"
    return _addresses[resource]
