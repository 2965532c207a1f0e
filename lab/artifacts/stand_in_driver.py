"""The NVIDIA driver's stand-in on GPU nodes: a libnvidia-ml.so.1, an nvidia-smi, and the files that say which GPUs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.artifacts.command import require_tool, run_command
from lab.artifacts.go_module import pinned_module, run_go
from lab.cache import build_once, content_key
from lab.part import Part
from lab.progress import Progress

DRIVER_VERSION = "580.0.0-stand-in"
GPU_NAME = "Edge GPU Lab Stand-in GPU"
MAX_GPUS_PER_NODE = 16

_RECIPE = Path(__file__)
_SOURCES = Path(__file__).parents[1] / "stand_ins"
# NVML's header comes with NVIDIA's Go bindings, at the version that the device plugin is built with.
_HEADER_MODULE = "github.com/NVIDIA/go-nvml"
_LIBRARY = "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
_SMI = "usr/bin/nvidia-smi"
_COMPILE = ("gcc", "-O2", "-s", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True)
class StandInGpu:
    """One GPU that a node claims to have.

    Attributes:
        index: its number on the node, from 0; also the number of its device node /dev/nvidia<index>.
        uuid: "GPU-" and a UUID, unique over all nodes.
        name: the model name it reports (default: one that says it is a stand-in).
    """

    index: int
    uuid: str
    name: str = GPU_NAME


def stand_in_gpus(*, node: str, count: int) -> list[StandInGpu]:
    """The GPUs of a node; the same name gives the same UUIDs.

    Args:
        node: the node's name in the fleet.
        count: how many, 0 to 16.

    Raises:
        ValueError: when the count is out of range.
    """
    if not 0 <= count <= MAX_GPUS_PER_NODE:
        raise ValueError(f"node {node}: {count} stand-in GPUs; 0 to {MAX_GPUS_PER_NODE} are possible")
    names = [f"edge-gpu-lab/{node}/{index}" for index in range(count)]
    return [StandInGpu(index=i, uuid=f"GPU-{uuid.uuid5(uuid.NAMESPACE_URL, name)}") for i, name in enumerate(names)]


def build_stand_in_driver(*, progress: Progress) -> Part:
    """Compile the stand-ins; the Part's path is a tree to copy over a node's root directory.

    Raises:
        BuildError: when a compiler is missing or NVML's header cannot be had.
    """
    require_tool("gcc", package="gcc and libc6-dev")
    plugin = pinned_module("github.com/NVIDIA/k8s-device-plugin")
    sources = (_SOURCES / "nvml.c", _SOURCES / "nvidia_smi.c")

    def build(directory: Path) -> None:
        with progress.step("stand-in driver: compile"):
            module = plugin.fetch()
            run_go(["mod", "download", _HEADER_MODULE], cwd=module, timeout_seconds=300)
            folder = run_go(["list", "-m", "-f", "{{.Dir}}", _HEADER_MODULE], cwd=module, timeout_seconds=60).strip()
            headers = Path(folder) / "pkg" / "nvml"
            stubs = directory / "stubs.c"
            stubs.write_text(_stubs(header=(headers / "nvml.h").read_text()))
            for output in (_LIBRARY, _SMI):
                (directory / output).parent.mkdir(parents=True)
            run_command(
                [
                    *_COMPILE, "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1", "-I", headers,
                    "-o", directory / _LIBRARY, sources[0], stubs,
                ],
                timeout_seconds=120,
            )  # fmt: skip
            run_command([*_COMPILE, "-I", headers, "-o", directory / _SMI, sources[1], "-ldl"], timeout_seconds=120)
            stubs.unlink()

    path = build_once(name="stand-in-driver", key=content_key(_RECIPE, plugin.sum, *sources), build=build)
    return Part(
        name="NVIDIA driver (libnvidia-ml.so.1, nvidia-smi)",
        version=DRIVER_VERSION,
        source="lab/stand_ins, compiled here",
        kind="stand-in",
        path=path,
    )


def driver_node_files(gpus: Sequence[StandInGpu]) -> Mapping[str, str]:
    """The files of a GPU node that go with the driver tree: path from the root directory -> content.

    What each is for stands in lab/stand_ins/README.md.
    """
    lines = "".join(f"{gpu.index} {gpu.uuid} {gpu.name}\n" for gpu in gpus)
    nodes = "".join(f"c /dev/nvidia{gpu.index} 0666 root root - 1:3\n" for gpu in gpus)
    return {
        "etc/edge-gpu-lab/gpus.conf": f"# Stand-in GPUs of this node: index, UUID, name.\n{lines}",
        "etc/tmpfiles.d/edge-gpu-lab-gpus.conf": f"# Device nodes of the stand-in GPUs, really /dev/null.\n{nodes}",
        "etc/cdi/nvidia.yaml": cdi_spec(gpus),
        "etc/nvidia-container-runtime/config.toml": (
            "# The stand-in driver has no files that NVIDIA's runtime could find: use the CDI specification.\n"
            '[nvidia-container-runtime]\nmode = "cdi"\nruntimes = ["runc"]\n'
        ),
    }


def cdi_spec(gpus: Sequence[StandInGpu]) -> str:
    """The CDI specification of a node's GPUs, as YAML: devices by UUID, by index, and `all`.

    Each device brings its device node; all bring nvidia-smi, the library and the list of GPUs, read-only.
    """
    mounts = "".join(_mount(path) for path in (f"/{_LIBRARY}", f"/{_SMI}", "/etc/edge-gpu-lab"))
    devices = "".join(_device(name, [gpu]) for gpu in gpus for name in (str(gpu.index), gpu.uuid))
    every = _device("all", gpus) if gpus else ""
    return (
        "# Stand-in GPUs of the edge-gpu lab.\n"
        'cdiVersion: "0.5.0"\nkind: nvidia.com/gpu\n'
        f"devices:{' []' if not gpus else ''}\n{devices}{every}"
        f"containerEdits:\n  mounts:\n{mounts}"
    )


def _device(name: str, gpus: Sequence[StandInGpu]) -> str:
    nodes = "".join(f"        - path: /dev/nvidia{gpu.index}\n" for gpu in gpus)
    return f'  - name: "{name}"\n    containerEdits:\n      deviceNodes:\n{nodes}'


def _mount(path: str) -> str:
    options = '["ro", "nosuid", "nodev", "rbind", "rprivate"]'
    return f"    - hostPath: {path}\n      containerPath: {path}\n      options: {options}\n"


def _stubs(*, header: str) -> str:
    """A weak "not supported" for every function that the header declares: the linker prefers nvml.c's own."""
    names = sorted(set(re.findall(r"^nvmlReturn_t DECLDIR (nvml\w+)\(", header, re.MULTILINE)))
    stub = "int {}(void);\n__attribute__((weak)) int {}(void) {{ return 3; }}\n"
    return "".join(stub.format(name, name) for name in names)
