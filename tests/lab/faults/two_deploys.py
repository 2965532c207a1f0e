"""A first deploy in which some machines fail, each alone, and the same command once their faults are gone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.lab.faults.command import Ended

HEALTHY = "server-1"


@dataclass(frozen=True, kw_only=True)
class TwoDeploys:
    """What the two deploys said.

    Attributes:
        first: the deploy that met the faults.
        ready_after_first: the nodes that were Ready then.
        second: the deploy after the faults were gone.
        between: what a node was asked between the two, by node.
    """

    first: Ended
    ready_after_first: set[str]
    second: Ended
    between: Mapping[str, str] = field(default_factory=dict)

    @property
    def outputs(self) -> dict[str, str]:
        """What both printed, by a name for a message."""
        return {"the first deploy": self.first.output, "the second deploy": self.second.output}

    def assert_failed_alone(self, node: str) -> None:
        """That the first deploy failed, without this node, and had all that has no fault."""
        assert self.first.code == 1
        assert node not in self.ready_after_first
        assert HEALTHY in self.ready_after_first
        assert re.search(rf"PROBLEM +{node} is not in the cluster", self.first.output)
        assert f"gpu-check/{HEALTHY}/job: Creation complete" in self.first.output

    def seconds_to_recover(self, node: str) -> float:
        """From the start of the second deploy until this node's K3s was up."""
        up = rf"cluster/{node}/node/k3s/run: Creation complete"
        assert re.search(up, self.second.output), f"{node} did not come up in the second deploy:\n{self.second.output}"
        return self.second.seconds_until(up)
