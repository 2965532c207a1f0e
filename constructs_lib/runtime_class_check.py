"""Sees to it that pods can ask for the NVIDIA runtime."""

from __future__ import annotations

from collections.abc import Sequence

from constructs_lib.cdk import Construct, Postcondition, TerraformResourceLifecycle
from constructs_lib.held_element import HeldResource
from constructs_lib.kubernetes_objects import KubernetesObjects
from constructs_lib.place import Group

NVIDIA = "nvidia"
_MANIFEST = "/var/lib/rancher/k3s/server/manifests/runtimes.yaml"


class RuntimeClassCheck(Group):
    """Every plan reads RuntimeClass `nvidia` and fails when it is gone: pods that name it could not start any more.

    K3s ships the RuntimeClass, but writes it only when its manifest changes; one that was deleted stays away. It is
    read and not made here, because making it would collide with K3s's own.

    Args:
        scope: Parent construct.
        id_: Construct id.
        after: Jobs that used it, at least one; on a new cluster it is not there from the first second on.
    """

    def __init__(self, scope: Construct, id_: str, *, after: Sequence[HeldResource]) -> None:
        super().__init__(scope, id_)
        read = KubernetesObjects(
            self,
            "read",
            api_version="node.k8s.io/v1",
            kind="RuntimeClass",
            field_selector=f"metadata.name={NVIDIA}",
            lifecycle=TerraformResourceLifecycle(
                postcondition=[
                    Postcondition(
                        condition="${length(self.objects) == 1}",
                        error_message=(
                            f"RuntimeClass {NVIDIA}: missing on the cluster, so no pod can ask for a GPU's runtime. "
                            f"Cause: somebody deleted it; K3s ships it and does not put it back by itself. "
                            f"Fix: on a server run k3s kubectl apply -f {_MANIFEST}"
                        ),
                    )
                ]
            ),
        )
        read.wait_for([job.address for job in after])
