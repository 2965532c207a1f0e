"""What prove-apply.sh refuses: one message with cause and fix, exit 1, nothing changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="prove-apply.sh is for root, and says so to others")


class Kit:
    """A kit without its large parts, on a machine some of whose programs are replaced."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "kit"
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.folder.mkdir()
        shutil.copy(ROOT / "scripts" / "prove-apply.sh", self.folder)
        self.settings(KIT=self.folder)
        self.program("pgrep", "exit 1")
        self.gpus(1)

    def settings(self, **changes: object) -> None:
        values = {"KIT": self.folder, "GPUS": 1, "STAND_IN_GPUS": 0, "STACKS": "edge-gpu", **changes}
        (self.folder / "settings").write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))

    def program(self, name: str, body: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def gpus(self, count: int) -> None:
        lines = "".join(f"GPU-0000000{index}, 580.1, 1024 MiB, A GPU\n" for index in range(count))
        self.program("nvidia-smi", f"printf '%s' '{lines}'")

    def refused(self, *arguments: str) -> str:
        """The message; asserts that it is the only one, has a cause and a fix, and that no run was begun."""
        ended = subprocess.run(
            ["sh", str(self.folder / "prove-apply.sh"), *arguments],
            env={"PATH": f"{self.programs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1, ended.stdout + ended.stderr
        message = ended.stderr
        assert message.count("ERROR ") == 1, message
        assert "\n  cause: " in message, message
        assert "\n  fix: " in message, message
        assert not (self.folder / "run").exists() or (self.folder / "run" / "earlier").exists()
        return message


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path)


def test_a_kit_that_was_moved_is_refused_because_its_stacks_name_its_place(kit: Kit) -> None:
    kit.settings(KIT="/srv/elsewhere")
    assert "its stacks name /srv/elsewhere" in kit.refused()


def test_a_folder_without_settings_is_no_kit(kit: Kit) -> None:
    (kit.folder / "settings").unlink()
    assert "is no kit" in kit.refused()


def test_another_number_of_gpus_than_the_kit_was_made_for_is_refused(kit: Kit) -> None:
    kit.gpus(2)
    assert "the machine has 2 GPUs, the kit is for 1" in kit.refused()


def test_a_driver_that_does_not_answer_is_refused_with_what_it_said(kit: Kit) -> None:
    kit.program("nvidia-smi", "echo 'NVML: Driver/library version mismatch'; exit 18")
    assert "Driver/library version mismatch" in kit.refused()


def test_another_kubernetes_node_on_the_machine_is_refused(kit: Kit) -> None:
    kit.program("pgrep", '[ "$2" = kubelet ] && echo 4242')
    assert "process 4242 is K3s or a kubelet" in kit.refused()


def test_a_run_that_was_killed_is_not_run_over(kit: Kit) -> None:
    (kit.folder / "run" / "earlier").mkdir(parents=True)
    assert "run exists already" in kit.refused()
    assert (kit.folder / "run" / "earlier").exists()


def test_too_small_a_disk_is_refused(kit: Kit) -> None:
    kit.program("ldconfig", "echo '  libnvidia-ml.so.1 (libc6,x86-64) => /usr/lib/libnvidia-ml.so.1'")
    kit.program("df", "printf 'Filesystem\\n/dev/sda 1 1 100 1%% /\\n'")
    assert "has 100 MiB free, wanted are 4000" in kit.refused()


def test_unknown_options_are_refused(kit: Kit) -> None:
    assert "unknown argument --bundle" in kit.refused("--bundle")
