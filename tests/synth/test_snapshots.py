"""What example fleets synthesize to is what the repository says, so that a review sees every change of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.synth.snapshot import FLEETS, FOLDER, addresses, readable, snapshots, synthesized

REFRESH = "if that is meant, run make snapshots and commit what it wrote"


@pytest.fixture(scope="module")
def now() -> dict[Path, str]:
    return dict(snapshots())


def machine_addresses(text: str) -> set[str]:
    return {line for line in text.splitlines() if line.startswith("terraform_data.")}


@pytest.mark.parametrize("fleet", FLEETS, ids=lambda path: path.stem)
def test_no_address_of_a_released_fleet_is_lost(fleet: Path, now: dict[Path, str]) -> None:
    path = fleet.with_suffix(".addresses.txt")
    before, after = path.read_text(), now[path]
    lost = sorted(machine_addresses(before) - machine_addresses(after))
    assert not lost, (
        "deployed fleets would run these steps again under a new name, and destroy them under the old one (K3s too, "
        f"where an uninstall step is among them): {', '.join(lost)}. Keep the construct's id, or add `moved` blocks; "
        f"{REFRESH}"
    )
    assert after == before, f"addresses came or went; {REFRESH}"


def test_configuration_and_scripts_are_as_committed(now: dict[Path, str]) -> None:
    for path, text in now.items():
        assert path.read_text() == text, f"{path.name} changed; {REFRESH}"


def test_every_committed_snapshot_belongs_to_a_fleet(now: dict[Path, str]) -> None:
    assert {path for path in FOLDER.iterdir() if path.suffix != ".yaml"} == set(now)


def test_a_snapshot_names_no_path_of_the_machine_that_wrote_it(now: dict[Path, str]) -> None:
    for path, text in now.items():
        assert str(Path.cwd()) not in text, path.name
        assert str(Path.home()) not in text.replace("/home/edge", ""), path.name


def test_the_addresses_of_a_node_do_not_depend_on_the_other_nodes() -> None:
    one, three = (synthesized(FOLDER / f"{name}.yaml") for name in ("one-node", "high-availability"))
    of_gpu_1 = {line for line in addresses(three).splitlines() if re.search(r"_gpu-1_", line)}
    assert {line for line in addresses(one).splitlines() if re.search(r"_gpu-1_", line)} == of_gpu_1


def test_a_changed_parameter_of_a_node_is_seen() -> None:
    configuration = synthesized(FOLDER / "one-node.yaml")
    before = readable(configuration)
    (step,) = [block for name, block in configuration["resource"]["terraform_data"].items() if "_k3s_run_" in name]
    step["provisioner"][1]["file"]["content"] = step["provisioner"][1]["file"]["content"].replace("GPUS=1", "GPUS=2")
    assert readable(configuration) != before
