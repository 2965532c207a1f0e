"""One shell step on one machine that runs when it is destroyed."""

from __future__ import annotations

from collections.abc import Mapping

from constructs_lib.cdk import Construct, FileProvisioner, RemoteExecProvisioner
from constructs_lib.node_script import node_script, receive_step, run_as_root, script_path, terraform_literal
from constructs_lib.ssh_host import SshHost
from constructs_lib.terraform_data import Step, TerraformData


class DestroyStep(Step):
    """A script that cleans a machine up when the step is destroyed; creating the step does nothing there.

    Terraform lets a destroy provisioner see only its own resource. The machine's identity is kept in the
    triggers: after a change of address the machine that was set up is the one that is cleaned. The way to log
    in may differ from operator to operator and is kept in the input, where a change is no replacement.

    Args:
        scope: Parent construct.
        id_: Step name, for example `uninstall`; each line of the step's output starts with it.
        host: The machine.
        node: The machine's name in messages.
        script: File name of a script in this package.
        parameters: Shell variables by name; nothing secret.
        time_limit_seconds: When the script is ended, default 300.

    Attributes:
        resource: The `terraform_data` resource.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        host: SshHost,
        node: str,
        script: str,
        parameters: Mapping[str, str],
        time_limit_seconds: int = 300,
    ) -> None:
        super().__init__(scope, id_)
        text = node_script(script, step=id_, node=node, parameters=parameters)
        uploaded = script_path(step=id_, node=node)
        self.resource = TerraformData(
            self,
            "on-destroy",
            triggers_replace=host.identity(),
            # The last two are for readers of a plan; nothing uses them.
            input={**host.login(), "STEP": id_, "NODE": node},
            connection=host.connection_from_state(),
            provisioners=[
                RemoteExecProvisioner(
                    type="remote-exec",
                    inline=[receive_step(uploaded, step=id_, node=node, time_limit_seconds=time_limit_seconds)],
                ),
                # Whole: a destroy provisioner may refer to nothing but its own resource, so to no `local` value.
                FileProvisioner(type="file", content=terraform_literal(text), destination=uploaded),
                RemoteExecProvisioner(
                    type="remote-exec",
                    inline=[run_as_root(uploaded, step=id_, node=node, time_limit_seconds=time_limit_seconds)],
                ),
            ],
        )
        for index in range(len(self.resource.provisioner_structs)):
            self.resource.set_in_provisioner(index, "when", "destroy")
