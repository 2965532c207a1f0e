"""A bundle with all that a node installs, for machines that reach no mirror."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from constructs_lib.cdk import Construct, FileProvisioner, RemoteExecProvisioner
from constructs_lib.destroy_step import DestroyStep
from constructs_lib.driver_settings import DriverSettings
from constructs_lib.k3s_release import ImageArchive, K3sRelease
from constructs_lib.machine import Machine
from constructs_lib.node_script import NODE_FOLDER, node_script, receive_step, run_as_root, script_path
from constructs_lib.nvidia_container_toolkit import ContainerToolkitRelease
from constructs_lib.place import Group
from constructs_lib.script_template import script_template
from constructs_lib.terraform_data import TerraformData

BUNDLE_FOLDER = "/var/lib/edge-gpu/bundle"
"""Where a node has the bundle unpacked. Later runs read from there too, so it stays."""
BUNDLE_URL = f"file://{BUNDLE_FOLDER}"
APT_KEY = "apt/key.asc"
DRIVER_FOLDER = "driver"

STEP = "bundle"


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleFile:
    """A bundle on the machine that runs Terraform, as `edge-gpu bundle` writes it.

    Args:
        path: Absolute path of the file, in one piece.
        sha256: Of the file. It is what makes nodes take the bundle again.
    """

    path: Path
    sha256: str


class OfflineBundle(Group):
    """Uploads a bundle to a machine once, checks every byte there and unpacks it to `BUNDLE_FOLDER`.

    It happens again only when the bundle, the script or the machine changes.

    Args:
        scope: Parent construct.
        id_: Construct id.
        machine: The machine.
        bundle: The bundle.
        time_limit_seconds: For checking and unpacking on the machine, default 600. The upload has no limit of its own.

    Attributes:
        resource: The `terraform_data` resource.
        removal: The step that removes the unpacked bundle at destroy.

    Raises:
        ValueError: `bundle.path` is not absolute.
    """

    def __init__(
        self, scope: Construct, id_: str, *, machine: Machine, bundle: BundleFile, time_limit_seconds: int = 600
    ) -> None:
        super().__init__(scope, id_)
        if not bundle.path.is_absolute():
            raise ValueError(f"{self.node.path}: the bundle's path must be absolute, got {str(bundle.path)!r}")
        parameters = {
            "BUNDLE_SHA256": bundle.sha256,
            "BUNDLE_FOLDER": BUNDLE_FOLDER,
            "ARCHITECTURE": machine.architecture,
        }
        text = node_script("offline_bundle.sh", step=STEP, node=machine.name, parameters=parameters)
        content = script_template(self, "offline_bundle.sh", step=STEP, node=machine.name, parameters=parameters)
        script = script_path(step=STEP, node=machine.name)
        # After K3s at create, and so the other way round at destroy, does not matter: K3s holds no file of it open.
        self.removal = DestroyStep(
            self,
            "bundle-removal",
            host=machine.host,
            node=machine.name,
            script="offline_bundle_remove.sh",
            parameters={"BUNDLE_FOLDER": BUNDLE_FOLDER},
        )
        self.resource = TerraformData(
            self,
            "run",
            triggers_replace={
                **machine.host.identity(),
                "bundle_sha256": bundle.sha256,
                "script_sha256": hashlib.sha256(text.encode()).hexdigest(),
            },
            connection=machine.host.connection(),
            provisioners=[
                RemoteExecProvisioner(
                    type="remote-exec",
                    inline=[receive_step(script, step=STEP, node=machine.name, time_limit_seconds=time_limit_seconds)],
                ),
                FileProvisioner(type="file", content=content, destination=script),
                FileProvisioner(type="file", source=str(bundle.path), destination=f"{NODE_FOLDER}/bundle.tar"),
                RemoteExecProvisioner(
                    type="remote-exec",
                    inline=[run_as_root(script, step=STEP, node=machine.name, time_limit_seconds=time_limit_seconds)],
                ),
            ],
        )


def release_in_bundle(release: K3sRelease) -> K3sRelease:
    """The same K3s, its files read from the unpacked bundle. Checksums stay: nodes check them again."""
    archives = tuple(
        ImageArchive(url=f"{BUNDLE_URL}/images/{archive.url.rpartition('/')[2]}", sha256=archive.sha256)
        for archive in release.image_archives
    )
    return replace(release, artifact_url=f"{BUNDLE_URL}/k3s", image_archives=archives)


def toolkit_in_bundle(toolkit: ContainerToolkitRelease) -> ContainerToolkitRelease:
    """The same toolkit from the repository in the unpacked bundle; apt checks its signature again."""
    return replace(toolkit, apt_repository=f"{BUNDLE_URL}/apt", apt_key_url=f"{BUNDLE_URL}/{APT_KEY}")


def driver_in_bundle(settings: DriverSettings) -> DriverSettings:
    """The same driver, its packages those in the unpacked bundle where it brings any."""
    return replace(settings, package_folder=f"{BUNDLE_FOLDER}/{DRIVER_FOLDER}")
