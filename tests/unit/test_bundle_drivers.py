"""The driver's packages in a bundle, before any node sees them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from debian.deb822 import Packages

from scripts import bundle
from scripts.bundle_drivers import driver_packages
from scripts.errors import CommandError

SMALLEST = (Path(__file__).parents[1] / "fleets" / "good" / "smallest.yaml").read_text()


def package(folder: Path, name: str, *, version: str = "580.0.0-1", architecture: str = "amd64") -> Path:
    """A real package without content."""
    tree = folder / f"{name}-tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nDepends: libc6\n"
        "Maintainer: tests <tests@localhost>\nDescription: without content\n two lines\n"
    )
    file = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, file], check=True, capture_output=True, timeout=60)
    return file


def test_the_index_names_every_package_with_its_bytes_and_what_it_needs(tmp_path: Path) -> None:
    files = [
        package(tmp_path, "nvidia-utils", version="1:580-1"),
        package(tmp_path, "cuda-drivers", architecture="all"),
    ]
    index, *packages = driver_packages(files, architecture="amd64", directory=tmp_path)
    listed = {entry["Package"]: entry for entry in Packages.iter_paragraphs(index.file.read_text(), use_apt_pkg=False)}
    assert index.path == "driver/Packages"
    assert [item.path for item in packages] == [
        "driver/cuda-drivers_580.0.0-1_all.deb",
        "driver/nvidia-utils_1%3a580-1_amd64.deb",
    ]
    assert {item.component: f"./{item.path.removeprefix('driver/')}" for item in packages} == {
        name: entry["Filename"] for name, entry in listed.items()
    }
    assert listed["nvidia-utils"]["Depends"] == "libc6"
    assert int(listed["nvidia-utils"]["Size"]) == files[0].stat().st_size
    assert driver_packages(files[::-1], architecture="amd64", directory=tmp_path)[0].file.read_text() == (
        index.file.read_text()
    )


def test_without_packages_there_is_no_repository(tmp_path: Path) -> None:
    assert driver_packages([], architecture="amd64", directory=tmp_path) == []


def test_what_is_no_package_for_the_bundle_is_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "readme.deb"
    text.write_text("no package")
    arm = package(tmp_path, "arm", architecture="arm64")
    good = package(tmp_path, "good")
    for files, said in (
        ([tmp_path / "missing.deb"], "missing.deb does not exist"),
        ([text], "readme.deb: cannot be read as a package"),
        ([arm], "arm.deb: is for arm64, the bundle for amd64"),
        ([good, good], "good.deb: is the same package as"),
    ):
        with pytest.raises(CommandError, match=said):
            driver_packages(files, architecture="amd64", directory=tmp_path)


def test_packages_for_a_fleet_that_installs_no_driver_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = tmp_path / "site.yaml"
    fleet.write_text(SMALLEST)
    deb = str(package(tmp_path, "good"))
    assert bundle.main(["create", str(fleet), "-o", str(tmp_path / "b"), "--driver-package", deb]) == 1
    assert "driver.mode is preinstalled, which installs none. Fix: leave it out" in capsys.readouterr().err
