"""The stack `edge-waldur`: a cluster that `edge-gpu` made is handed over to Waldur."""

from __future__ import annotations

from pathlib import Path

from constructs_lib.cdk import Construct, TerraformOutput, TerraformStack
from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.gpu_accounting import GpuAccounting
from constructs_lib.waldur_agent import WaldurAgent
from constructs_lib.waldur_offering import WaldurOffering, WaldurPlan, WaldurProvider
from stacks.backend import add_backend
from stacks.connection import connect_providers
from stacks.fleet import Backend
from stacks.fleet.waldur import WaldurSection
from stacks.images_backend import images_backend

STACK = "edge-waldur"


class EdgeWaldurStack(TerraformStack):
    """Accounting, the offering's spec, and, once it is registered, the agent. Tenants are Waldur's, and in no stack.

    Args:
        scope: The app.
        id_: Stack name.
        waldur: The fleet file's section.
        api_url: The cluster's API.
        identity: The cluster's admin certificate.
        backend: The fleet file's `backend`; this stack's state lies beside the cluster's.
        edge_folder: Absolute path of `.edge/<fleet>`; a local state goes to `waldur/` in it.

    Raises:
        ValueError: `offering_uuid` and `agent_image` are not given together, a price is that of no component, or
            what the constructs raise.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        waldur: WaldurSection,
        api_url: str,
        identity: ClusterIdentity,
        backend: Backend,
        edge_folder: Path,
    ) -> None:
        super().__init__(scope, id_)
        add_backend(self, backend=images_backend(backend, suffix="-waldur"), edge_folder=edge_folder / "waldur")
        connect_providers(self, api_url=api_url, identity=identity)
        offering = WaldurOffering(
            self,
            "offering",
            api_url=waldur.api_url,
            category=waldur.category,
            provider=WaldurProvider(name=waldur.provider),
            name=waldur.offering,
            backend_id=waldur.backend_id,
            plans=[WaldurPlan(name="Default", prices=waldur.prices)],
        )
        accounting = GpuAccounting(
            self,
            "gpu-accounting",
            chart_version=waldur.prometheus_chart_version,
            dcgm_chart_version=waldur.dcgm_chart_version,
        )
        if (waldur.offering_uuid is None) != (waldur.agent_image is None):
            raise ValueError("waldur: offering_uuid and agent_image belong together: give both, or none yet")
        if waldur.offering_uuid is not None and waldur.agent_image is not None:
            WaldurAgent(
                self,
                "agent",
                api_url=waldur.api_url,
                offering_uuid=waldur.offering_uuid,
                image=waldur.agent_image,
                prometheus_url=accounting.url,
                components=offering.components,
            )
        TerraformOutput(
            self,
            "waldur_offering",
            value=offering.spec,
            description="Spec for `edge-gpu waldur register`",
        )
