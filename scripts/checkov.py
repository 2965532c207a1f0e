"""checkov on the example fleet's synthesized stacks: `python -m scripts.checkov`. No secret and no fleet is needed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from lab.artifacts.command import BuildError
from lab.cache import CacheError
from lab.progress import Progress
from scripts.checkout import ROOT
from scripts.errors import CommandError
from scripts.plan_make import synth_without_access
from scripts.python_packages import locked_venv

CHECKOV_REQUIREMENTS = ROOT / "scripts" / "checkov-requirements.txt"
SETTINGS = ROOT / ".checkov.yaml"
FLEET = ROOT / "fleets" / "example.yaml"

_LIMIT_SECONDS = 300


def main() -> int:
    """Synthesize and check. Exit code 0, or 1 after what checkov found or a message."""
    progress = Progress()
    try:
        checkov = install_checkov(progress=progress)
        with tempfile.TemporaryDirectory(prefix="edge-gpu-check-") as made:
            return check(synth_without_access(Path(made).resolve(), fleet=FLEET), checkov=checkov)
    except (BuildError, CacheError, CommandError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def install_checkov(*, progress: Progress) -> Path:
    """The venv of the pinned checkov, made when it is not in the cache.

    Raises:
        BuildError: it cannot be installed; with pip's last lines.
    """
    return locked_venv("checkov", requirements=CHECKOV_REQUIREMENTS, limit_seconds=900, progress=progress)


def check(output: Path, *, checkov: Path) -> int:
    """Run checkov on every stack of an app; its exit code: 0 when it found nothing.

    Args:
        output: the app's output folder.
        checkov: what install_checkov() returned.
    """
    done = subprocess.run(
        # As a module: the venv was renamed after its scripts were written.
        [str(checkov / "bin" / "python"), "-m", "checkov.main", "--config-file", str(SETTINGS), "-d", str(output)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
