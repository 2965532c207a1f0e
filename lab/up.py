"""Brings a lab up and takes it down."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from lab.artifacts.k3s import K3S_VERSION
from lab.artifacts.node_image import ensure_node_image
from lab.artifacts.stand_in_driver import build_stand_in_driver
from lab.artifacts.terraform_plugins import build_terraform_plugins
from lab.engine import connect, engine_part
from lab.fleet_file import fleet_text, write_if_changed
from lab.fleet_state import set_aside_state
from lab.host_limits import inotify_shortage
from lab.labels import NODE, lab_filter
from lab.network import ensure_network, remove_network
from lab.node_container import NodeParts
from lab.nodes import ReadyNode, ensure_node
from lab.part import Part
from lab.parts_file import parts_text
from lab.progress import Progress
from lab.settings import LabSettings
from lab.site import Site, build_site
from lab.site_mirror import ensure_site_mirror
from lab.site_parts import site_is_cached
from lab.sources import PublicParts, find_public_parts, sources_mode
from lab.ssh_key import ensure_ssh_key
from lab.terraform_settings import write_terraform_settings
from lab.together import run_both, run_together
from lab.turn import only_one


def bring_up(settings: LabSettings, *, environment: Mapping[str, str], progress: Progress) -> list[ReadyNode]:
    """A whole lab: engine, parts, network, site mirror, nodes, fleet file. Makes only what is missing.

    Args:
        settings: the lab.
        environment: LAB_SOURCES says where the parts come from, see lab.sources.
        progress: says each step and how long it took.

    Raises:
        LabError, BuildError, CacheError, SourcesError: with what is wrong and what to do; what is finished stays.
    """
    mode = sources_mode(environment)
    with only_one(settings, progress=progress):
        client = connect(progress=progress)
        # Before the long builds: a subnet in use is said at once.
        ensure_network(client, settings)
        public = find_public_parts(mode=mode, built_here=partial(site_is_cached, k3s_version=K3S_VERSION))
        site, (image, node_part, driver, plugins) = run_both(
            partial(build_site, progress=progress, public=public),
            partial(_build_machines, client, public=public, progress=progress),
        )
        parts = NodeParts(image=image, driver=driver.path, authorized_keys=ensure_ssh_key(settings.private_key))
        mirror, nodes = _start(client, settings, site=site, parts=parts, progress=progress)
        _say(client, settings, nodes, progress=progress)
        if all(ready.action in ("created", "replaced") for ready in nodes if ready.node.role == "server"):
            _set_aside(settings, progress=progress)
        used = [engine_part(client), node_part, *site.parts, mirror, driver, *plugins]
        write_if_changed(settings.parts_file, parts_text(used))
        write_terraform_settings(settings, plugins=plugins)
        if write_if_changed(settings.fleet_file, fleet_text(settings, nodes=nodes, site=site)):
            progress.note(f"      wrote {settings.fleet_file.relative_to(settings.project)}")
        client.close()
    return nodes


def tear_down(settings: LabSettings, *, progress: Progress) -> int:
    """Remove a lab's containers, disks and network; what was built and the SSH key stay.

    Returns:
        how many containers there were.

    Raises:
        LabError: no engine answers and none can be started.
    """
    with only_one(settings, progress=progress):
        client = connect(progress=progress)
        containers = client.containers.list(all=True, filters=lab_filter(settings), ignore_removed=True)
        run_together([partial(_remove, container) for container in containers])
        for volume in client.volumes.list(filters=lab_filter(settings)):
            volume.remove()
        remove_network(client, settings)
        client.close()
        _set_aside(settings, progress=progress)
    return len(containers)


def _build_machines(
    client: docker.DockerClient, *, public: PublicParts, progress: Progress
) -> tuple[str, Part, Part, list[Part]]:
    """All but the site: the node image's name and its part, the stand-in driver, the Terraform plugins' stand-ins."""
    image, node_part = ensure_node_image(client, progress=progress)
    driver = build_stand_in_driver(progress=progress)
    plugins = [] if public.terraform_plugins else build_terraform_plugins(progress=progress)
    return image, node_part, driver, plugins


def _start(
    client: docker.DockerClient, settings: LabSettings, *, site: Site, parts: NodeParts, progress: Progress
) -> tuple[Part, list[ReadyNode]]:
    running = {container.name for container in client.containers.list(filters=lab_filter(settings))}
    shortage = inotify_shortage(node for node in settings.nodes if settings.container(node) not in running)
    if shortage is not None:
        progress.note(f"WARNING {shortage}")
    mirror = partial(ensure_site_mirror, client, settings, directory=site.directory, progress=progress)
    nodes = [partial(ensure_node, client, settings, node, parts=parts) for node in settings.nodes]
    with progress.step(f"{len(nodes)} nodes and the site mirror"):
        return run_both(mirror, partial(run_together, nodes))


def _say(client: docker.DockerClient, settings: LabSettings, nodes: list[ReadyNode], *, progress: Progress) -> None:
    for ready in nodes:
        why = f": {ready.reason}" if ready.reason else ""
        progress.note(f"      {ready.node.name} at {ready.node.address} {ready.action}{why}")
    wanted = {ready.node.name for ready in nodes}
    there = client.containers.list(all=True, filters=lab_filter(settings), ignore_removed=True)
    for name in sorted({container.labels[NODE] for container in there if NODE in container.labels} - wanted):
        progress.note(f"      {name} is a node of an earlier run and not asked for now; `lab down` removes it")


def _set_aside(settings: LabSettings, *, progress: Progress) -> None:
    aside = set_aside_state(settings)
    if aside is not None:
        progress.note(
            f"      the servers that Terraform's state of fleet lab speaks of are gone: it is now"
            f" {aside.relative_to(settings.project)}"
        )


def _remove(container: Container) -> None:
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        # Somebody else removes it right now.
        if error.status_code != 409:
            raise
