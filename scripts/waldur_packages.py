"""A venv with waldur-site-agent and Waldur's client, for what talks to Waldur.

They are no packages of the Pipfile: the client allows python-dateutil below 3 alone, which the Kubernetes client needs.
"""

from __future__ import annotations

import os
from pathlib import Path

from lab.progress import Progress
from scripts.checkout import ROOT
from scripts.python_packages import locked_venv

PACKAGE = ROOT / "waldur_site_agent_k3s"
WALDUR_REQUIREMENTS = PACKAGE / "requirements.txt"

_LIMIT_SECONDS = 600.0


def waldur_python(*, progress: Progress) -> Path:
    """The venv's Python, made when it is not in the cache.

    Raises:
        BuildError: it cannot be installed; with pip's last lines.
    """
    venv = locked_venv("waldur", requirements=WALDUR_REQUIREMENTS, limit_seconds=_LIMIT_SECONDS, progress=progress)
    return venv / "bin" / "python"


def waldur_environment() -> dict[str, str]:
    """Variables for that Python: this checkout's backend and scripts, and nothing of the environment around."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(PACKAGE / "src"), str(ROOT)])}
