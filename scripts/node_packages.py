"""cdktf-cli, and the Node.js and npm that it runs on, from package-lock.json."""

from __future__ import annotations

from lab.artifacts.command import run_command
from lab.cache import content_key
from lab.progress import Progress
from scripts.checkout import NODE_BIN, NODE_MODULES, ROOT
from scripts.errors import SetupError

_STAMP = NODE_MODULES / ".edge-gpu-stamp"


def install_node_packages(*, progress: Progress) -> None:
    """Make node_modules hold exactly what package-lock.json says; nothing is done when it does already.

    Raises:
        SetupError: npm has no Node.js for this kind of machine.
        BuildError: npm failed; with its last lines.
    """
    stamp = content_key(*(ROOT / name for name in ("package.json", "package-lock.json", ".npmrc")))
    if _STAMP.is_file() and _STAMP.read_text() == stamp:
        return
    with progress.step("Install cdktf-cli and Node.js from package-lock.json"):
        run_command(["npm", "ci", "--no-progress"], cwd=ROOT, timeout_seconds=1800)
        if not (NODE_BIN / "node").exists():
            raise SetupError(
                "npm installed no Node.js: package.json has one for Linux on x64 and arm64 only. "
                "Fix: run make on such a machine."
            )
        _STAMP.write_text(stamp)
