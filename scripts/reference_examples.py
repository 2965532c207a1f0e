"""The code on the pages in docs/constructs/."""

from __future__ import annotations

PRELUDE = """\
from pathlib import Path

from constructs_lib import *
from constructs_lib.providers import HelmProvider, HelmProviderKubernetes, KubernetesProvider

host = SshHost(address="192.0.2.11", user="edge", host_key="ecdsa-sha2-nistp256 AAAA...")
machine = Machine(name="gpu-1", host=host, role="server", gpus=2)
"""
"""What stands before each example."""

_PROVIDERS = """\
KubernetesProvider(stack, "kubernetes", config_path="/edge/kubeconfig")
HelmProvider(stack, "helm", kubernetes=HelmProviderKubernetes(config_path="/edge/kubeconfig"))
"""

_IMAGES = """\
from constructs_lib.docker_providers import DockerProvider

DockerProvider(stack, "docker")
# `images` is the path of this project's folder images/, or of your copy of it.
settings = ImageSettings(folder=images, allow_unlocked_bases=True)
"""

EXAMPLES = {
    "ContainerImage": _IMAGES
    + """\
base = CudaBaseImage(stack, "cuda-base", settings=settings)
ContainerImage(stack, "image", repository="my/image", context=images / "ros2-humble", base=base, target="ros2")
""",
    "CudaBaseImage": _IMAGES + 'CudaBaseImage(stack, "cuda-base", settings=settings)\n',
    "GpuCheckImage": _IMAGES + 'GpuCheckImage(stack, "gpu-check", settings=settings)\n',
    "GpuContainer": _IMAGES
    + """\
GpuContainer(
    stack,
    "shell",
    name="ros2",
    image=CudaBaseImage(stack, "cuda-base", settings=settings),
    folder=Path("/home/ada/ros2"),
    desk=Desk(devices=("/dev/video0",)),
)
""",
    "ImageHandover": _IMAGES
    + """\
ImageHandover(
    stack,
    "hand-over",
    image=GpuCheckImage(stack, "gpu-check", settings=settings),
    hosts={"gpu-1": host},
    archive_folder=Path("/edge/images"),
)
""",
    "Ros2HumbleImage": _IMAGES
    + """\
Ros2HumbleImage(stack, "ros2", settings=settings, base=CudaBaseImage(stack, "cuda-base", settings=settings))
""",
    "TritonImage": _IMAGES + 'TritonImage(stack, "triton", settings=settings)\n',
    "K3sCluster": """\
K3sCluster(
    stack,
    "cluster",
    machines=[machine],
    release=K3sRelease(version="v1.36.2+k3s1", sha256={"amd64": "0123456789abcdef" * 4}),
    toolkit=ContainerToolkitRelease(version="1.20.0-1"),
    identity=ClusterIdentity(Path("/edge/identity")),
)
""",
    "K3sNode": """\
K3sNode(
    stack,
    "node",
    machine=machine,
    release=K3sRelease(version="v1.36.2+k3s1", sha256={"amd64": "0123456789abcdef" * 4}),
    secrets_folder=Path("/edge/identity/upload"),
)
""",
    "MachinePreparation": """\
MachinePreparation(
    stack,
    "machine",
    machine=machine,
    toolkit=ContainerToolkitRelease(version="1.20.0-1"),
    driver=DriverSettings(mode="ubuntu"),
    reboot=RebootSettings(allowed=True),
)
""",
    "NodeRemoval": """\
NodeRemoval(stack, "removal", machines=[machine], servers=[machine], records_file=Path("/edge/not-removed.jsonl"))
""",
    "DeadNodeRelease": _PROVIDERS
    + """\
plugin = NvidiaDevicePlugin(stack, "nvidia-device-plugin", chart_version="0.19.3")
DeadNodeRelease(stack, "dead-node-release", machines=[machine], servers=[machine], within=[plugin])
""",
    "OfflineBundle": """\
OfflineBundle(
    stack, "bundle", machine=machine, bundle=BundleFile(path=Path("/edge/site.bundle"), sha256="0123456789abcdef" * 4)
)
""",
    "Reboot": """\
settings = DriverSettings(mode="ubuntu")
driver = NvidiaDriver(stack, "driver", machine=machine, settings=settings)
Reboot(
    stack,
    "reboot",
    machine=machine,
    driver=driver,
    driver_settings=settings,
    settings=RebootSettings(allowed=True),
)
""",
    "Preflight": 'Preflight(stack, "preflight", machine=machine)\n',
    "NvidiaDriver": 'NvidiaDriver(stack, "driver", machine=machine)\n',
    "NvidiaContainerToolkit": """\
NvidiaContainerToolkit(stack, "toolkit", machine=machine, release=ContainerToolkitRelease(version="1.20.0-1"))
""",
    "NvidiaDevicePlugin": _PROVIDERS + 'NvidiaDevicePlugin(stack, "nvidia-device-plugin", chart_version="0.19.3")\n',
    "GpuCheck": _PROVIDERS
    + 'GpuCheck(stack, "gpu-check", nodes=[GpuNode(name="gpu-1", gpus=2)], image="ubuntu:22.04")\n',
    "GpuAccounting": _PROVIDERS + 'GpuAccounting(stack, "gpu-accounting", chart_version="27.3.0")\n',
    "WaldurOffering": """\
from constructs_lib.cdk import TerraformOutput

offering = WaldurOffering(
    stack,
    "offering",
    api_url="https://waldur.example.com/api/",
    category="GPU",
    provider=WaldurProvider(name="Edge Ltd"),
    name="K3s GPU edge",
    backend_id="edge-1",
    plans=[WaldurPlan(name="Default", prices={"gpu": "10", "gpu_hours": "0.75", "cpu": "2", "ram": "0.5"})],
)
TerraformOutput(stack, "waldur_offering", value=offering.spec)
""",
    "WaldurAgent": _PROVIDERS
    + """\
WaldurAgent(
    stack,
    "agent",
    api_url="https://waldur.example.com/api/",
    offering_uuid="0123456789abcdef" * 2,
    image="registry.example.com/waldur-site-agent-k3s:0.1.0",
    prometheus_url="http://prometheus-server.gpu-accounting.svc:80",
)
""",
    "WaldurTenant": _PROVIDERS
    + """\
WaldurTenant(stack, "vision", name="vision", gpus=1, cpus=8, ram_gib=32, members={"mia": "admin", "ben": "edit"})
""",
    "WaldurUsageReporter": _PROVIDERS
    + """\
WaldurUsageReporter(
    stack,
    "reporter",
    api_url="https://waldur.example.com/api/",
    offering_uuid="0123456789abcdef" * 2,
    image="registry.example.com/waldur-site-agent-k3s:0.1.0",
    prometheus_url="http://prometheus-server.gpu-accounting.svc:80",
)
""",
}
"""Code by construct; it finds `stack`, the path `images` and what PRELUDE makes."""
