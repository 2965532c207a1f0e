"""What prove-gpu.sh refuses: one message with cause and fix, exit 1, nothing left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.bundle_file import bundle_parts, write_bundle

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "prove-gpu.sh"
GPU = "GPU-00000000-0000-0000-0000-000000000001, {driver}, 1024 MiB, A GPU"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="prove-gpu.sh is for root, and says so to others")


class Machine:
    """A machine's programs, some of them replaced, and a bundle on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.program("pgrep", "exit 1")
        self.driver("580.1")

    def program(self, name: str, body: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def driver(self, version: str) -> None:
        self.program("nvidia-smi", f"echo '{GPU.format(driver=version)}'")

    def bundle(self, *, architecture: str = "amd64", part_bytes: int | None = None) -> Path:
        settings = f"ARCHITECTURE={architecture}\nDRIVER_MINIMUM=580\n"
        files: dict[str, Path | bytes] = {"prove/settings": settings.encode(), "k3s/v1/k3s": os.urandom(2 << 20)}
        write_bundle(self.folder / "site.bundle", files=files, manifest={}, part_bytes=part_bytes)
        return self.folder / "site.bundle"

    def prove(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", str(SCRIPT), *map(str, arguments), "--work", str(self.work)],
            env={"PATH": f"{self.programs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def refused(self, *arguments: str | Path) -> str:
        """The message; asserts that it is the only one, has a cause and a fix, and that nothing is left."""
        ended = self.prove(*arguments)
        assert ended.returncode == 1, ended.stdout + ended.stderr
        message = ended.stderr
        assert message.count("ERROR ") == 1, message
        assert "\n  cause: " in message, message
        assert "\n  fix: " in message, message
        assert not self.work.exists()
        return message


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_its_scripts_are_clean() -> None:
    assert shutil.which("shellcheck"), "shellcheck is missing: run make setup"
    scripts = [SCRIPT, *sorted((ROOT / "scripts" / "prove").glob("*.sh"))]
    checked = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_a_machine_without_a_driver(machine: Machine) -> None:
    (machine.programs / "nvidia-smi").unlink()
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has a driver")
    assert "no NVIDIA driver" in machine.refused(machine.bundle())


def test_a_driver_that_finds_no_gpu(machine: Machine) -> None:
    machine.program("nvidia-smi", "echo 'No devices were found'; exit 6")
    message = machine.refused(machine.bundle())
    assert "no usable NVIDIA GPU" in message
    assert "No devices were found" in message


def test_another_k3s_that_runs(machine: Machine) -> None:
    machine.program("pgrep", '[ "$2" = k3s-server ] && echo 4711')
    message = machine.refused(machine.bundle())
    assert "another Kubernetes node runs on this machine" in message
    assert "4711" in message


def test_a_bundle_that_is_not_there(machine: Machine) -> None:
    assert "nothing.bundle does not exist" in machine.refused(machine.folder / "nothing.bundle")


def test_a_bundle_for_another_architecture(machine: Machine) -> None:
    message = machine.refused(machine.bundle(architecture="riscv64"))
    assert "the bundle is for riscv64, this machine is" in message


def test_a_driver_below_the_images_minimum(machine: Machine) -> None:
    machine.driver("525.60.13")
    bundle = machine.bundle(architecture={"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine])
    assert "driver 525.60.13 is too old: the check's image wants 580 or newer" in machine.refused(bundle)


def test_a_truncated_bundle(machine: Machine) -> None:
    bundle = machine.bundle()
    os.truncate(bundle, 1 << 20)
    assert "the bundle is truncated or was changed" in machine.refused(bundle)
    bundle.with_name("site.bundle.sha256").unlink()
    assert "the bundle is cut off, or no bundle" in machine.refused(bundle)


def test_a_truncated_part_and_a_missing_one(machine: Machine) -> None:
    bundle = machine.bundle(part_bytes=1 << 20)
    first, second, *_ = bundle_parts(bundle)
    os.truncate(first, 1000)
    message = machine.refused(bundle)
    assert first.name in message
    second.unlink()
    assert "part 2 of 3 is missing" in machine.refused(bundle)


def test_a_changed_byte(machine: Machine) -> None:
    bundle = machine.bundle()
    bundle.with_name("site.bundle.sha256").unlink()
    with bundle.open("r+b") as stream:
        stream.seek(1 << 20)
        stream.write(b"changed")
    message = machine.refused(bundle)
    assert "the bundle was changed" in message
    assert "k3s/v1/k3s: FAILED" in message


def test_a_disk_that_is_too_small(machine: Machine) -> None:
    machine.program("df", "echo Filesystem; echo /dev/x 10 9 1 90% /")
    assert "1 MiB free, wanted are" in machine.refused(machine.bundle()).replace("has ", "", 1)


def test_a_proof_that_runs_already(machine: Machine) -> None:
    bundle = machine.bundle()
    machine.work.mkdir()
    ended = machine.prove(bundle)
    assert ended.returncode == 1
    assert f"{machine.work} exists already" in ended.stderr
    assert machine.work.exists(), "another proof's folder was removed"


def test_an_option_that_it_does_not_know(machine: Machine) -> None:
    assert "unknown option --kepp" in machine.refused("--kepp")
