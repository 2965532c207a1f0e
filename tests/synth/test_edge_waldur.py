"""The stack `edge-waldur`: what it makes before and after the offering is registered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from constructs_lib.cdk import TerraformStack, Testing
from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.testing import resources, synth
from main import WaldurError, add_waldur
from scripts.waldur_spec import OfferingSpec
from stacks.fleet import FleetError, parse_fleet

FLEET = Path(__file__).resolve().parents[2] / "fleets" / "example.yaml"
SECTION: dict[str, Any] = {
    "api_url": "https://waldur.example.com/api/",
    "provider": "Edge Ltd",
    "offering": "K3s GPU edge",
    "backend_id": "edge-1",
    "prices": {"gpu": "10", "gpu_hours": "0.75"},
    "prometheus_chart_version": "27.3.0",
}
AGENT = {"offering_uuid": "0123456789abcdef" * 2, "agent_image": "registry.example/waldur-site-agent-k3s:0.1.0"}


def stack(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """The synthesized stack of the example fleet with a `waldur` section."""
    data = yaml.safe_load(FLEET.read_text())
    data["waldur"] = {**SECTION, **changes}
    fleet = parse_fleet(yaml.safe_dump(data), source="fleet.yaml")
    assert fleet.waldur is not None
    app = Testing.app()
    edge = tmp_path / "edge"
    add_waldur(app, fleet, waldur=fleet.waldur, identity=ClusterIdentity(edge), edge_folder=edge)
    made = app.node.find_child("edge-waldur")
    assert isinstance(made, TerraformStack)
    return synth(made)


def test_before_the_offering_is_registered_there_is_its_spec_and_the_accounting_and_no_agent(tmp_path: Path) -> None:
    made = stack(tmp_path)
    spec = OfferingSpec.model_validate_json(made["output"]["waldur_offering"]["value"])
    assert spec.offering.backend_id == "edge-1"
    assert len(resources(made, "helm_release")) == 1
    assert resources(made, "kubernetes_deployment_v1") == {}
    assert made["terraform"]["backend"]["local"]["path"] == str(tmp_path / "edge" / "waldur" / "terraform.tfstate")


def test_with_the_registered_offering_there_is_the_agent_and_no_tenant(tmp_path: Path) -> None:
    made = stack(tmp_path, **AGENT)
    assert len(resources(made, "kubernetes_deployment_v1")) == 3
    namespaces = [one["metadata"]["name"] for one in resources(made, "kubernetes_namespace_v1").values()]
    assert sorted(namespaces) == ["gpu-accounting", "waldur-system"]
    for type_ in ("kubernetes_resource_quota_v1", "kubernetes_role_binding_v1", "kubernetes_secret_v1"):
        assert resources(made, type_) == {}


def test_an_agent_without_its_image_and_a_price_of_no_component_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WaldurError, match="offering_uuid and agent_image belong together"):
        stack(tmp_path, offering_uuid=AGENT["offering_uuid"])
    with pytest.raises(WaldurError, match="tpu, which is no component"):
        stack(tmp_path, prices={"tpu": "1"})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"api_url": "http://waldur.example.com/api/"}, "is no address of Waldur's API"),
        ({"prices": {"gpu": "-1"}}, "has '-1' for gpu"),
        ({"offering_uuid": "edge-1"}, "is no UUID"),
        ({"token": "secret"}, "token"),
    ],
)
def test_a_wrong_section_is_refused_with_its_fix(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=told):
        stack(tmp_path, **changes)
