"""NVIDIA's device plugin for Kubernetes, as a Helm release."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from constructs_lib.cdk import Construct
from constructs_lib.gpu_sharing import DeviceListStrategy, MigStrategy, TimeSlicing
from constructs_lib.place import Group
from constructs_lib.providers import NamespaceV1, NamespaceV1Metadata, Release

CHART_REPOSITORY = "https://nvidia.github.io/k8s-device-plugin"
CHART = "nvidia-device-plugin"


class NvidiaDevicePlugin(Group):
    """The device plugin's chart in a namespace of its own, on every node labelled `nvidia.com/gpu.present=true`.

    The plugin runs with RuntimeClass `nvidia`, which K3s ships: without it the plugin finds no driver library.
    Helm's own wait is off: it calls a DaemonSet ready that has no pod, or whose only pod crashes. `GpuCheck` is
    what tells whether it works.

    Args:
        scope: Parent construct.
        id_: Construct id.
        chart_version: Exact version of the chart, for example `0.19.3`.
        chart_repository: http or https address of the chart's repository, default NVIDIA's.
        chart_path: Absolute path of the chart's archive on the machine that runs Terraform; then no repository is
            asked. Default None: the repository serves it.
        image: Image reference with tag. Default None: the chart's own.
        namespace: Made by this construct, default `nvidia-device-plugin`.
        time_slicing: Pods share each GPU in time. Default None: a GPU is for one pod. The image must hold
            `config-manager`, as NVIDIA's does.
        device_list_strategy: How containers learn their GPUs. Default None: the chart's own, `envvar`.
        mig_strategy: What becomes of MIG devices. Default None: the chart's own, `none`. `GpuCheck` counts whole
            GPUs, so it refuses others.
        values: Further values of the chart, merged over ours at the top level, default none.

    Attributes:
        namespace_name: The namespace.
        pod_selector: Label selector of the plugin's pods.
        pods_per_gpu: How many pods a GPU is offered to.
        mig_strategy: The argument; `none` where it was left out.
        release: The `helm_release` resource.

    Raises:
        ValueError: `image` has no tag, `chart_path` is not absolute, or one of the options is not one of its type's.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        chart_version: str,
        chart_repository: str = CHART_REPOSITORY,
        chart_path: Path | None = None,
        image: str | None = None,
        namespace: str = "nvidia-device-plugin",
        time_slicing: TimeSlicing | None = None,
        device_list_strategy: DeviceListStrategy | None = None,
        mig_strategy: MigStrategy | None = None,
        values: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(scope, id_)
        if chart_path is not None and not chart_path.is_absolute():
            raise ValueError(f"NvidiaDevicePlugin: chart_path must be absolute, got {str(chart_path)!r}")
        chosen = {
            **chart_values(
                image=image,
                time_slicing=time_slicing,
                device_list_strategy=device_list_strategy,
                mig_strategy=mig_strategy,
            ),
            **(values or {}),
        }
        home = NamespaceV1(self, "namespace", metadata=NamespaceV1Metadata(name=namespace))
        self.namespace_name = namespace
        self.pods_per_gpu = time_slicing.replicas if time_slicing is not None else 1
        self.mig_strategy: MigStrategy = mig_strategy or "none"
        self.pod_selector = f"app.kubernetes.io/name={CHART},app.kubernetes.io/instance={CHART}"
        self.release = Release(
            self,
            "release",
            name=CHART,
            namespace=namespace,
            repository=chart_repository if chart_path is None else None,
            chart=CHART if chart_path is None else str(chart_path),
            version=chart_version,
            values=[json.dumps(chosen, indent=2, sort_keys=True)],
            wait=False,
            max_history=5,
            depends_on=[home],
        )


def chart_values(
    *,
    image: str | None,
    time_slicing: TimeSlicing | None = None,
    device_list_strategy: DeviceListStrategy | None = None,
    mig_strategy: MigStrategy | None = None,
) -> Mapping[str, object]:
    """What we set of the chart's values, for K3s. Raises ValueError for `image` without tag and unknown strategies."""
    _check_strategy("device_list_strategy", device_list_strategy, allowed=get_args(DeviceListStrategy))
    _check_strategy("mig_strategy", mig_strategy, allowed=get_args(MigStrategy))
    sharing: dict[str, object] = {}
    if time_slicing is not None:
        # The chart asks for SYS_ADMIN as soon as there is a config, unless these two are said outside of it.
        device_list_strategy, mig_strategy = device_list_strategy or "envvar", mig_strategy or "none"
        sharing = {"config": {"map": {"default": _sharing_config(time_slicing)}, "default": "default"}}
    return {
        "runtimeClassName": "nvidia",
        # A node's own infrastructure: whatever keeps workloads away must not keep the plugin away.
        "tolerations": [{"operator": "Exists"}],
        **({"image": _image_values(image)} if image is not None else {}),
        **({"deviceListStrategy": device_list_strategy} if device_list_strategy is not None else {}),
        # The plugin writes the CDI specification from the node's files, which the chart mounts only when told where.
        **({"nvidiaDriverRoot": "/"} if (device_list_strategy or "").startswith("cdi-") else {}),
        **({"migStrategy": mig_strategy} if mig_strategy is not None else {}),
        **sharing,
    }


def _sharing_config(time_slicing: TimeSlicing) -> str:
    """The plugin's own configuration file; JSON is YAML too."""
    shared = {
        "failRequestsGreaterThanOne": time_slicing.fail_requests_greater_than_one,
        "resources": [{"name": "nvidia.com/gpu", "replicas": time_slicing.replicas}],
    }
    return json.dumps({"version": "v1", "sharing": {"timeSlicing": shared}}, sort_keys=True)


def _check_strategy(name: str, value: str | None, *, allowed: Sequence[str]) -> None:
    if value is not None and value not in allowed:
        raise ValueError(f"NvidiaDevicePlugin: {name} {value!r} is none of {', '.join(allowed)}")


def _image_values(image: str) -> Mapping[str, str]:
    repository, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        raise ValueError(f"NvidiaDevicePlugin: image {image!r} has no tag; give one, like {image}:v0.19.3")
    return {"repository": repository, "tag": tag}
