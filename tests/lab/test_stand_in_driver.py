"""The stand-in driver inside a container: it answers as NVIDIA's would, so that what reads it is tested fairly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import docker
import pytest

from lab.artifacts.base_images import GPU_CHECK_ARCHIVE, build_gpu_check_image
from lab.artifacts.stand_in_driver import DRIVER_VERSION, StandInGpu, build_stand_in_driver, stand_in_gpus
from lab.engine import connect_running
from lab.progress import Progress

GPUS = stand_in_gpus(node="gpu-1", count=2)
FIRST, SECOND = GPUS


class Answer(NamedTuple):
    exit_code: int
    text: str


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    client = connect_running()
    assert client is not None, "no Docker engine answers; `python -m lab up` starts one"
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> str:
    archive = build_gpu_check_image(progress=Progress()).path / GPU_CHECK_ARCHIVE
    with archive.open("rb") as stream:
        (loaded,) = engine.images.load(stream)
    assert loaded.id is not None
    return loaded.id


class Driver:
    """Runs a command in a container that has the driver's files and some of the machine's GPUs."""

    def __init__(self, engine: docker.DockerClient, image: str, folder: Path) -> None:
        self._engine = engine
        self._image = image
        self._folder = folder
        self._tree = build_stand_in_driver(progress=Progress()).path

    def run(
        self, script: str, *, machine: list[StandInGpu] | None, visible: list[StandInGpu], with_library: bool = True
    ) -> Answer:
        """Run a shell script; `machine` None means that no driver is loaded."""
        if machine is not None:
            lines = "".join(f"{gpu.index} {gpu.uuid} {gpu.name}\n" for gpu in machine)
            (self._folder / "gpus.conf").write_text(lines)
        files = {self._tree / "usr/bin/nvidia-smi": "/usr/bin/nvidia-smi", self._folder: "/etc/edge-gpu-lab"}
        if with_library:
            library = "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
            files[self._tree / library] = f"/{library}"
        container = self._engine.containers.create(
            self._image,
            ["/bin/sh", "-c", script],
            devices=[f"/dev/null:/dev/nvidia{gpu.index}" for gpu in visible],
            volumes={str(source): {"bind": target, "mode": "rw"} for source, target in files.items()},
            network_mode="none",
        )
        try:
            container.start()
            code = container.wait(timeout=30)["StatusCode"]
            return Answer(exit_code=code, text=container.logs().decode())
        finally:
            container.remove(force=True)


@pytest.fixture
def driver(engine: docker.DockerClient, image: str, tmp_path: Path) -> Driver:
    return Driver(engine, image, tmp_path)


def test_the_gpus_with_a_device_node_are_listed(driver: Driver) -> None:
    assert driver.run("nvidia-smi -L", machine=GPUS, visible=GPUS) == Answer(
        0,
        f"GPU 0: Edge GPU Lab Stand-in GPU (UUID: {FIRST.uuid})\n"
        f"GPU 1: Edge GPU Lab Stand-in GPU (UUID: {SECOND.uuid})\n",
    )


def test_a_gpu_without_its_device_node_is_not_seen_and_the_others_are_counted_anew(driver: Driver) -> None:
    query = "nvidia-smi --query-gpu=index,uuid,count --format=csv,noheader"
    assert driver.run(query, machine=GPUS, visible=[SECOND]) == Answer(0, f"0, {SECOND.uuid}, 1\n")


def test_a_query_has_the_real_programs_header_and_units(driver: Driver) -> None:
    query = "nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv -i 0"
    assert driver.run(query, machine=GPUS, visible=GPUS) == Answer(
        0,
        f"name, driver_version, memory.total [MiB]\nEdge GPU Lab Stand-in GPU, {DRIVER_VERSION}, 16384 MiB\n",
    )


@pytest.mark.parametrize(
    ("machine", "visible", "with_library", "exit_code", "said"),
    [
        (GPUS, [], True, 6, "No devices were found"),
        (None, GPUS, True, 9, "couldn't communicate with the NVIDIA driver"),
        (GPUS, GPUS, False, 12, "couldn't find libnvidia-ml.so library"),
    ],
    ids=["no device node", "no driver", "no library"],
)
def test_what_is_missing_is_said_in_the_real_programs_words_and_exit_code(
    driver: Driver,
    machine: list[StandInGpu] | None,
    visible: list[StandInGpu],
    with_library: bool,
    exit_code: int,
    said: str,
) -> None:
    answer = driver.run("nvidia-smi -L", machine=machine, visible=visible, with_library=with_library)
    assert answer.exit_code == exit_code
    assert said in answer.text


def test_a_field_that_it_does_not_know_is_refused(driver: Driver) -> None:
    answer = driver.run("nvidia-smi --query-gpu=clocks.sm --format=csv", machine=GPUS, visible=GPUS)
    assert answer == Answer(2, 'Field "clocks.sm" is not a valid field to query (by the stand-in nvidia-smi).\n')
