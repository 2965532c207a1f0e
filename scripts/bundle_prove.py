"""What `prove-gpu.sh` needs in a bundle: the node's own steps with their parameters, and two manifests."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constructs_lib.driver_settings import DriverSettings
from constructs_lib.gpu_check import GPU_RESOURCE, RETRIES
from constructs_lib.k3s_node import node_config
from constructs_lib.machine import Architecture, Machine
from constructs_lib.node_script import node_script
from constructs_lib.nvidia_device_plugin import CHART, chart_values
from constructs_lib.nvidia_driver import driver_parameters
from constructs_lib.offline_bundle import BUNDLE_URL, release_in_bundle, toolkit_in_bundle
from constructs_lib.preflight import PreflightLimits, preflight_parameters
from constructs_lib.ssh_host import SshHost
from lab.artifacts.command import BuildError, run_command
from lab.cache import file_sha256
from scripts.bundle_collect import Collected
from scripts.bundle_images import ImageInArchive
from scripts.checkout import ROOT
from scripts.environment import command_environment
from scripts.errors import CommandError, SetupError
from scripts.terraform import find_terraform
from stacks.fleet import Fleet
from stacks.fleet_to_constructs import k3s_release, toolkit_release

NODE = "prove-gpu"
GPUS_PLACE = "@GPUS@"
"""What prove-gpu.sh puts the machine's number of GPUs in the place of."""

_PROGRAMS = ROOT / "scripts" / "prove"
# The lab's nodes may lack CAP_SYS_RESOURCE as rented GPU machines do; the cure is the same file.
_RUNC = ROOT / "lab" / "node" / "root" / "usr" / "lib" / "edge-gpu-lab" / "runc.sh"
_PLUGIN_NAMESPACE = "nvidia-device-plugin"
_CHECK_NAMESPACE = "gpu-check"
_DRIVER_LABEL = "edge-gpu.driver.minimum"
_HELM_VERSION = "3.1.1"
"""The version that the prebuilt bindings bind."""
_TERRAFORM_LIMIT_SECONDS = 300.0
_START_TIMEOUT_SECONDS = 180
_CHECK_TIMEOUT_SECONDS = 180


def prove_files(
    fleet: Fleet, *, fleet_path: Path, architecture: Architecture, check_image: str, collected: list[Collected]
) -> Mapping[str, bytes]:
    """Path in the bundle -> content.

    Args:
        fleet: the parsed fleet file.
        fleet_path: that file, whose environment Terraform gets.
        architecture: of the machine.
        check_image: what the check's pod runs; its entrypoint is `images/gpu-check`'s program.
        collected: the bundle's files.

    Raises:
        CommandError: the bundle holds no such image, or the plugin's chart cannot be rendered.
    """
    images = [image for item in collected for image in item.images]
    check = next((image for image in images if image.name == check_image), None)
    if check is None:
        raise CommandError(
            f"no archive of the bundle holds {check_image}, which the GPU check runs. "
            f"Fix: docker save {check_image} -o gpu-check.tar, and --image gpu-check.tar"
        )
    chart = next(item for item in collected if item.path.startswith("charts/"))
    steps = _steps(fleet, architecture=architecture, collected=collected)
    files = {path.name: path.read_bytes() for path in sorted(_PROGRAMS.glob("*.sh"))}
    return {
        "prove-gpu.sh": (ROOT / "scripts" / "prove-gpu.sh").read_bytes(),
        **{f"prove/{name}": content for name, content in files.items()},
        "prove/runc.sh": _RUNC.read_bytes(),
        **{f"prove/steps/{name}.sh": text.encode() for name, text in steps.items()},
        "prove/manifests/1-plugin.yaml": _plugin(fleet, fleet_path=fleet_path, chart=chart.file).encode(),
        "prove/manifests/2-check.json": _check_job(check_image).encode(),
        "prove/settings": _settings(fleet, architecture=architecture, check=check, images=images).encode(),
    }


def _steps(fleet: Fleet, *, architecture: Architecture, collected: list[Collected]) -> Mapping[str, str]:
    release, toolkit = release_in_bundle(k3s_release(fleet)), toolkit_in_bundle(toolkit_release(fleet))
    # No SSH takes part: the address is only what K3s's certificate is for.
    host = SshHost(address="127.0.0.1", user="root", host_key=None)
    machine = Machine(name=NODE, host=host, role="server", architecture=architecture, gpus=1)
    config = node_config(machine=machine, server_url=None, cluster_init=False, tls_sans=[])
    # All archives of the bundle, also those that no node of the fleet imports: the check's image may be one of them.
    archives = [item for item in collected if item.path.startswith("images/")]
    listed = "\n".join(f"{file_sha256(item.file)} {BUNDLE_URL}/{item.path}" for item in archives)
    parameters: dict[str, tuple[str, dict[str, str]]] = {
        "preflight": (
            "preflight.sh",
            {
                **preflight_parameters(
                    machine,
                    driver_mode="preinstalled",
                    etcd=False,
                    limits=PreflightLimits(minimum_free_mib=1024),
                    report="text",
                ),
                "GPUS": GPUS_PLACE,
                "SUPERVISOR": NODE,
            },
        ),
        "driver": (
            "nvidia_driver.sh",
            {**driver_parameters(machine, DriverSettings(), reboot_may_follow=False), "GPUS": GPUS_PLACE},
        ),
        "toolkit": (
            "nvidia_container_toolkit.sh",
            {
                "VERSION": toolkit.version,
                "APT_REPOSITORY": toolkit.apt_repository,
                "APT_KEY_URL": toolkit.apt_key_url,
                "APT_KEY_SHA256": toolkit.apt_key_sha256 or "",
            },
        ),
        "k3s": (
            "k3s_node.sh",
            {
                "ROLE": "server",
                "JOINS": "no",
                "TOKEN_ID": "",
                "REGISTRIES": "",
                "K3S_VERSION": release.version,
                "K3S_URL": release.binary_url(architecture=architecture),
                "K3S_SHA256": release.binary_sha256(architecture=architecture),
                "CONFIG": json.dumps(config, indent=2),
                "IMAGE_ARCHIVES": listed,
                "GPUS": GPUS_PLACE,
                "START_TIMEOUT_SECONDS": str(_START_TIMEOUT_SECONDS),
            },
        ),
        "gate": (
            "gpu_gate.sh",
            {
                "GPUS": GPUS_PLACE,
                "WAIT_SECONDS": str(_CHECK_TIMEOUT_SECONDS),
                "PLUGIN_NAMESPACE": _PLUGIN_NAMESPACE,
                "PLUGIN_SELECTOR": f"app.kubernetes.io/name={CHART},app.kubernetes.io/instance={CHART}",
            },
        ),
    }
    return {
        step: node_script(script, step=step, node=NODE, parameters=values)
        for step, (script, values) in parameters.items()
    }


def _settings(fleet: Fleet, *, architecture: str, check: ImageInArchive, images: list[ImageInArchive]) -> str:
    pause = next((image.name for image in images if image.name.split(":")[0].endswith("pause")), "")
    values = {
        "ARCHITECTURE": architecture,
        "K3S_VERSION": fleet.k3s.version,
        "TOOLKIT_VERSION": fleet.container_toolkit.version,
        "PLUGIN_VERSION": fleet.device_plugin.chart_version,
        "CHECK_IMAGE": check.name,
        "CHECK_NAMESPACE": _CHECK_NAMESPACE,
        "CHECK_TIMEOUT_SECONDS": str(_CHECK_TIMEOUT_SECONDS),
        # Without one K3s's own name for it counts, whose archive must be among the fleet's.
        "PAUSE_IMAGE": f"docker.io/{pause}" if pause and "." not in pause.split("/")[0] else pause,
        "DRIVER_MINIMUM": check.labels.get(_DRIVER_LABEL, "0"),
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _check_job(image: str) -> str:
    """The Job of constructs_lib.gpu_check, with the image's own entrypoint."""
    limit = {GPU_RESOURCE: GPUS_PLACE}
    labels = {"app.kubernetes.io/name": "gpu-check"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _CHECK_NAMESPACE}}
    container = {
        "name": "gpu-check",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "EXPECTED_GPUS", "value": GPUS_PLACE}],
        "resources": {"limits": limit, "requests": limit},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    pod = {
        "runtimeClassName": "nvidia",
        "restartPolicy": "Never",
        "tolerations": [{"operator": "Exists"}],
        "automountServiceAccountToken": False,
        "containers": [container],
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "gpu-check", "namespace": _CHECK_NAMESPACE, "labels": labels},
        "spec": {
            "backoffLimit": RETRIES,
            "activeDeadlineSeconds": _CHECK_TIMEOUT_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [namespace, job]}, indent=1)


def _plugin(fleet: Fleet, *, fleet_path: Path, chart: Path) -> str:
    """The plugin's chart as the stack installs it, rendered by the same Helm: Terraform's."""
    try:
        terraform = find_terraform().command
    except (SetupError, BuildError) as error:
        raise CommandError(f"the device plugin's chart cannot be rendered: {error}") from error
    values = chart_values(image=fleet.device_plugin.image)
    module: dict[str, Any] = {
        "terraform": {"required_providers": {"helm": {"source": "hashicorp/helm", "version": _HELM_VERSION}}},
        "provider": {"helm": [{}]},
        "data": {
            "helm_template": {
                "plugin": {
                    "name": CHART,
                    "namespace": _PLUGIN_NAMESPACE,
                    "chart": str(chart),
                    "values": [json.dumps(values, sort_keys=True)],
                    "include_crds": False,
                }
            }
        },
        "output": {"manifest": {"value": "${data.helm_template.plugin.manifest}"}},
    }
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        (directory / "main.tf.json").write_text(json.dumps(module))
        environment = {
            **command_environment(fleet=fleet_path),
            "TF_DATA_DIR": str(directory / "data"),
            "TF_IN_AUTOMATION": "1",
        }
        try:
            for arguments in (["init", "-input=false"], ["apply", "-auto-approve", "-input=false"]):
                run_command(
                    [terraform, *arguments], cwd=directory, env=environment, timeout_seconds=_TERRAFORM_LIMIT_SECONDS
                )
            rendered = run_command(
                [terraform, "output", "-raw", "manifest"], cwd=directory, env=environment, timeout_seconds=60
            )
        except BuildError as error:
            raise CommandError(f"the device plugin's chart cannot be rendered:\n{error}") from error
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _PLUGIN_NAMESPACE}}
    return f"{json.dumps(home)}\n---\n{rendered.strip()}\n"
