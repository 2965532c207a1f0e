"""One idempotent shell step on one machine, run by Terraform over SSH."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from constructs_lib.cdk import (
    Construct,
    FileProvisioner,
    RemoteExecProvisioner,
    TerraformResourceLifecycle,
)
from constructs_lib.node_script import (
    NODE_FOLDER,
    node_script,
    receive_step,
    run_as_root,
    script_path,
    secrets_path,
    step_record,
)
from constructs_lib.script_template import script_template
from constructs_lib.ssh_host import SshHost
from constructs_lib.struct_values import later
from constructs_lib.terraform_data import Step, TerraformData


class RemoteStep(Step):
    """A script that brings one aspect of a machine to its wanted state, as `terraform_data` with provisioners.

    The script is uploaded into a folder that only the SSH user can enter, and run as root under a time limit.
    It runs again when its text, its parameters or the machine's identity change, never otherwise.

    Args:
        scope: Parent construct.
        id_: Step name, for example `k3s`; each line of the step's output starts with it.
        host: The machine.
        node: The machine's name in messages.
        script: File name of a script in this package; it sees the parameters as shell variables.
        parameters: Shell variables by name. They are visible in the plan: nothing secret belongs here.
        time_limit_seconds: When the script is ended, default 600.
        secrets_folder: Absolute path of a folder on the machine that runs Terraform. Its contents are uploaded
            to the folder `$SECRETS` of the script; the script's end removes them, however it ends. Default None:
            nothing is uploaded.
        arguments: Further words on the script's command line, default none: Terraform expressions, or words without
            a quote, dollar or backslash. For what differs at each run, such as the time: a change of them alone
            does not run the step again.
        rerun_with: Addresses of resources whose replacement or update makes this step run again, default none.
        uploads: Absolute paths of files on the machine that runs Terraform, which may be made by the same deploy. They
            lie beside the script under their own names, `$HERE/<name>`; the script removes them. Default none.
        triggers: Further values whose change makes the step run again, by name. Default none.

    Attributes:
        resource: The `terraform_data` resource.

    Raises:
        ValueError: A parameter's name is no shell variable name, or `secrets_folder` is not absolute.
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
        time_limit_seconds: int = 600,
        secrets_folder: Path | None = None,
        arguments: Sequence[str] = (),
        rerun_with: Sequence[str] = (),
        uploads: Sequence[Path] = (),
        triggers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(scope, id_)
        text = node_script(script, step=id_, node=node, parameters=parameters)
        content = script_template(self, script, step=id_, node=node, parameters=parameters)
        uploaded = script_path(step=id_, node=node)
        provisioners: list[FileProvisioner | RemoteExecProvisioner] = [
            later(
                RemoteExecProvisioner,
                type="remote-exec",
                inline=[
                    receive_step(
                        uploaded,
                        step=id_,
                        node=node,
                        time_limit_seconds=time_limit_seconds,
                        with_secrets=secrets_folder is not None,
                    )
                ],
            ),
            later(FileProvisioner, type="file", content=content, destination=uploaded),
        ]
        if secrets_folder is not None:
            if not secrets_folder.is_absolute():
                raise ValueError(f"{self.node.path}: secrets_folder must be absolute, got {str(secrets_folder)!r}")
            # The trailing slash uploads what is in the folder, not the folder itself.
            provisioners.append(
                later(FileProvisioner, type="file", source=f"{secrets_folder}/", destination=secrets_path(uploaded))
            )
        for path in uploads:
            provisioners.append(
                later(FileProvisioner, type="file", source=str(path), destination=f"{NODE_FOLDER}/{path.name}")
            )
        provisioners.append(
            later(
                RemoteExecProvisioner,
                type="remote-exec",
                inline=[
                    run_as_root(
                        uploaded, step=id_, node=node, time_limit_seconds=time_limit_seconds, arguments=arguments
                    )
                ],
            )
        )
        self.resource = TerraformData(
            self,
            "run",
            triggers_replace={
                **(triggers or {}),
                **host.identity(),
                "script_sha256": hashlib.sha256(text.encode()).hexdigest(),
            },
            # Says in a plan what the checksum above cannot: which step on which machine, and what of it changed.
            input=step_record(script, step=id_, node=node, parameters=parameters),
            connection=host.connection_later(),
            provisioners=provisioners,
            lifecycle=later(TerraformResourceLifecycle, replace_triggered_by=list(rerun_with)) if rerun_with else None,
        )

    @property
    def address(self) -> str:
        """Terraform address of the step's resource, for `rerun_with` of another step."""
        return self.resource.address
