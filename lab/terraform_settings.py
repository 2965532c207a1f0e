"""Where Terraform finds its plugins on this machine: the lab's mirror of stand-ins, or the public registry."""

from __future__ import annotations

from collections.abc import Sequence

from lab.artifacts.terraform_plugins import remove_stale_locks, write_terraform_rc
from lab.fleet_file import write_if_changed
from lab.part import Part
from lab.settings import LabSettings


def write_terraform_settings(settings: LabSettings, *, plugins: Sequence[Part]) -> None:
    """Write .edge/terraform.rc, which TF_CLI_CONFIG_FILE names.

    Args:
        settings: the lab.
        plugins: the stand-ins, all in one mirror; empty when the plugins come from the public registry.
    """
    destination = settings.project / ".edge" / "terraform.rc"
    if plugins:
        mirror = plugins[0].path
        write_terraform_rc(mirror=mirror, destination=destination)
        remove_stale_locks(mirror=mirror, stacks=settings.project / "cdktf.out" / "stacks")
    else:
        write_if_changed(destination, "# Written by the lab: Terraform's plugins come from the public registry.\n")
