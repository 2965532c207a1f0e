"""The stack `edge-images` applied for real: built, locked, pushed, rebuilt by chain, and safe when a build fails."""

from __future__ import annotations

import re
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from constructs_lib import cdk
from constructs_lib.cdk import TerraformStack
from constructs_lib.docker_providers import DockerProvider
from constructs_lib.gpu_container import Desk, GpuContainer
from lab.artifacts.stand_in_driver import StandInGpu
from stacks.edge_images import EdgeImagesStack
from stacks.fleet import Images, LocalBackendSettings
from stacks.lock_bases import main as lock_bases
from tests.lab.images import bases
from tests.lab.images.engine import REGISTRY, Engine
from tests.lab.images.mirror import IMAGES, Mirror
from tests.lab.images.registry import local_registry
from tests.lab.images.terraform import Project


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site whose bases lie in a registry of its own.

    Attributes:
        images: its copy of the project's images, with a lock file that was refreshed from the registry.
        registry: host and port.
        engine: builds and holds the images.
        mirror: the other outside addresses.
    """

    images: Path
    registry: str
    engine: docker.DockerClient
    mirror: Mirror

    def stack(
        self, folder: Path, *build: dict[str, Any], container_of: str | None = None, **settings: Any
    ) -> TerraformStack:
        """The stack for `build`, and a GPU container of the image named, with its state in `folder`."""
        images = Images.model_validate(
            {"build": list(build), "mirrors": dict(self.mirror.arguments), "build_timeout_minutes": 10, **settings}
        )
        stack = EdgeImagesStack(
            cdk.Testing.app(),
            "edge-images",
            images=images,
            hosts={},
            backend=LocalBackendSettings(type="local"),
            images_folder=self.images,
            edge_folder=folder,
        )
        if container_of is not None:
            GpuContainer(
                stack, "shell", name="edge-images-shell", image=stack.built[container_of], folder=folder, desk=Desk()
            )
        return stack


@pytest.fixture(scope="module")
def site(engine: Engine, mirror: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("registry")
    with local_registry(folder, address=REGISTRY) as registry:
        images = tmp_path_factory.mktemp("site") / "images"
        shutil.copytree(IMAGES, images)
        lock = images / "bases.lock.toml"
        text = lock.read_text()
        for reference in (bases.TRITON, bases.TRITON_MODERN, bases.CUDA, bases.CUDA_MODERN, bases.UBUNTU):
            registry_host, _, name = reference.partition("/")
            if reference in (bases.CUDA, bases.UBUNTU):
                engine.client.images.get(reference).tag(f"{registry}/{name}")
                pushed = engine.client.images.push(f"{registry}/{name}")
                assert "errorDetail" not in pushed, pushed
                engine.client.images.remove(f"{registry}/{name}")
            text = text.replace(f'"{registry_host}/{name}"', f'"{registry}/{name}"')
        lock.write_text(text)
        assert lock_bases(["--insecure-registry", registry, "--lock", str(lock), "cuda-11.7", "ubuntu-22.04"]) == 0
        yield Site(images=images, registry=registry, engine=engine.client, mirror=mirror)


@pytest.fixture
def project(tmp_path: Path, engine: Engine) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder, docker_host=engine.host)


def shell_of(engine: docker.DockerClient, name: str) -> docker.models.containers.Container:
    """The one container of a GpuContainer."""
    (container,) = engine.containers.list(all=True, filters={"label": f"edge-gpu.container={name}"})
    return container


ROS2 = {"image": "ros2-humble", "variant": "11.7"}
CHECK = {"image": "gpu-check", "kernel": False}


def test_a_deploy_builds_locks_pushes_and_the_second_one_changes_nothing(
    site: Site, project: Project, tmp_path: Path
) -> None:
    stack = site.stack(tmp_path, ROS2, CHECK, registry=f"{site.registry}/edge")
    first = project.apply(stack)
    assert first.code == 0, first.output
    named = project.output("images")
    assert set(named) == {"myros2ubuntu22cuda117", "myros2humble", "edge-gpu-check"}
    for name, entry in named.items():
        image = site.engine.images.get(f"{name}:latest")
        assert image.id == entry["id"]
        assert entry["image"] in image.tags
        repository, _, tag = entry["image"].partition(":")
        manifest = urllib.request.Request(
            f"http://{site.registry}/v2/edge/{repository}/manifests/{tag}", method="HEAD",
            headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
        )  # fmt: skip
        with urllib.request.urlopen(manifest, timeout=10) as answer:
            assert answer.status == 200
    again = project.plan(site.stack(tmp_path, ROS2, CHECK, registry=f"{site.registry}/edge"))
    assert again.code == 0, again.output
    assert "No changes" in again.output


def test_one_edited_file_rebuilds_its_chain_and_no_other(site: Site, project: Project, tmp_path: Path) -> None:
    def apply() -> dict[str, dict[str, str]]:
        done = project.apply(site.stack(tmp_path, ROS2, CHECK))
        assert done.code == 0, done.output
        named: dict[str, dict[str, str]] = project.output("images")
        return named

    before = apply()
    edited = site.images / "cuda-base" / "use-mirrors.sh"
    original = edited.read_text()
    edited.write_text(original + "# edited\n")
    try:
        after = apply()
        assert {name for name in after if after[name] != before[name]} == {"myros2ubuntu22cuda117", "myros2humble"}
        assert site.engine.images.get("myros2humble:latest").id == after["myros2humble"]["id"]
        assert site.engine.images.get(before["myros2humble"]["image"]), "what was built is kept"
    finally:
        edited.write_text(original)
    assert apply() == before, "the old content has its old name, and the engine its old image"


def test_a_build_that_fails_leaves_the_tag_as_it_is_and_the_next_deploy_recovers(
    site: Site, project: Project, tmp_path: Path
) -> None:
    name = "myros2ubuntu22cuda117"
    base = {"image": "cuda-base", "variant": "11.7"}
    first = project.apply(site.stack(tmp_path, base, container_of=name))
    assert first.code == 0, first.output
    before = site.engine.images.get(f"{name}:latest").id
    container = shell_of(site.engine, "edge-images-shell")
    broken = site.images / "cuda-base" / "use-mirrors.sh"
    original = broken.read_text()
    broken.write_text("#!/bin/sh\necho this step is broken >&2\nexit 3\n")
    try:
        failed = project.apply(site.stack(tmp_path, base, container_of=name))
    finally:
        broken.write_text(original)
    assert failed.code == 1
    assert "this step is broken" in failed.output
    assert site.engine.images.get(f"{name}:latest").id == before
    still = shell_of(site.engine, "edge-images-shell")
    assert (still.id, still.status) == (container.id, "running"), "the container outlives a build that fails"
    recovered = project.apply(site.stack(tmp_path, base, container_of=name))
    assert recovered.code == 0, recovered.output
    assert shell_of(site.engine, "edge-images-shell").id == container.id
    broken.write_text(original + "# changed\n")
    try:
        changed = project.apply(site.stack(tmp_path, base, container_of=name))
    finally:
        broken.write_text(original)
    assert changed.code == 0, changed.output
    replaced = shell_of(site.engine, "edge-images-shell")
    assert (replaced.id == container.id, replaced.status) == (False, "running")
    assert replaced.image.id == site.engine.images.get(f"{name}:latest").id != before
    assert project.apply(site.stack(tmp_path, base, container_of=name)).code == 0
    assert project.plan(site.stack(tmp_path, base, container_of=name)).code == 0
    assert project.destroy(site.stack(tmp_path, base, container_of=name)).code == 0
    assert site.engine.images.get(f"{name}:latest").id == before, "a destroy does not throw hours of building away"


def test_a_wrong_digest_stops_the_build_and_is_named(site: Site, project: Project, tmp_path: Path) -> None:
    lock = site.images / "bases.lock.toml"
    original = lock.read_text()
    wrong = "sha256:" + "0" * 64
    lock.write_text(re.sub(r"sha256:[0-9a-f]{64}", wrong, original))
    try:
        failed = project.apply(site.stack(tmp_path, CHECK))
    finally:
        lock.write_text(original)
    assert failed.code == 1
    assert f"ubuntu:22.04@{wrong}" in failed.output


def test_a_gpu_container_sees_the_gpus_and_is_no_more_than_its_user(
    site: Site, project: Project, tmp_path: Path, gpus: list[StandInGpu]
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "mine").write_text("here")
    stack = cdk.TerraformStack(cdk.Testing.app(), "container")
    DockerProvider(stack, "docker")
    reference = bases.CUDA.removeprefix("docker.io/")
    GpuContainer(
        stack, "shell", name="edge-gpu-shell", image=reference, folder=work, desk=Desk(), user="1000:1000",
        command=["sleep", "600"],
    )  # fmt: skip
    applied = project.apply(stack)
    assert applied.code == 0, applied.output
    container = shell_of(site.engine, "edge-gpu-shell")
    code, printed = container.exec_run(["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"])
    assert (code, printed.decode().split()) == (0, [gpu.uuid for gpu in gpus])
    code, printed = container.exec_run(["sh", "-c", "pwd; cat mine; id -u; grep NoNewPrivs /proc/self/status"])
    assert printed.decode().split() == ["/myROS2", "here1000", "NoNewPrivs:", "1"]
    assert not container.attrs["HostConfig"]["Privileged"]
    again = project.plan(stack)
    assert again.code == 0, again.output
    assert project.destroy(stack).code == 0
