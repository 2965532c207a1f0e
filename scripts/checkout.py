"""Where things are in this checkout. Standard library only: set-up runs it before anything is installed."""

from __future__ import annotations

import os
import platform
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "log"
VENV = ROOT / ".venv"
NODE_MODULES = ROOT / "node_modules"
_NPM_ARCHITECTURE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
# Not node_modules/.bin/node: npm 9 makes no link there when two packages, one a machine kind, both offer it.
NODE_BIN = NODE_MODULES / f"node-linux-{_NPM_ARCHITECTURE}" / "bin"
ENV_FILE = ROOT / ".env"
_LAB_NAME = os.environ.get("LAB_NAME") or "edge-gpu-lab"
# As lab.settings has it; not asked there, because a wrong LAB_NAME must not stop what needs no lab.
LAB_FLEET = ROOT / ("fleets/lab.yaml" if _LAB_NAME == "edge-gpu-lab" else f"build/{_LAB_NAME}.yaml")
LAB_TERRAFORM_CONFIG = ROOT / ".edge" / "terraform.rc"
STACK = "edge-gpu"
STACK_DIRECTORY = ROOT / "cdktf.out" / "stacks" / STACK


def chosen_fleet() -> Path:
    """The fleet file that $FLEET names, absolute; relative names count from the checkout. Default: the lab's."""
    return ROOT / (os.environ.get("FLEET") or LAB_FLEET)


def shown(path: Path) -> str:
    """The path as a reader types it from the checkout's root."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def is_lab_fleet(fleet: Path) -> bool:
    """Whether this is the fleet file that the embedded lab writes."""
    return fleet.resolve() == LAB_FLEET.resolve()
