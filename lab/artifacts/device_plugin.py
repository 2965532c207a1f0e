"""NVIDIA's Kubernetes device plugin, compiled from its Go module into an image, and its Helm chart in a repository."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from lab.artifacts.command import BuildError, require_tool
from lab.artifacts.debian_package import debian_package
from lab.artifacts.glibc_root import glibc_key, lay_out_glibc
from lab.artifacts.go_module import go_version, pinned_module, run_go
from lab.artifacts.image_archive import IMAGE_RECIPE, ImageConfig, write_image
from lab.artifacts.tree_archive import write_tar_gz
from lab.cache import build_once, content_key, file_sha256
from lab.part import Part
from lab.progress import Progress

CHART_VERSION = "0.19.3"
CHART_ARCHIVE = f"nvidia-device-plugin-{CHART_VERSION}.tgz"
DEVICE_PLUGIN_IMAGE = f"docker.io/edge-gpu-lab/k8s-device-plugin:v{CHART_VERSION}"
DEVICE_PLUGIN_ARCHIVE = "k8s-device-plugin.tar"

_RECIPE = Path(__file__)
_MODULE = "github.com/NVIDIA/k8s-device-plugin"
_PROGRAM = "nvidia-device-plugin"
_CONFIG_MANAGER = "config-manager"
_COMPILE_TIMEOUT_SECONDS = 1200.0


def build_device_plugin_image(*, progress: Progress) -> Part:
    """The image with the plugin and its config-manager, which time-slicing needs; its Part's path holds
    `k8s-device-plugin.tar`.

    Upstream's image also has gpu-feature-discovery and mps-control-daemon. The chart runs them only when asked to, and
    without them each node has less to load.

    Args:
        progress: where the steps are said; about half a minute on 2 cores the first time.

    Raises:
        BuildError: when a tool is missing, a download has the wrong hash, or a command fails.
    """
    require_tool("gcc", package="gcc and libc6-dev")
    module = pinned_module(_MODULE)
    key = content_key(_RECIPE, IMAGE_RECIPE, go_version(), module.sum, glibc_key())

    def build(directory: Path) -> None:
        root = directory / "root"
        root.mkdir()
        lay_out_glibc(root)
        with progress.step(f"device plugin {module.version}: download the sources"):
            source = module.fetch()
            run_go(["mod", "download"], cwd=source, timeout_seconds=_COMPILE_TIMEOUT_SECONDS)
        with progress.step(f"device plugin {module.version}: compile"):
            run_go(
                [
                    "build", "-trimpath", "-o", f"{root}/usr/bin/",
                    # Upstream's linker flags; NVML's symbols are bound lazily, when the library is there at run time.
                    "-ldflags", "-s -w '-extldflags=-Wl,--export-dynamic -Wl,-z,lazy"
                    " -Wl,--unresolved-symbols=ignore-in-object-files'"
                    f" -X {_MODULE}/internal/info.version={module.version}",
                    f"./cmd/{_PROGRAM}", f"./cmd/{_CONFIG_MANAGER}",
                ],
                cwd=source,
                timeout_seconds=_COMPILE_TIMEOUT_SECONDS,
                env={"CGO_ENABLED": "1"},
            )  # fmt: skip
        with progress.step(f"device plugin {module.version}: pack the image"):
            write_image(
                root=root,
                reference=DEVICE_PLUGIN_IMAGE,
                config=ImageConfig(
                    entrypoint=[_PROGRAM],
                    environment={
                        "NVIDIA_DISABLE_REQUIRE": "true",
                        "NVIDIA_VISIBLE_DEVICES": "all",
                        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
                    },
                    labels={"vendor": "built by the edge-gpu lab", "version": module.version},
                ),
                output=directory / DEVICE_PLUGIN_ARCHIVE,
            )
            shutil.rmtree(root)

    path = build_once(name="image-device-plugin", key=key, build=build)
    sources = f"{module.source}; {debian_package('libc6').source}"
    return Part(name="image k8s-device-plugin", version=module.version, source=sources, kind="real", path=path)


def build_device_plugin_chart(*, progress: Progress) -> Part:
    """The plugin's Helm chart as a chart repository; its Part's path holds `index.yaml` and the chart's archive.

    Raises:
        BuildError: when the module cannot be had or holds another chart version than the lab names.
    """
    module = pinned_module(_MODULE)

    def build(directory: Path) -> None:
        with progress.step(f"device plugin chart {CHART_VERSION}: pack"):
            source = module.fetch() / "deployments" / "helm" / "nvidia-device-plugin"
            metadata = plain_fields((source / "Chart.yaml").read_text())
            if metadata.get("version") != CHART_VERSION:
                raise BuildError(
                    f"{source}/Chart.yaml is version {metadata.get('version')}, the lab names {CHART_VERSION}"
                )
            archive = directory / CHART_ARCHIVE
            write_tar_gz(tree=source, output=archive, prefix="nvidia-device-plugin/")
            (directory / "index.yaml").write_text(chart_index(metadata, archive=archive))

    key = content_key(_RECIPE, module.sum)
    path = build_once(name="device-plugin-chart", key=key, build=build)
    return Part(name="chart nvidia-device-plugin", version=CHART_VERSION, source=module.source, kind="real", path=path)


def plain_fields(chart: str) -> dict[str, str]:
    """The one-line fields of a Chart.yaml; the index needs no others."""
    return dict(re.findall(r'^(\w+): +"?([^"\n]+?)"? *$', chart, re.MULTILINE))


def chart_index(metadata: Mapping[str, str], *, archive: Path) -> str:
    """A Helm repository's index.yaml of one chart archive that lies beside it."""
    lines = ["apiVersion: v1", "entries:", f"  {metadata['name']}:"]
    fields = {**metadata, "digest": file_sha256(archive), "created": "2023-11-14T22:13:20Z"}
    for position, (name, value) in enumerate(sorted(fields.items())):
        lines.append(f'{"  - " if position == 0 else "    "}{name}: "{value}"')
    lines += ["    urls:", f"    - {archive.name}", 'generated: "2023-11-14T22:13:20Z"']
    return "\n".join(lines) + "\n"
