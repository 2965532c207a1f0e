"""The pins of upstream sources: each module has a version and a hash, and Go refuses another one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lab.artifacts import go_module
from lab.artifacts.command import BuildError
from lab.artifacts.container_toolkit import TOOLKIT_VERSION
from lab.artifacts.device_plugin import CHART_VERSION
from lab.artifacts.go_module import PINS, pinned_module
from lab.artifacts.k3s import K3S_VERSION

REQUIRED = re.findall(r"^\t(\S+) (\S+)$", (PINS / "go.mod").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("path", "version"), REQUIRED)
def test_every_required_module_is_pinned_by_hash(path: str, version: str) -> None:
    module = pinned_module(path)
    assert module.version == version
    assert re.fullmatch(r"h1:[A-Za-z0-9+/]{43}=", module.sum)


def test_the_versions_that_the_lab_names_are_those_of_the_pins() -> None:
    pins = dict(REQUIRED)
    kubernetes = pins["github.com/k3s-io/kubernetes"].partition("-")[0]
    commit = pins["github.com/k3s-io/k3s"].rpartition("-")[2]
    assert f"{kubernetes}+k3s-{commit[:8]}" == K3S_VERSION
    assert pins["github.com/NVIDIA/nvidia-container-toolkit"] == f"v{TOOLKIT_VERSION.partition('-')[0]}"
    assert pins["github.com/NVIDIA/k8s-device-plugin"] == f"v{CHART_VERSION}"


def test_a_module_that_is_not_required_is_named() -> None:
    with pytest.raises(BuildError, match=r"go\.mod does not require example\.invalid/thing"):
        pinned_module("example.invalid/thing")


def test_a_download_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PINS, tmp_path / "pins")
    path = "github.com/NVIDIA/k8s-device-plugin"
    module = pinned_module(path)
    wrong = module.sum[:3] + ("A" if module.sum[3] != "A" else "B") + module.sum[4:]
    pins = tmp_path / "pins" / "go.sum"
    pins.write_text(pins.read_text().replace(module.sum, wrong))
    monkeypatch.setattr(go_module, "PINS", tmp_path / "pins")
    with pytest.raises(BuildError, match="checksum mismatch"):
        module.fetch()
