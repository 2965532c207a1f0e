"""Makes the secrets of a fleet's cluster once: `python -m stacks.identity [--rotate-tokens] fleets/<name>.yaml`."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

from constructs_lib.cluster_identity import ClusterIdentity
from stacks.fleet import Fleet, FleetError, load_fleet

PROJECT = Path(__file__).resolve().parent.parent
ROTATE = "--rotate-tokens"
RENEW_BEFORE_END = datetime.timedelta(days=30)


def identity_folder(fleet: Fleet, *, project: Path = PROJECT) -> Path:
    """Where the fleet's secrets lie: `.edge/<name>` in the project."""
    return project / ".edge" / fleet.name


def main(arguments: Sequence[str], *, project: Path = PROJECT) -> int:
    """Make what is missing, renew the administrator's certificate in its last 30 days, and say so; never a secret."""
    rotate = ROTATE in arguments
    arguments = [argument for argument in arguments if argument != ROTATE]
    if len(arguments) != 1:
        print(f"usage: python -m stacks.identity [{ROTATE}] fleets/<name>.yaml", file=sys.stderr)
        return 2
    try:
        fleet = load_fleet(Path(arguments[0]))
        identity = ClusterIdentity(identity_folder(fleet, project=project))
        made = not identity.exists()
        renewed = not made and _renew(identity)
        ClusterIdentity.create(
            directory=identity.directory,
            cluster_name=fleet.name,
            server_addresses=[node.address for node in fleet.nodes if node.role == "server"],
        )
        if rotate and not made:
            identity.rotate_tokens()
    except (FleetError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if rotate and not made:
        print("tokens: made anew; the next deploy carries them to the nodes, and the old ones end with it")
    print(f"cluster identity {identity.directory}: {'made now' if made else 'was there'}")
    print(f"fingerprint (sha256 of the server authority): {identity.fingerprint}")
    print(f"admin certificate: valid until {identity.expires_at:%Y-%m-%d}{', renewed now' if renewed else ''}")
    return 0


def _renew(identity: ClusterIdentity) -> bool:
    try:
        ends = identity.expires_at
    except (ValueError, OSError):
        return False  # `create` says what is wrong, all of it.
    if ends - datetime.datetime.now(datetime.UTC) > RENEW_BEFORE_END:
        return False
    identity.renew_admin_certificate()
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
