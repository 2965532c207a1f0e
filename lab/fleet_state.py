"""Terraform's state of the lab's fleet, once the machines that it speaks of are gone."""

from __future__ import annotations

import json
import time
from pathlib import Path

from lab.settings import LabSettings


def set_aside_state(settings: LabSettings) -> Path | None:
    """Rename the local state when it still lists resources: they are gone with the lab's servers.

    A deploy that believed in it would fail at the API server that it remembers. Nothing is deleted.

    Returns:
        the state's new name, None when there was nothing to rename.
    """
    state = settings.project / ".edge" / settings.fleet_name / "terraform.tfstate"
    try:
        resources = json.loads(state.read_text()).get("resources")
    except (OSError, ValueError, AttributeError):
        # Terraform itself says best what is wrong with a state that it cannot read.
        return None
    if not resources:
        return None
    aside = state.with_name(f"{state.name}.gone-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    state.rename(aside)
    return aside
