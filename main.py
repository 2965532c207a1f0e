#!/usr/bin/env python3
"""Builds the app from the fleet file that the variable FLEET names (default `fleets/lab.yaml`)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.identity_check import IdentityError
from stacks.fleet import Fleet, FleetError, load_fleet
from stacks.plan_only import PlanOnly, PlanOnlyError

PROJECT = Path(__file__).resolve().parent


def main() -> int:
    """Synthesize; 1 with a message when the fleet file or its secrets are not as they must be."""
    path = PROJECT / os.environ.get("FLEET", "fleets/lab.yaml")
    try:
        fleet = load_fleet(path)
    except FleetError as error:
        print(error, file=sys.stderr)
        return 1
    for warning in fleet.warnings():
        print(f"WARNING {warning}", file=sys.stderr)
    edge_folder = PROJECT / ".edge" / fleet.name
    plan_only = PlanOnly.from_environment()
    identity = plan_only.identity if plan_only else ClusterIdentity(edge_folder)
    try:
        identity.verify()
    except IdentityError as error:
        print(error, file=sys.stderr)
        if not identity.exists():
            print(f"  fix: python -m stacks.identity {path}", file=sys.stderr)
        return 1
    output = synthesize(fleet, identity=identity, edge_folder=edge_folder)
    try:
        if plan_only:
            plan_only.disarm(output)
    except PlanOnlyError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def synthesize(fleet: Fleet, *, identity: ClusterIdentity, edge_folder: Path) -> Path:
    """Write the stacks to `cdktf.out`. The CDK starts a Node process when it is imported: only now, all is valid."""
    from constructs_lib.cdk import App
    from stacks.edge_gpu import STACK, EdgeGpuStack

    app = App()
    EdgeGpuStack(app, STACK, fleet=fleet, identity=identity, edge_folder=edge_folder)
    app.synth()
    return Path(app.outdir)


if __name__ == "__main__":
    sys.exit(main())
