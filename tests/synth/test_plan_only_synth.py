"""A synthesis without secrets has the addresses and triggers of one with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from constructs_lib import cdk
from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.testing import synth
from scripts.checkout import ROOT
from scripts.plan_make import _take_over_token_ids
from stacks.edge_gpu import EdgeGpuStack
from stacks.fleet import load_fleet
from stacks.plan_only import PlanOnly


def synthesized(identity: ClusterIdentity) -> dict[str, Any]:
    fleet = load_fleet(ROOT / "fleets" / "example.yaml")
    folder = Path("/project/.edge/example")
    made = synth(EdgeGpuStack(cdk.Testing.app(), "edge-gpu", fleet=fleet, identity=identity, edge_folder=folder))
    for blocks in (*made["resource"].values(), *made["data"].values()):
        for block in blocks.values():
            block.pop("provisioner", None)
            block.pop("connection", None)
    return {"resource": made["resource"], "data": made["data"]}


def test_token_ids_come_from_the_last_state_so_that_nothing_seems_to_change(tmp_path: Path) -> None:
    real = ClusterIdentity.create(directory=tmp_path / "real", cluster_name="example", server_addresses=["192.0.2.11"])
    deployed = synthesized(real)
    planning = PlanOnly(tmp_path / "planning")
    ClusterIdentity.create(
        directory=planning.identity.directory, cluster_name="plan-only", server_addresses=["plan-only.invalid"]
    )
    assert synthesized(planning.identity) != deployed
    state = [
        {"type": "terraform_data", "instances": [{"attributes": {"input": {"value": block.get("input")}}}]}
        for block in deployed["resource"]["terraform_data"].values()
    ]
    planning.state("edge-gpu").parent.mkdir()
    planning.state("edge-gpu").write_text(json.dumps({"resources": state}))
    assert _take_over_token_ids(planning, "edge-gpu")
    assert synthesized(planning.identity) == deployed
