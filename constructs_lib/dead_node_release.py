"""Keeps a machine that is off from holding up the deletion of Kubernetes objects."""

from __future__ import annotations

import json
from collections.abc import Sequence

from constructs_lib.cdk import Construct, IConstruct
from constructs_lib.machine import Machine
from constructs_lib.node_removal import access, keep_quiet, on_destroy
from constructs_lib.ordering import resources_of, run_after
from constructs_lib.terraform_data import TerraformData


class DeadNodeRelease(Construct):
    """Before its namespaces are deleted, drops the Node objects and pods of machines that do not answer.

    A namespace stays until the kubelet of each of its pods has said that the pod ended: with one machine off, its
    deletion runs into its time limit, and the destroy with it. Creating this does nothing.

    Args:
        scope: Parent construct.
        id_: Construct id.
        machines: All machines of the cluster.
        servers: Those through which the cluster is spoken to.
        within: Constructs whose namespaces wait for this at destroy; at least one namespace.

    Attributes:
        resource: The `terraform_data` resource.

    Raises:
        ValueError: There is no namespace in `within`.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        machines: Sequence[Machine],
        servers: Sequence[Machine],
        within: Sequence[IConstruct],
    ) -> None:
        super().__init__(scope, id_)
        namespaces = [
            resource
            for construct in within
            for resource in resources_of(construct)
            if resource.terraform_resource_type == "kubernetes_namespace_v1"
        ]
        if not namespaces:
            raise ValueError(f"DeadNodeRelease {id_!r}: no namespace to wait for")
        self.resource = TerraformData(
            self,
            "on-destroy",
            triggers_replace={},
            input={
                "machines": json.dumps([access(machine) for machine in machines]),
                "servers": json.dumps([access(machine) for machine in servers]),
            },
            provisioners=[
                on_destroy(module="constructs_lib.release_dead_nodes", options={}, target="${jsonencode(self.output)}")
            ],
        )
        keep_quiet(self.resource)
        run_after(self.resource, *namespaces)
