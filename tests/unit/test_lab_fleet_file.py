"""The fleet file that `lab up` writes, read by the product's own reader."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.fleet_file import fleet_text, write_if_changed
from lab.fleet_state import set_aside_state
from lab.nodes import ReadyNode
from lab.settings import LabSettings, load_settings
from lab.site import ImageArchive, Site
from lab.sources import PublicParts
from stacks.fleet import load_fleet

HOST_KEY = (
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBBioWH8dSO6sY00Z40AZVay90pIuHhDDJDeBrZDj3"
    "wWkjiWc1EwVmA9D4SByZ5Oft1gRqIIGxh/pUSw4/oPAvUs="
)


@pytest.fixture
def settings(tmp_path: Path) -> LabSettings:
    settings = load_settings({}, project=tmp_path)
    settings.private_key.parent.mkdir(parents=True, mode=0o700)
    settings.private_key.touch(mode=0o600)
    return settings


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(
        directory=tmp_path,
        parts=[],
        public=PublicParts(),
        k3s_version="v1.35.0+k3s1",
        k3s_sha256="a" * 64,
        image_archives=[ImageArchive(path="images/pause.tar", sha256="b" * 64)],
        apt_key_sha256="c" * 64,
    )


def ready(settings: LabSettings) -> list[ReadyNode]:
    return [ReadyNode(node=node, host_key=HOST_KEY, action="created") for node in settings.nodes]


def test_the_product_reads_it_as_a_valid_fleet_that_takes_everything_from_the_site_mirror(
    settings: LabSettings, site: Site
) -> None:
    write_if_changed(settings.fleet_file, fleet_text(settings, nodes=ready(settings), site=site))
    fleet = load_fleet(settings.fleet_file)
    assert fleet.name == "lab"
    assert [(node.name, str(node.address), node.role, node.gpus, node.host_key) for node in fleet.nodes] == [
        ("server-1", "172.29.0.11", "server", 0, HOST_KEY),
        ("gpu-1", "172.29.0.12", "agent", 2, HOST_KEY),
        ("gpu-2", "172.29.0.13", "agent", 1, HOST_KEY),
    ]
    assert str(fleet.k3s.artifact_url) == "http://172.29.0.2/k3s"
    assert fleet.k3s.image_archives[0].url == "http://172.29.0.2/images/pause.tar"
    assert fleet.device_plugin.image == "edge-gpu-lab/k8s-device-plugin:v0.19.3"


def test_the_same_lab_leaves_the_file_untouched(settings: LabSettings, site: Site) -> None:
    text = fleet_text(settings, nodes=ready(settings), site=site)
    assert write_if_changed(settings.fleet_file, text)
    written = settings.fleet_file.stat()
    assert not write_if_changed(settings.fleet_file, fleet_text(settings, nodes=ready(settings), site=site))
    now = settings.fleet_file.stat()
    assert (now.st_mtime_ns, now.st_ino) == (written.st_mtime_ns, written.st_ino)


def test_its_first_line_says_who_writes_it(settings: LabSettings, site: Site) -> None:
    assert fleet_text(settings, nodes=ready(settings), site=site).startswith("# Written by `python -m lab up`")


def test_a_state_of_machines_that_are_gone_is_renamed_and_kept(settings: LabSettings) -> None:
    state = settings.project / ".edge" / "lab" / "terraform.tfstate"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"version": 4, "resources": [{"type": "terraform_data"}]}))
    content = state.read_bytes()
    aside = set_aside_state(settings)
    assert aside is not None
    assert aside.name.startswith("terraform.tfstate.gone-")
    assert (aside.read_bytes(), state.exists()) == (content, False)


@pytest.mark.parametrize("text", ['{"version": 4, "resources": []}', "not json", "[]"])
def test_a_state_without_machines_stays_where_it_is(settings: LabSettings, text: str) -> None:
    state = settings.project / ".edge" / "lab" / "terraform.tfstate"
    state.parent.mkdir(parents=True)
    state.write_text(text)
    assert set_aside_state(settings) is None
    assert state.read_text() == text


def test_a_lab_beside_the_first_has_a_state_of_its_own(tmp_path: Path) -> None:
    states = [tmp_path / ".edge" / fleet / "terraform.tfstate" for fleet in ("lab", "other")]
    for state in states:
        state.parent.mkdir(parents=True)
        state.write_text('{"resources": [{}]}')
    set_aside_state(load_settings({"LAB_NAME": "other"}, project=tmp_path))
    assert [state.exists() for state in states] == [True, False]
