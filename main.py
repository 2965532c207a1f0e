#!/usr/bin/env python3
"""Builds the app from the fleet file that the variable FLEET names (default `fleets/lab.yaml`)."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from constructs_lib.cluster_identity import ClusterIdentity
from constructs_lib.identity_check import IdentityError
from scripts.bundle_fleet import chart_of_bundle
from scripts.errors import CommandError
from stacks.fleet import Fleet, FleetError, Images, load_fleet
from stacks.plan_only import PlanOnly, PlanOnlyError

if TYPE_CHECKING:
    from constructs_lib.cdk import App
    from stacks.fleet.waldur import WaldurSection

PROJECT = Path(__file__).resolve().parent


class ImagesError(Exception):
    """The fleet file's images cannot be described; the message tells why and what to do."""


class WaldurError(Exception):
    """The hand-over to Waldur cannot be described; the message tells why."""


def main() -> int:
    """Synthesize; 1 with a message when the fleet file, its secrets or its images are not as they must be."""
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
    try:
        chart_path = chart_of_bundle(fleet, edge_folder=edge_folder)
        output = synthesize(fleet, identity=identity, edge_folder=edge_folder, chart_path=chart_path)
        if plan_only:
            plan_only.disarm(output)
    except (ImagesError, WaldurError, PlanOnlyError, CommandError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    return 0


def synthesize(fleet: Fleet, *, identity: ClusterIdentity, edge_folder: Path, chart_path: Path | None = None) -> Path:
    """Write the stacks to `cdktf.out`. The CDK starts a Node process when it is imported: only now, all is valid."""
    # The bindings keep every object until the end: looking for garbage among them finds none, and takes a tenth longer.
    gc.disable()
    from constructs_lib.cdk import App
    from stacks.edge_gpu import STACK, EdgeGpuStack

    app = App()
    EdgeGpuStack(app, STACK, fleet=fleet, identity=identity, edge_folder=edge_folder, chart_path=chart_path)
    if fleet.images is not None:
        add_images(app, fleet, images=fleet.images, edge_folder=edge_folder)
    if fleet.waldur is not None:
        add_waldur(app, fleet, waldur=fleet.waldur, identity=identity, edge_folder=edge_folder)
    if os.environ.get("SYNTH_HCL_OUTPUT") == "true":  # `cdktf synth --hcl`
        from constructs_lib.hcl_export import prepare_for_hcl

        prepare_for_hcl(app)
        app.synth()
    else:
        from constructs_lib.stack_contents import synthesize as synthesize_app

        synthesize_app(app)
    return Path(app.outdir)


def add_images(app: App, fleet: Fleet, *, images: Images, edge_folder: Path) -> None:
    """Add the stack `edge-images`. A fleet without images does not pay for the Docker provider's bindings.

    Raises:
        ImagesError: The images cannot be described, for example because a base has no digest.
    """
    from stacks.edge_images import STACK, EdgeImagesStack
    from stacks.fleet_to_constructs import machines

    try:
        EdgeImagesStack(
            app,
            STACK,
            images=images,
            hosts={machine.name: machine.host for machine in machines(fleet)},
            backend=fleet.backend,
            images_folder=PROJECT / "images",
            edge_folder=edge_folder,
        )
    except ValueError as error:
        raise ImagesError(f"images: {error}") from error


def add_waldur(app: App, fleet: Fleet, *, waldur: WaldurSection, identity: ClusterIdentity, edge_folder: Path) -> None:
    """Add the stack `edge-waldur`.

    Raises:
        WaldurError: The section contradicts itself.
    """
    from constructs_lib.k3s_cluster import api_url
    from stacks.edge_waldur import STACK, EdgeWaldurStack
    from stacks.fleet_to_constructs import machines

    try:
        EdgeWaldurStack(
            app,
            STACK,
            waldur=waldur,
            api_url=api_url(next(machine for machine in machines(fleet) if machine.role == "server")),
            identity=identity,
            backend=fleet.backend,
            edge_folder=edge_folder,
        )
    except ValueError as error:
        raise WaldurError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
