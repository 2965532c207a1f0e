"""Ordering of whole constructs."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from constructs_lib.cdk import IConstruct, TerraformResource
from constructs_lib.terraform_data import Step, TerraformData

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
        wanted = [address_of(resource) for resource in resources_of(dependency)]
        if not wanted:
            raise ValueError(
                f"run_after: {dependency.node.path!r} holds no resource to wait for; call it after the tree is built"
            )
        shared = [address for address in wanted if address in waiting]
        if shared:
            raise ValueError(f"run_after: {waiting[shared[0]].node.path!r} would wait for itself")
        addresses += wanted
    # Each access is a round trip to the Node.js process: one read and one write a resource, however much it waits for.
    for resource in waiting.values():
        known = list(resource.depends_on or [])
        resource.depends_on = list(dict.fromkeys([*known, *addresses]))


def resources_of(construct: IConstruct) -> list[TerraformResource]:
    """All Terraform resources at and below `construct`, in tree order."""
    if isinstance(construct, TerraformData):
        return [construct]
    if isinstance(construct, Step):
        return [construct.resource]
    return [node for node in construct.node.find_all() if isinstance(node, TerraformResource)]


def address_of(resource: TerraformResource) -> str:
    """The Terraform address of `resource`, for example `terraform_data.gpu-1_k3s_1A2B3C4D`.

    Remembered, since asking costs two round trips and a fleet asks thousands of times: `override_logical_id` has to
    come before the first `run_after` with the resource.
    """
    if resource not in _addresses:
        type_ = "terraform_data" if isinstance(resource, TerraformData) else resource.terraform_resource_type
        _addresses[resource] = f"{type_}.{resource.friendly_unique_id}"
    return _addresses[resource]
