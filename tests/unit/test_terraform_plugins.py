"""The mirror of Terraform plugin stand-ins: what Terraform is told, and locks of other builds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.artifacts.provider_schemas import BINDINGS
from lab.artifacts.terraform_plugins import REGISTRIES, remove_stale_locks, write_terraform_rc

# What `terraform init` writes for a package whose one file terraform-provider-helm_v3.1.1 holds its own name.
HASH_OF_THE_HELM_PLUGIN = "h1:d5JSJZtIcoH04fF47CIxl2+zyvna8dp3zRDo/4dRPko="


def test_terraform_is_told_to_take_plugins_from_the_mirror_alone(tmp_path: Path) -> None:
    destination = tmp_path / "new" / "terraform.rc"
    write_terraform_rc(mirror=tmp_path / "mirror", destination=destination)
    text = destination.read_text()
    assert f'path = "{tmp_path / "mirror"}"' in text
    assert "direct" not in text
    assert [path.name for path in destination.parent.iterdir()] == ["terraform.rc"]


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A mirror whose plugins are other files: only their hashes count here."""
    platform = subprocess.run(
        ["go", "env", "GOOS", "GOARCH"], capture_output=True, text=True, check=True
    ).stdout.split()
    for registry in REGISTRIES:
        for binding in BINDINGS:
            name = f"terraform-provider-{binding.name}_v{binding.version}"
            binary = tmp_path / "mirror" / registry / binding.source / binding.version / "_".join(platform) / name
            binary.parent.mkdir(parents=True)
            binary.write_text(f"{name}\n")
    return tmp_path / "mirror"


def lock(stacks: Path, stack: str, *, source: str, digest: str) -> Path:
    path = stacks / stack / ".terraform.lock.hcl"
    path.parent.mkdir(parents=True)
    path.write_text(
        f'provider "registry.terraform.io/{source}" {{\n  version = "1"\n  hashes = [\n    "{digest}",\n  ]\n}}\n'
    )
    return path


def test_only_locks_of_other_builds_are_removed(tmp_path: Path, mirror: Path) -> None:
    stacks = tmp_path / "stacks"
    same = lock(stacks, "same", source="hashicorp/helm", digest=HASH_OF_THE_HELM_PLUGIN)
    other = lock(stacks, "other", source="hashicorp/helm", digest="h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    foreign = lock(stacks, "foreign", source="hashicorp/random", digest="h1:AAAA")
    assert remove_stale_locks(mirror=mirror, stacks=stacks) == [other]
    assert same.exists()
    assert foreign.exists()


def test_without_stacks_there_is_nothing_to_remove(tmp_path: Path) -> None:
    assert remove_stale_locks(mirror=tmp_path / "no-mirror", stacks=tmp_path / "no-stacks") == []
