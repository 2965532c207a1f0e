"""One offering's usage is reported by one program: two would overwrite each other's value of the month."""

from __future__ import annotations

from constructs_lib.cdk import Construct

_CLAIM = "waldur_reports_offering"


def claim_reporting(construct: Construct, *, offering_uuid: str) -> None:
    """Say that a construct reports an offering's usage.

    Args:
        construct: Who reports.
        offering_uuid: With or without dashes.

    Raises:
        ValueError: Another construct of the app does already; with the paths of both.
    """
    wanted = offering_uuid.replace("-", "")
    for other in construct.node.root.node.find_all():
        if other is not construct and getattr(other, _CLAIM, None) == wanted:
            raise ValueError(
                f"{construct.node.path}: the usage of offering {wanted} is reported by {other.node.path} already. Fix: "
                "leave `report` out of that agent's modes, or this reporter out"
            )
    setattr(construct, _CLAIM, wanted)
