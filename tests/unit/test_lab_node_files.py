"""The files of the node image: what they say to K3s, and what reaches the image."""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from lab.artifacts import node_image
from lab.artifacts.base_images import PAUSE_IMAGE

NODE = Path(__file__).resolve().parents[2] / "lab" / "node"
PROGRAMS = NODE / "root" / "usr" / "lib" / "edge-gpu-lab"
# What the product writes into /etc/rancher/k3s/config.yaml.
PRODUCT_KEYS = {
    "node-name", "node-ip", "server", "token", "token-file", "agent-token", "agent-token-file", "tls-san", "node-label",
    "node-taint", "write-kubeconfig-mode", "cluster-init",
}  # fmt: skip
SERVER_ONLY_KEYS = {"flannel-backend", "disable-network-policy", "disable"}


def settings_of(name: str) -> dict[str, object]:
    loaded = yaml.safe_load((PROGRAMS / "k3s" / f"{name}.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def test_the_pause_image_is_the_one_that_the_site_serves() -> None:
    assert settings_of("node")["pause-image"] == PAUSE_IMAGE


@pytest.mark.parametrize("name", ["node", "server", "cgroup-v1"])
def test_no_lab_setting_is_one_of_the_products(name: str) -> None:
    assert not {key.rstrip("+") for key in settings_of(name)} & PRODUCT_KEYS


@pytest.mark.parametrize("name", ["node", "cgroup-v1"])
def test_settings_that_agents_get_hold_no_key_of_servers(name: str) -> None:
    assert not set(settings_of(name)) & SERVER_ONLY_KEYS


@pytest.mark.parametrize(("unit", "role"), [("k3s", "server"), ("k3s-agent", "agent")])
def test_each_unit_asks_for_the_settings_of_its_own_role(unit: str, role: str) -> None:
    drop_in = NODE / "root" / "etc" / "systemd" / "system" / f"{unit}.service.d" / "10-edge-gpu-lab.conf"
    assert f"ExecStartPre=/usr/lib/edge-gpu-lab/k3s-settings.sh {role}\n" in drop_in.read_text()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"oomScoreAdj":-998,"a":1}', '{"oomScoreAdj":0,"a":1}'),
        ('{"oomScoreAdj":1000}', '{"oomScoreAdj":1000}'),
        ('{"oomScoreAdj":0}', '{"oomScoreAdj":0}'),
    ],
)
def test_the_runc_wrapper_raises_negative_oom_scores_and_nothing_else(tmp_path: Path, before: str, after: str) -> None:
    wrapper = tmp_path / "runc.sh"
    real = tmp_path / "runc"
    real.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 9\n')
    real.chmod(0o755)
    text = (PROGRAMS / "runc.sh").read_text()
    assert text.count("/var/lib/rancher/k3s/data/current/bin/runc") == 1
    wrapper.write_text(text.replace("/var/lib/rancher/k3s/data/current/bin/runc", str(real)))
    config = tmp_path / "config.json"
    config.write_text(before)
    arguments = ["--root", "/r", "create", "--bundle", str(tmp_path), "--pid-file", "/p q", "id"]
    done = subprocess.run(["sh", wrapper, *arguments], capture_output=True, text=True, timeout=10, check=False)
    assert config.read_text() == after
    assert (done.stdout.splitlines(), done.returncode) == (arguments, 9)


def test_the_image_gets_the_same_bytes_whatever_the_checkouts_umask_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contexts = []
    for name, umask in (("open", 0o000), ("private", 0o077)):
        tree = tmp_path / name
        previous = os.umask(umask)
        try:
            (tree / "root" / "etc").mkdir(parents=True)
            (tree / "Dockerfile").write_text("FROM x\n")
            (tree / "root" / "run.sh").write_text("#!/bin/sh\n")
            (tree / "root" / "run.sh").chmod(0o777 & ~umask)
        finally:
            os.umask(previous)
        monkeypatch.setattr(node_image, "_FILES", tree)
        contexts.append(node_image._context().getvalue())
        with tarfile.open(fileobj=node_image._context()) as archive:
            modes = {entry.name: stat.S_IMODE(entry.mode) for entry in archive}
        assert modes == {"Dockerfile": 0o644, "root": 0o755, "root/etc": 0o755, "root/run.sh": 0o755}
    assert contexts[0] == contexts[1]
