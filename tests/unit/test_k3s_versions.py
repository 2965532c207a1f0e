"""Which K3s may follow which on a node; the K3s that is there is a stand-in that only tells its version."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from constructs_lib.node_script import node_script

PARAMETERS = {
    "ROLE": "agent",
    "JOINS": "yes",
    "K3S_URL": "http://192.0.2.2/k3s",
    "K3S_SHA256": "0" * 64,
    "CONFIG": "{}",
    "REGISTRIES": "",
    "IMAGE_ARCHIVES": "",
    "GPUS": "0",
    "START_TIMEOUT_SECONDS": "10",
}


def answer(installed: str, wanted: str, *, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the step says of the version, before it does anything."""
    k3s = folder / "k3s"
    k3s.write_text(f"#!/bin/sh\necho 'k3s version {installed} (00000000)'\necho 'go version go1.25'\n")
    k3s.chmod(0o755)
    text = node_script("k3s_node.sh", step="k3s", node="gpu-1", parameters={**PARAMETERS, "K3S_VERSION": wanted})
    look, rest, _ = text.partition("# --- what runs now")
    assert rest
    step = folder / "step.sh"
    step.write_text(look.replace("K3S=/usr/local/bin/k3s", f"K3S={k3s}"))
    return subprocess.run(["sh", str(step)], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [
        ("v1.36.2+k3s1", "v1.36.2+k3s1"),
        ("v1.36.2+k3s1", "v1.36.2+k3s2"),
        ("v1.36.2+k3s9", "v1.36.2+k3s10"),
        ("v1.36.9+k3s1", "v1.36.10+k3s1"),
        ("v1.36.2+k3s1", "v1.37.0+k3s1"),
        ("v1.36.3-rc1+k3s1", "v1.36.3-rc2+k3s1"),
        ("v1.36.3-rc2+k3s1", "v1.36.3+k3s1"),
        ("v1.35.0+k3s-04e8f1b5", "v1.35.1+k3s-relink"),
    ],
)
def test_the_same_or_a_newer_version_may_follow(installed: str, wanted: str, tmp_path: Path) -> None:
    ended = answer(installed, wanted, folder=tmp_path)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [
        ("v1.36.2+k3s2", "v1.36.2+k3s1"),
        ("v1.36.10+k3s1", "v1.36.9+k3s1"),
        ("v1.36.3+k3s1", "v1.36.3-rc1+k3s1"),
        ("v1.37.0+k3s1", "v1.36.9+k3s1"),
    ],
)
def test_an_older_version_is_refused(installed: str, wanted: str, tmp_path: Path) -> None:
    ended = answer(installed, wanted, folder=tmp_path)
    assert ended.returncode == 1
    assert f"K3s {installed} is here, the fleet file has the older {wanted}; nothing was changed" in ended.stderr


def test_no_minor_version_is_left_out(tmp_path: Path) -> None:
    ended = answer("v1.34.6+k3s1", "v1.36.2+k3s1", folder=tmp_path)
    assert ended.returncode == 1
    assert "fix: deploy a v1.35 first" in ended.stderr
