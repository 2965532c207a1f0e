"""The fleet file as frozen objects. The descriptions are also the reference in docs/fleet-file.md."""

from __future__ import annotations

from types import MappingProxyType

from pydantic import Field

from stacks.fleet import cautions, operator_files
from stacks.fleet.backend import Backend, LocalBackendSettings
from stacks.fleet.bootstrap import DriverSection, PreflightSection, RebootSection
from stacks.fleet.images import Images
from stacks.fleet.rules import (
    Architecture,
    ArchiveUrl,
    BaseUrl,
    ChartVersion,
    ChecksumByArchitecture,
    Command,
    DebianVersion,
    Flag,
    FleetName,
    Gpus,
    HostAddress,
    HostKey,
    Image,
    K3sConfig,
    K3sVersion,
    KeyFile,
    Labels,
    ListStrategy,
    LocalFile,
    NodeName,
    PathOnNode,
    Port,
    RegistryName,
    Rewrites,
    Role,
    Seconds,
    Sha256,
    SharesOfGpu,
    Taint,
    UserName,
)
from stacks.fleet.section import Section
from stacks.fleet.waldur import WaldurSection


class Bastion(Section):
    """A jump host in front of every node; the same private key or agent logs in there."""

    address: HostAddress = Field(description="How the machine that runs Terraform reaches it.")
    port: Port = Field(22, description="SSH port.")
    user: UserName = Field(description="Login name there.")
    host_key: HostKey = Field(description="Its public host key. There is no opt-out: all secrets pass through it.")


class Ssh(Section):
    """How Terraform logs in. Exactly one of `private_key_path` and `agent`."""

    user: UserName = Field(description="Login name on every node; may use `sudo` without a password.")
    private_key_path: KeyFile | None = Field(None, description="The operator's private key, without passphrase.")
    agent: Flag = Field(False, description="Use the keys of the SSH agent that SSH_AUTH_SOCK names.")
    bastion: Bastion | None = Field(None, description="Jump host. Default: nodes are reached directly.")
    connect_timeout_seconds: Seconds = Field(60, description="How long a step tries to connect before it fails.")


class Node(Section):
    """One machine."""

    name: NodeName = Field(description="Node name in Kubernetes.")
    address: HostAddress = Field(description="For Terraform (or its bastion) and for the other nodes the same.")
    port: Port = Field(22, description="SSH port.")
    role: Role = Field(description="`server` runs the control plane and pods, `agent` runs pods. 1, 3, 5, … servers.")
    host_key: HostKey | None = Field(
        None,
        description="Public SSH host key, checked before anything is sent. Mandatory unless the check is skipped. "
        "Terraform asks for ECDSA first: pin the ecdsa-sha2-nistp256 key where the node has one.",
    )
    insecure_skip_host_key_check: Flag = Field(
        False,
        description="Accept any host key: whoever is between can read the cluster's secrets. Warned of at each run.",
    )
    gpus: Gpus = Field(
        0, description="NVIDIA GPUs that the node must offer. 0: nothing of NVIDIA's is installed or checked."
    )
    labels: Labels = Field(
        default_factory=lambda: MappingProxyType({}),
        description="Node labels, set when the node first joins. GPU nodes get `nvidia.com/gpu.present=true` besides.",
    )
    taints: tuple[Taint, ...] = Field((), strict=False, description="Node taints, set when the node first joins.")
    architecture: Architecture = Field("amd64", description="Which K3s binary it gets.")


class ImageArchive(Section):
    """Container images in a tar, imported on every node: for sites without a registry."""

    url: ArchiveUrl = Field(
        description="Where nodes fetch it; the last part is the file's name on the node, used once."
    )
    sha256: Sha256 = Field(description="Of the archive.")


class Registry(Section):
    """Where nodes get a registry's images from: one entry of K3s's registries.yaml. Credentials have no place here."""

    name: RegistryName = Field(description="The registry; `*` for all that have no entry of their own.")
    endpoints: tuple[BaseUrl, ...] = Field(
        (), strict=False, description="Asked instead, in this order. Default: the registry itself."
    )
    rewrites: Rewrites = Field(
        default_factory=lambda: MappingProxyType({}), description="What repositories are called at the endpoints."
    )
    ca_file: PathOnNode | None = Field(None, description="Authorities of the endpoints' certificates.")
    insecure_skip_verify: Flag = Field(False, description="Take any certificate.")


class K3s(Section):
    """The Kubernetes distribution."""

    version: K3sVersion = Field(description="What every node runs.")
    sha256: ChecksumByArchitecture = Field(
        description="Of the binary, by architecture (`amd64`, `arm64`), from the release's `sha256sum-*.txt`."
    )
    artifact_url: BaseUrl = Field(
        "https://github.com/k3s-io/k3s/releases/download",
        description="Where nodes fetch `<version>/k3s` (`k3s-arm64`): the `+` of the version is written as %2B.",
    )
    image_archives: tuple[ImageArchive, ...] = Field((), strict=False, description="Images that no registry serves.")
    config: K3sConfig = Field(
        default_factory=lambda: MappingProxyType({}),
        description="For config.yaml on every node. A change restarts K3s, servers first; where it does not start with "
        "it, what ran before is put back.",
    )
    server_config: K3sConfig = Field(
        default_factory=lambda: MappingProxyType({}), description="The same for servers alone; wins over `config`."
    )
    registries: tuple[Registry, ...] = Field(
        (),
        strict=False,
        description="For registries.yaml on every node. Default: a registries.yaml that is there already stays.",
    )
    start_timeout_seconds: Seconds = Field(180, description="Limit for K3s to run, and again for its node to be Ready.")


class ContainerToolkit(Section):
    """NVIDIA's container toolkit, installed by apt on GPU nodes."""

    version: DebianVersion = Field("1.20.0-1", description="Of all four packages.")
    apt_repository: BaseUrl = Field(
        "https://nvidia.github.io/libnvidia-container/stable/deb",
        description="Flat signed repository with one folder an architecture.",
    )
    apt_key_url: BaseUrl = Field(
        "https://nvidia.github.io/libnvidia-container/gpgkey",
        description="OpenPGP key that signs it, ASCII armoured.",
    )
    apt_key_sha256: Sha256 | None = Field(
        None, description="Of the key's file. Default: the key that the URL serves is trusted."
    )


class TimeSlicingSection(Section):
    """Pods take turns on each GPU. Its memory is not divided, and one pod's fault can end the others'."""

    replicas: SharesOfGpu = Field(description="How many pods share a GPU. The GPU check then runs so many at once.")
    fail_requests_greater_than_one: Flag = Field(
        True, description="Refuse pods that ask for more than one share: two may be of the same GPU."
    )


class DevicePlugin(Section):
    """NVIDIA's device plugin for Kubernetes, from its Helm chart."""

    chart_repository: BaseUrl = Field(
        "https://nvidia.github.io/k8s-device-plugin",
        description="Chart repository, read by the machine that runs Terraform.",
    )
    chart_version: ChartVersion = Field("0.19.3", description="Of the chart nvidia-device-plugin.")
    image: Image | None = Field(
        None, description="Default: the chart's own, nvcr.io/nvidia/k8s-device-plugin of its version."
    )
    time_slicing: TimeSlicingSection | None = Field(
        None, description="Several pods share each GPU in time. Default: a GPU is for one pod."
    )
    device_list_strategy: ListStrategy | None = Field(
        None,
        description="How containers learn their GPUs; `cdi-cri` and `cdi-annotations` name devices of a CDI "
        "specification that the plugin writes. Default: the chart's own, `envvar`.",
    )


class BundleSettings(Section):
    """A bundle with all that nodes install, for sites whose machines reach no mirror; see docs/bundle.md."""

    path: LocalFile = Field(
        description="The bundle's file, in one piece, on the machine that runs Terraform: it uploads it to each node."
    )
    sha256: Sha256 = Field(description="Of the file, as the `.sha256` file beside it says; nodes check it.")


class GpuCheckSettings(Section):
    """The job that proves each GPU node works."""

    image: Image = Field("ubuntu:22.04", description="Any with a POSIX shell; the toolkit brings `nvidia-smi` into it.")
    command: Command | None = Field(
        None,
        strict=False,
        description="Replaces the check: exits 0 only when all is well, and writes the UUIDs it saw to "
        "/dev/termination-log. EXPECTED_GPUS is in its environment. Default: the project's own.",
    )
    timeout_seconds: Seconds = Field(300, description="Limit for a node to offer its GPUs, and again for its job.")


class Removal(Section):
    """Taking nodes out of the fleet. Destroying the whole fleet asks for none of it."""

    may_lose_data: tuple[NodeName, ...] = Field(
        (),
        strict=False,
        description="Names of nodes that may be taken out of `nodes` although data goes with them: the last server, "
        "and nodes with persistent volumes of their own. Others are drained and removed without a word here.",
    )


class Fleet(Section):
    """A fleet file that is whole and free of contradictions, when it came from `load_fleet` or `parse_fleet`."""

    name: FleetName = Field(
        description="Names the folder `.edge/<name>` with the fleet's secrets: one fleet, one name."
    )
    ssh: Ssh = Field(description="How Terraform logs in.")
    nodes: tuple[Node, ...] = Field(strict=False, description="The machines, at least one.")
    k3s: K3s = Field(description="The Kubernetes distribution.")
    container_toolkit: ContainerToolkit = Field(ContainerToolkit(), description="NVIDIA's container toolkit.")
    device_plugin: DevicePlugin = Field(DevicePlugin(), description="NVIDIA's device plugin.")
    gpu_check: GpuCheckSettings = Field(GpuCheckSettings(), description="The proof that GPUs work.")
    preflight: PreflightSection = Field(PreflightSection(), description="What machines must have.")
    driver: DriverSection = Field(DriverSection(), description="NVIDIA's driver.")
    reboot: RebootSection = Field(RebootSection(), description="Whether nodes may be rebooted.")
    images: Images | None = Field(
        None, description="Container images, which make the stack `edge-images`. Default: there is no such stack."
    )
    waldur: WaldurSection | None = Field(
        None, description="Hand-over to a Waldur, which makes the stack `edge-waldur`. Default: there is no such stack."
    )
    bundle: BundleSettings | None = Field(
        None,
        description="Nodes install from this file. The addresses above then say what is in it, and nobody opens them. "
        "Default: nodes download.",
    )
    removal: Removal = Field(Removal(), description="Taking nodes out of the fleet.")
    backend: Backend = Field(LocalBackendSettings(), description="Where the state lies.")

    def warnings(self) -> list[str]:
        """What the file allows that its owner should know of at each run: one line each, most dangerous first."""
        return cautions.cautions(self)

    def check_operator_files(self) -> None:
        """Check what the file names on this machine, which a plan needs and a synthesis does not.

        Raises:
            FleetError: The private key is absent, readable by others, no private key, or has a passphrase; or no
                SSH agent answers.
        """
        operator_files.check(self)
