"""Single checks and steps, run on a lab node as Terraform sends them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from constructs_lib.driver_settings import DriverSettings
from scripts.bundle_drivers import driver_packages
from tests.lab.bootstrap.conftest import run_step
from tests.lab.bootstrap.driver_stand_ins import (
    CUDA_PACKAGES,
    UBUNTU_PACKAGES,
    load_old_module,
    put_stand_ins,
    remove_stand_ins,
    send,
)
from tests.lab.main_job.conftest import Run, on_node

PREFLIGHT = {
    "ROLE": "agent",
    "ARCHITECTURE": "amd64",
    "GPUS": "0",
    "DRIVER_MODE": "preinstalled",
    "ETCD": "0",
    "MINIMUM_FREE_MIB": "1",
    "MINIMUM_MEMORY_MIB": "1",
    "MAXIMUM_CLOCK_SKEW_SECONDS": "120",
    "REPORT": "text",
}
DRIVER = {
    "GPUS": "2",
    "OPEN_MODULES": "0",
    "HOLD": "1",
    "MINIMUM": "384",
    "MINIMUM_NEEDED_BY": "the device plugin",
    "CUDA_REPOSITORY": "file:///srv/stand-in-driver/cuda",
    "CUDA_KEY_SHA256": "",
    "PACKAGE_FOLDER": "",
    "REBOOT_MAY_FOLLOW": "0",
}


def look(**changes: str) -> Run:
    """Preflight of gpu-1 as a plain agent."""
    time = changes.pop("time", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    return run_step("gpu-1", "preflight.sh", step="preflight", arguments=[time, "server-1"], **{**PREFLIGHT, **changes})


def driver(mode: str, **changes: str) -> Run:
    branch = DriverSettings(mode=mode).wanted_branch  # type: ignore[arg-type]
    return run_step("gpu-1", "nvidia_driver.sh", step="driver", **{**DRIVER, "MODE": mode, "BRANCH": branch, **changes})


@pytest.mark.usefixtures("bare_nodes")
class TestPreflight:
    def test_a_clock_ten_minutes_off_is_an_error(self) -> None:
        ahead = (datetime.now(UTC) + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
        looked = look(time=ahead)
        assert looked.code == 1
        assert re.search(
            r"ERROR node=gpu-1 step=preflight: the clock is (59\d|600) s behind the operator's", looked.output
        )
        assert "timedatectl set-ntp true" in looked.output

    def test_a_clock_a_minute_off_is_a_warning(self) -> None:
        looked = look(time=(datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ"))
        assert looked.code == 0, looked.output
        assert "WARNING node=gpu-1 step=preflight: the clock is" in looked.output

    def test_errors_of_several_checks_come_together(self) -> None:
        looked = look(ARCHITECTURE="arm64", MINIMUM_FREE_MIB="99999999", MINIMUM_MEMORY_MIB="99999999")
        assert looked.code == 1
        assert "14 ok, 0 warnings, 3 errors" in looked.output
        for words in (
            "the machine is amd64, the fleet file says arm64",
            "MiB are free for",
            "MiB of memory, wanted are",
        ):
            assert words in looked.output


@pytest.mark.usefixtures("bare_nodes")
class TestPreinstalledDriver:
    def test_a_driver_that_is_new_enough_passes(self) -> None:
        looked = driver("preinstalled")
        assert looked.code == 0, looked.output
        assert "driver 580.0.0-stand-in" in looked.output

    def test_a_driver_that_is_too_old_for_an_image_fails_with_both_numbers(self) -> None:
        looked = driver("preinstalled", MINIMUM="590", MINIMUM_NEEDED_BY="the image triton 99.01")
        assert looked.code == 1
        assert "the driver is too old: 580.0.0-stand-in is loaded, wanted is 590 or newer" in looked.output
        assert "the image triton 99.01 needs it" in looked.output

    def test_a_missing_gpu_fails_with_what_is_expected_and_seen(self) -> None:
        looked = driver("preinstalled", GPUS="3")
        assert looked.code == 1
        assert "expected 3 GPUs, seen 2" in looked.output

    def test_the_mode_none_looks_at_nothing(self) -> None:
        assert driver("none", GPUS="9", MINIMUM="999").code == 0

    def test_ubuntus_packages_are_not_for_debian(self) -> None:
        looked = driver("ubuntu")
        assert looked.code == 1
        assert "driver.mode is ubuntu, and this is another system" in looked.output

    def test_a_jetson_never_gets_a_driver(self) -> None:
        on_node("gpu-1", "sh", "-c", "echo '# R36 (release), REVISION: 4.0 (stand-in)' >/etc/nv_tegra_release")
        try:
            looked = driver("ubuntu")
        finally:
            on_node("gpu-1", "rm", "/etc/nv_tegra_release")
        assert looked.code == 0, looked.output
        assert "the driver belongs to JetPack (# R36 (release), REVISION: 4.0 (stand-in))" in looked.output


@pytest.fixture(scope="class")
def stand_ins(bare_nodes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:  # noqa: ARG001
    """gpu-1 as an Ubuntu whose apt offers drivers (see driver_stand_ins.py), an older one loaded; the packages here."""
    folder = tmp_path_factory.mktemp("driver")
    put_stand_ins("gpu-1", folder=folder)
    on_node(
        "gpu-1", "sh", "-euc",
        "cd /srv/stand-in-driver; mkdir -p cuda/ubuntu2404; cp -r stable/deb/amd64 cuda/ubuntu2404/x86_64;"
        "cp gpgkey cuda/ubuntu2404/x86_64/3bf863cc.pub",
    )  # fmt: skip
    load_old_module("gpu-1", gpus=2)
    yield folder / "packages"
    remove_stand_ins("gpu-1")


def held() -> set[str]:
    return set(on_node("gpu-1", "apt-mark", "showhold").split())


@pytest.mark.usefixtures("stand_ins")
class TestInstalledDriver:
    def test_ubuntus_branch_is_installed_and_held_and_waits_for_a_reboot(self) -> None:
        done = driver("ubuntu", REBOOT_MAY_FOLLOW="1")
        assert done.code == 0, done.output
        assert (
            "waits for a reboot: 580.0.0-stand-in is installed, 535.54.03 is loaded until the next boot" in done.output
        )
        assert set(UBUNTU_PACKAGES) <= held()

    def test_without_leave_to_reboot_it_fails_and_says_how(self) -> None:
        done = driver("ubuntu")
        assert done.code == 1
        assert "ERROR node=gpu-1 step=driver: the driver waits for a reboot" in done.output
        assert "set reboot.allowed in the fleet file" in done.output
        assert "driver 580-server is installed" in done.output, "nothing is installed twice"

    def test_a_module_and_libraries_from_two_sources_are_no_reboot_pending(self) -> None:
        # The stand-in library has no version in its name; this link gives it one, as the real one's has.
        library = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"
        on_node("gpu-1", "sh", "-euc", f"cp {library} {library[:-1]}575.1.2; mv {library} {library}.kept;"
                f"ln -s {library[:-1]}575.1.2 {library}; ldconfig")  # fmt: skip
        try:
            done = driver("preinstalled", REBOOT_MAY_FOLLOW="1")
        finally:
            on_node("gpu-1", "sh", "-c", f"rm {library} {library[:-1]}575.1.2; mv {library}.kept {library}; ldconfig")
        assert done.code == 1
        assert "the driver's module and its libraries are of different versions" in done.output
        assert (
            "the installed module is 580.0.0-stand-in, the installed libraries are 575.1.2; a reboot does not help"
            in done.output
        )

    def test_the_cuda_repository_comes_with_its_pinning_package_first(self) -> None:
        source = "deb https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64/ /"
        on_node("gpu-1", "sh", "-c", f"echo '{source}' >/etc/apt/sources.list.d/cuda.list")
        done = driver("cuda-repo", REBOOT_MAY_FOLLOW="1")
        assert done.code == 0, done.output
        assert "turned off /etc/apt/sources.list.d/cuda.list" in done.output
        installing = re.findall(r"installing (.*)", done.output)
        assert installing == ["nvidia-driver-pinning-580", "cuda-drivers"]
        assert {"nvidia-driver-pinning-580", "cuda-drivers"} <= held()
        assert on_node("gpu-1", "dpkg-query", "-W", "-f", "${db:Status-Status}", CUDA_PACKAGES[2]) == "installed"
        on_node("gpu-1", "rm", "-f", "/etc/apt/sources.list.d/cuda.list.disabled")

    def test_the_packages_of_a_bundle_are_all_that_apt_is_given(self, stand_ins: Path, tmp_path: Path) -> None:
        debs = [stand_ins / f"{name}.deb" for name in UBUNTU_PACKAGES]
        repository = tmp_path / "driver"
        repository.mkdir()
        for item in driver_packages(debs, architecture="amd64", directory=tmp_path):
            (tmp_path / item.path).write_bytes(item.file.read_bytes())
        on_node("gpu-1", "dpkg", "--purge", "--force-all", *UBUNTU_PACKAGES)
        sources = "/etc/apt/sources.list.d"
        # No source of the machine's answers any more.
        away = f"mv {sources} {sources}.kept; mkdir {sources}; mv /etc/apt/sources.list /root || :"
        gone = f"echo 'deb http://127.0.0.1:9/ubuntu noble main' >{sources}/gone.list"
        on_node("gpu-1", "sh", "-euc", f"{away}; {gone}")
        bundle = {"PACKAGE_FOLDER": "/var/lib/edge-gpu/bundle/driver", "REBOOT_MAY_FOLLOW": "1"}
        try:
            without = driver("ubuntu", **bundle)
            send("gpu-1", folder=repository, to=bundle["PACKAGE_FOLDER"])
            done = driver("ubuntu", **bundle)
        finally:
            on_node("gpu-1", "sh", "-euc", f"rm -r {sources}; mv {sources}.kept {sources};"
                    "mv /root/sources.list /etc/apt || :; rm -rf /var/lib/edge-gpu")  # fmt: skip
        assert without.code == 1
        assert "the bundle brings no driver packages: this machine's own sources are asked" in without.output
        assert done.code == 0, done.output
        assert "driver packages come from /var/lib/edge-gpu/bundle/driver" in done.output
        assert set(UBUNTU_PACKAGES) <= held()


TOOLKIT = {"APT_KEY_SHA256": ""}
# What old guides and an interrupted dpkg leave: the toolkit away, two lists, a package unpacked and not configured.
OLD_STATE = """
for package in nvidia-container-toolkit nvidia-container-toolkit-base libnvidia-container-tools libnvidia-container1; do
    dpkg --purge --force-all $package >/dev/null 2>&1 || true
done
cd /etc/apt/sources.list.d
rm -f nvidia-container-toolkit.list
echo 'deb https://nvidia.github.io/libnvidia-container/stable/deb/amd64 /' >nvidia-docker.list
echo 'deb https://example.invalid/debian x main' >mixed.list
echo 'deb https://nvidia.github.io/nvidia-docker/x /' >>mixed.list
sed -i '/^Package: less$/,/^$/ s/^Status: .*/Status: install ok unpacked/' /var/lib/dpkg/status
"""


@pytest.mark.usefixtures("bare_nodes")
def test_old_lists_and_an_interrupted_dpkg_are_no_obstacle_for_the_toolkit() -> None:
    site = on_node(
        "gpu-2", "sh", "-c", "ip -4 -o addr show eth0 | sed -E 's/.* inet ([0-9.]+)\\.[0-9]+\\/.*/\\1/'"
    ).strip()
    on_node("gpu-2", "sh", "-euc", OLD_STATE)
    try:
        done = run_step(
            "gpu-2", "nvidia_container_toolkit.sh", step="toolkit", VERSION="1.20.0-1",
            APT_REPOSITORY=f"http://{site}.2/apt/stable/deb", APT_KEY_URL=f"http://{site}.2/apt/gpgkey", **TOOLKIT,
        )  # fmt: skip
        assert done.code == 0, done.output
        assert "dpkg was interrupted: finishing it" in done.output
        assert "turned off /etc/apt/sources.list.d/nvidia-docker.list" in done.output
        assert "turned off a line of /etc/apt/sources.list.d/mixed.list" in done.output
        mixed = on_node("gpu-2", "cat", "/etc/apt/sources.list.d/mixed.list")
        assert mixed.startswith("deb https://example.invalid/debian x main\n# off by edge-gpu: deb https://nvidia.")
        assert on_node("gpu-2", "dpkg", "--audit") == ""
        again = run_step(
            "gpu-2", "nvidia_container_toolkit.sh", step="toolkit", VERSION="1.20.0-1",
            APT_REPOSITORY="http://nothing.invalid", APT_KEY_URL="http://nothing.invalid", **TOOLKIT,
        )  # fmt: skip
        assert again.output == "gpu-2 toolkit: toolkit 1.20.0-1 is installed\n"
    finally:
        on_node("gpu-2", "sh", "-c", "rm -f /etc/apt/sources.list.d/mixed.list /etc/apt/sources.list.d/*.disabled")
