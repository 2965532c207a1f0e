"""The engine, the mirror and the bases that the images' tests share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.artifacts.stand_in_driver import StandInGpu, stand_in_gpus
from tests.lab.images.bases import download_wheels, make_bases
from tests.lab.images.engine import GATEWAY, Engine, private_engine
from tests.lab.images.machine_state import machine_state
from tests.lab.images.mirror import Mirror, served_mirror


@pytest.fixture(scope="session")
def gpus() -> list[StandInGpu]:
    return stand_in_gpus(node="images", count=2)


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder with a short path, for sockets."""
    assert os.geteuid() == 0, "these tests start a Docker engine of their own: run them as root"
    folder = Path(tempfile.mkdtemp(prefix="eg", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def machine_before() -> dict[str, object]:
    return machine_state()


@pytest.fixture(scope="session")
def engine(short_folder: Path, gpus: list[StandInGpu], machine_before: dict[str, object]) -> Iterator[Engine]:
    folder = short_folder / "e"
    folder.mkdir()
    with private_engine(folder, gpus=gpus) as engine:
        yield engine
    assert machine_state() == machine_before, "the tests' engine has changed the machine or its user's engine"


@pytest.fixture(scope="session")
def mirror(engine: Engine, short_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """The mirror, with the bases that trust it in the engine."""
    folder = short_folder / "m"
    folder.mkdir()
    wheels = download_wheels()
    with served_mirror(folder, address=GATEWAY, wheels=wheels) as mirror:
        make_bases(engine, mirror=mirror, wheels=wheels, folder=tmp_path_factory.mktemp("bases"))
        yield mirror
