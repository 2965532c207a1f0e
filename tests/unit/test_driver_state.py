"""What a node's driver versions mean: each state by a table of facts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "constructs_lib"
STATE = re.sub(r"^# include: .*\n", "", (PACKAGE / "shared_driver_state.sh").read_text(), flags=re.MULTILINE)
PENDING = "580.95.05 is installed, 535.54.03 is loaded"
MISMATCH = "Failed to initialize NVML: Driver/library version mismatch"


def shell(text: str) -> str:
    done = subprocess.run(["sh", "-euc", STATE + text], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("loaded", "module", "library", "kernel", "smi", "code", "state", "why"),
    [
        ("580.95.05", "580.95.05", "580.95.05", "", "580.95.05, GPU", 0, "ready", "580.95.05 is loaded"),
        ("", "", "", "", "580.0.0-stand-in, GPU", 0, "ready", "580.0.0-stand-in is loaded"),
        ("", "", "", "", "", 127, "absent", "neither module nor libraries are installed"),
        ("535.54.03", "580.95.05", "580.95.05", "", MISMATCH, 18, "reboot", PENDING),
        ("535.54.03", "", "580.95.05", "", MISMATCH, 18, "reboot", PENDING),
        ("580.95.05", "580.95.05", "575.1.2", "", MISMATCH, 18, "mismatch", "the installed libraries are 575.1.2"),
        ("", "", "580.95.05", "6.8.0-60-generic", "failed", 9, "reboot", "for the kernel 6.8.0-60-generic"),
        ("", "580.95.05", "580.95.05", "", "has failed\nbecause", 9, "broken", "exit code 9: has failed because"),
    ],
)  # fmt: skip
def test_versions_tell_a_pending_reboot_from_a_mismatch(
    loaded: str, module: str, library: str, kernel: str, smi: str, code: int, state: str, why: str
) -> None:
    facts = (
        f"LOADED='{loaded}' MODULE='{module}' LIBRARY='{library}' OTHER_KERNEL='{kernel}' SMI='{smi}' SMI_CODE={code}\n"
    )
    seen_state, _, seen_why = shell(f'{facts}judge_driver; echo "$STATE $WHY"').partition(" ")
    assert seen_state == state
    assert why in seen_why


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024", "535.183.01"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build", "580.95.05"),
        ("580.0.0-stand-in, Edge GPU Lab Stand-in GPU", "580.0.0-stand-in"),
        ("580.95.05", "580.95.05"),
        ("1", ""),
    ],
)
def test_the_version_is_found_in_what_driver_and_tools_print(text: str, version: str) -> None:
    assert shell(f"version_in '{text}'").strip() == version


@pytest.mark.parametrize(
    ("version", "minimum", "enough"),
    [("580.95.05", "560", True), ("560.1", "560", True), ("535.54.03", "560", False), ("1000.1", "560", True),
     ("580.0.0-stand-in", "580", True), ("99.1", "384", False)],
)  # fmt: skip
def test_versions_are_compared_by_their_numbers(version: str, minimum: str, enough: bool) -> None:
    assert shell(f"if at_least {version} {minimum}; then echo enough; else echo old; fi").strip() == (
        "enough" if enough else "old"
    )
