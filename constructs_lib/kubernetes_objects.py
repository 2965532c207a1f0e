"""Objects of a cluster, read at every plan."""

from __future__ import annotations

from constructs_lib.cdk import Construct, TerraformResourceLifecycle
from constructs_lib.held_element import HeldDataSource
from constructs_lib.providers import DataKubernetesResources


class KubernetesObjects(HeldDataSource):
    """The data source `kubernetes_resources`, which answers with an empty list where there is no such object.

    Args:
        scope: Parent construct.
        id_: Construct id.
        api_version: For example `v1`.
        kind: For example `Pod`.
        namespace: Default None: all of them, or a kind without namespaces.
        label_selector: Default None: any labels.
        field_selector: Default None: any fields.
        lifecycle: Default none.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        lifecycle: TerraformResourceLifecycle | None = None,
    ) -> None:
        given = {
            "api_version": api_version,
            "kind": kind,
            "namespace": namespace,
            "label_selector": label_selector,
            "field_selector": field_selector,
        }
        super().__init__(
            scope,
            id_,
            type_="kubernetes_resources",
            provider="kubernetes",
            binding=DataKubernetesResources,
            arguments={name: value for name, value in given.items() if value is not None},
            lifecycle=lifecycle,
        )
