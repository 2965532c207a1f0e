"""Ubuntu, its driver packages and a loaded old module, as stand-ins on a lab node, which is a bare Debian.

What is real: apt, dpkg, the signature of the repository, holds, the reboot of the node. What is not: the packages,
which are empty but for their names; `uname -r` and os-release; the loaded module, which is a file in a tmpfs over
/proc/driver and so is gone after a reboot, as a real old module is.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

from lab.artifacts.apt_repository import PUBLIC_KEY, REPOSITORY, build_apt_repository
from scripts.checkout import ROOT
from tests.lab.main_job.conftest import on_node

VERSION = "580.0.0-stand-in"
OLD_VERSION = "535.54.03"
UBUNTU_PACKAGES = (
    "linux-modules-nvidia-580-server-generic",
    "nvidia-headless-no-dkms-580-server",
    "nvidia-utils-580-server",
)
CUDA_PACKAGES = ("nvidia-driver-pinning-580", "cuda-drivers", "linux-headers-6.8.0-60-generic")
_FILES = {
    "etc/os-release": 'ID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04 (stand-in on Debian)"\n',
    "usr/local/bin/uname": (
        '#!/bin/sh\n# Stand-in\n[ "$*" = -r ] && echo 6.8.0-60-generic || exec /usr/bin/uname "$@"\n'
    ),
    "usr/local/bin/modinfo": f"#!/bin/sh\n# Stand-in: no module is anywhere\necho {VERSION}\n",
    "usr/local/bin/nvidia-smi": (
        "#!/bin/sh\n# Stand-in: the real one fails so while another module is loaded\n"
        "if [ -e /proc/driver/nvidia/version ]; then\n"
        "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18; fi\n"
        'exec /usr/bin/nvidia-smi "$@"\n'
    ),
}


def put_stand_ins(node: str, *, folder: Path) -> None:
    """Turn a lab node into the stand-in Ubuntu whose apt offers the driver's packages."""
    send(node, folder=_repository(folder), to="/srv/stand-in-driver")
    list_file = f"deb [signed-by=/srv/stand-in-driver/{PUBLIC_KEY}] file:/srv/stand-in-driver/{REPOSITORY}/amd64 ./\n"
    files = {**_FILES, "etc/apt/sources.list.d/stand-in-ubuntu.list": list_file}
    on_node(node, "sh", "-c", "cp -n --remove-destination /usr/lib/os-release /root/os-release; rm -f /etc/os-release")
    tree = folder / "tree"
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    send(node, folder=tree, to="/")


def load_old_module(node: str, *, gpus: int) -> None:
    """Until the next boot an old module is loaded. No driver sees the GPUs, so they are put on the PCI bus, too."""
    line = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {OLD_VERSION}  Thu Jan  1 00:00:00 UTC 1970"
    bus = "/sys/bus/pci/devices"
    devices = [
        f"mkdir {bus}/0000:0{number}:00.0; echo 0x10de >{bus}/0000:0{number}:00.0/vendor;"
        f" echo 0x030200 >{bus}/0000:0{number}:00.0/class"
        for number in range(gpus)
    ]
    commands = [
        "mount -t tmpfs tmpfs /proc/driver",
        "mkdir /proc/driver/nvidia",
        f"echo '{line}' >/proc/driver/nvidia/version",
        f"mount -t tmpfs tmpfs {bus}",
        *devices,
    ]
    on_node(node, "sh", "-euc", "; ".join(commands))


def remove_stand_ins(node: str) -> None:
    """The node as it was."""
    packages = " ".join((*UBUNTU_PACKAGES, *CUDA_PACKAGES))
    files = [f"/{name}" for name in _FILES] + [
        "/srv/stand-in-driver",
        "/etc/apt/sources.list.d/stand-in-ubuntu.list",
        "/etc/apt/sources.list.d/edge-gpu-nvidia-driver.list",
        "/etc/apt/apt.conf.d/52edge-gpu-nvidia",
        "/var/lib/edge-gpu",
    ]
    commands = [
        "umount /proc/driver /sys/bus/pci/devices 2>/dev/null || true",
        f"rm -rf {' '.join(files)}",
        "ln -s ../usr/lib/os-release /etc/os-release",
        f"for p in {packages}; do dpkg-query -W $p >/dev/null 2>&1 || continue; dpkg --purge --force-all $p; done",
    ]
    on_node(node, "sh", "-euc", "; ".join(commands))


def send(node: str, *, folder: Path, to: str) -> None:
    """Copy a folder's content to a node."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(folder, arcname=".", filter=_as_root)
    on_node(node, "mkdir", "-p", to)
    done = subprocess.run(
        [sys.executable, "-m", "lab", "exec", node, "--", "tar", "-x", "-C", to],
        cwd=ROOT,
        input=packed.getvalue(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    if entry.isdir():
        # The tests' own folders are closed to others.
        entry.mode = 0o755
    return entry


def _repository(folder: Path) -> Path:
    """A signed repository of empty packages that say what they are."""
    packages = folder / "packages"
    packages.mkdir(exist_ok=True)
    for name in (*UBUNTU_PACKAGES, *CUDA_PACKAGES):
        tree = folder / "build" / name
        (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
        (tree / "DEBIAN" / "control").write_text(
            f"Package: {name}\nVersion: 580.0.0-0standin\nArchitecture: amd64\n"
            "Maintainer: edge-gpu lab <lab@localhost>\nDescription: stand-in without content\n"
        )
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-b", str(tree), str(packages / f"{name}.deb")],
            check=True, capture_output=True,
        )  # fmt: skip
    return build_apt_repository(packages=packages)
