"""Ordering of whole constructs."""

from __future__ import annotations

from constructs_lib.cdk import IConstruct, TerraformResource


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
    waiting = resources_of(construct)
    if not waiting:
        raise ValueError(f"run_after: {construct.node.path!r} holds no resource; call it after the tree is built")
    for dependency in dependencies:
        wanted = resources_of(dependency)
        if not wanted:
            raise ValueError(
                f"run_after: {dependency.node.path!r} holds no resource to wait for; call it after the tree is built"
            )
        paths = {resource.node.path for resource in wanted}
        shared = paths & {resource.node.path for resource in waiting}
        if shared:
            raise ValueError(f"run_after: {sorted(shared)[0]!r} would wait for itself")
        addresses = [address_of(resource) for resource in wanted]
        for resource in waiting:
            known = list(resource.depends_on or [])
            resource.depends_on = [*known, *(address for address in addresses if address not in known)]


def resources_of(construct: IConstruct) -> list[TerraformResource]:
    """All Terraform resources at and below `construct`, in tree order."""
    return [node for node in construct.node.find_all() if isinstance(node, TerraformResource)]


def address_of(resource: TerraformResource) -> str:
    """The Terraform address of `resource`, for example `terraform_data.gpu-1_k3s_1A2B3C4D`."""
    return f"{resource.terraform_resource_type}.{resource.friendly_unique_id}"
