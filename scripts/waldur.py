"""`edge-gpu waldur COMMAND`: hands over to the program, in the venv of Waldur's packages."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lab.artifacts.command import BuildError
from lab.cache import CacheError
from lab.progress import Progress
from scripts.waldur_packages import waldur_environment, waldur_python

PROGRAMS = {"register": "scripts.waldur_register"}


def main(words: Sequence[str]) -> int:
    """Become the command. Exit code: its own, or 1 after a message."""
    module = PROGRAMS.get(words[0]) if words else None
    if module is None:
        program = os.environ.get("EDGE_GPU_PROGRAM", "python -m scripts.edge_gpu")
        print(f"usage: {program} waldur {{{','.join(PROGRAMS)}}} ...", file=sys.stderr)
        return 0 if words[:1] in (["-h"], ["--help"]) else 1
    try:
        python = waldur_python(progress=Progress())
    except (BuildError, CacheError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return _become(python, module, words[1:])


def _become(python: Path, module: str, words: Sequence[str]) -> NoReturn:
    sys.stdout.flush()
    os.execve(python, [str(python), "-m", module, *words], waldur_environment())
