"""Takes K3s off machines that leave the cluster, and the nodes out of the cluster."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from constructs_lib.cdk import Construct, LocalExecProvisioner
from constructs_lib.machine import Machine
from constructs_lib.node_script import terraform_literal
from constructs_lib.terraform_data import Step, TerraformData

DRAIN_SECONDS = 120


class NodeRemoval(Step):
    """What happens when a machine is taken out of the fleet, or the whole fleet is destroyed; creating it does nothing.

    The node is drained, K3s uninstalled, and its Node object and node-password secret are deleted, so that the same
    name can join again. A machine that cannot be reached is written down in `records_file` and holds nothing up.

    Terraform runs a destroy provisioner only while its resource block is still in the configuration: a block for each
    machine would go with its machine, and K3s would stay. So there is one block, with an instance for each machine.

    Its program runs where Terraform runs, with the OpenSSH client: Terraform's own SSH provisioners can either stop a
    destroy at the first machine that is off, or (`on_failure = continue`) hide every error without a word.

    Args:
        scope: Parent construct.
        id_: Construct id.
        machines: The machines, none allowed.
        servers: Servers of the cluster, through which nodes are drained and deleted, in the order they are tried.
        records_file: Absolute path of the file for machines whose K3s could not be removed, one JSON object a line.
        may_lose_data: Names of nodes that may go although their going loses data: the last server, and nodes that
            hold persistent volumes. Needed only when a node is taken out, not for destroying the whole fleet.
        drain_seconds: Limit for a drain, default 120; what is left then is ended with the node.

    Attributes:
        resource: The `terraform_data` resource.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        machines: Sequence[Machine],
        servers: Sequence[Machine],
        records_file: Path,
        may_lose_data: Sequence[str] = (),
        drain_seconds: int = DRAIN_SECONDS,
    ) -> None:
        super().__init__(scope, id_)
        self.resource = TerraformData(
            self,
            "on-destroy",
            # The identity says which machine was set up: after a change of address that one is cleaned. How to log in
            # may differ from operator to operator: a change of it is no replacement.
            triggers_replace="${each.value.machine}",
            input="${each.value.login}",
            provisioners=[
                on_destroy(
                    module="constructs_lib.remove_node",
                    options={
                        "records_file": str(records_file),
                        "may_lose_data": list(may_lose_data),
                        "drain_seconds": drain_seconds,
                    },
                    target='${jsonencode(merge(self.triggers_replace, self.output, {"name" = each.key}))}',
                )
            ],
        )
        keep_quiet(self.resource)
        self.resource.set_argument("for_each", {machine.name: _instance(machine, servers) for machine in machines})


def on_destroy(*, module: str, options: Mapping[str, object], target: str) -> LocalExecProvisioner:
    """A program of this package that Terraform runs before it forgets the resource.

    Args:
        module: Its name; it is run by the Python that synthesizes, and finds this package where it is now.
        options: As of the configuration at that time; nothing secret.
        target: A Terraform expression that reads only the resource itself; nothing secret.
    """
    return LocalExecProvisioner(
        type="local-exec",
        when="destroy",
        interpreter=[sys.executable, "-m", module],
        command=terraform_literal(json.dumps(options)),
        environment={"PYTHONPATH": str(Path(__file__).resolve().parents[1]), "EDGE_GPU_TARGET": target},
    )


def keep_quiet(resource: TerraformData) -> None:
    """Have Terraform not print the program's whole command line; the bindings' local-exec has no `quiet`."""
    resource.set_in_provisioner(0, "quiet", True)


def _instance(machine: Machine, servers: Sequence[Machine]) -> dict[str, object]:
    others = [server for server in servers if server is not machine]
    return {
        "machine": {**machine.host.identity(), "role": machine.role},
        "login": {**machine.host.login(), "servers": json.dumps([access(server) for server in others])},
    }


def access(machine: Machine) -> dict[str, str]:
    """How to reach a machine, as `SshAccess` reads it."""
    return {"name": machine.name, **machine.host.identity(), **machine.host.login()}
