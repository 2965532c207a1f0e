"""Which driver is wanted: by default, by the fleet file, by the images that are built."""

from __future__ import annotations

from pathlib import Path

from constructs_lib.driver_settings import DriverNeed, DriverSettings, highest_need
from stacks.fleet import Fleet, parse_fleet
from stacks.fleet_to_constructs import driver_settings

SMALLEST = (Path(__file__).parents[1] / "fleets" / "good" / "smallest.yaml").read_text()


def fleet(more: str) -> Fleet:
    return parse_fleet(f"{SMALLEST}\n{more}\n", source="test.yaml")


def test_the_default_branches_are_ubuntus_signed_server_branch_and_the_same_of_nvidia() -> None:
    assert DriverSettings().wanted_branch == ""
    assert DriverSettings(mode="ubuntu").wanted_branch == "580-server"
    assert DriverSettings(mode="cuda-repo").wanted_branch == "580"
    assert DriverSettings(mode="cuda-repo", branch="590.48.01").wanted_branch == "590.48.01"


def test_the_highest_need_decides_and_says_whose_it_is() -> None:
    assert highest_need([]).needed_by == "the device plugin"
    needs = [DriverNeed(minimum=510, needed_by="a"), DriverNeed(minimum=560, needed_by="b")]
    assert highest_need(needs).needed_by == "b"


def test_the_images_of_a_fleet_say_which_driver_they_need() -> None:
    settings = driver_settings(fleet("images: {build: [{image: triton}, {image: gpu-check}]}"))
    assert settings.highest_need == DriverNeed(minimum=560, needed_by="the image triton 24.08")
    older = driver_settings(fleet('images: {build: [{image: cuda-base, variant: "11.7"}]}'))
    assert older.highest_need.minimum == 515


def test_an_image_without_a_cuda_kernel_needs_no_more_than_the_device_plugin() -> None:
    settings = driver_settings(fleet("images: {build: [{image: gpu-check, kernel: false}]}"))
    assert settings.highest_need.needed_by == "the device plugin"


def test_the_fleet_files_own_minimum_replaces_that_of_the_images() -> None:
    settings = driver_settings(fleet("driver: {minimum: 535}\nimages: {build: [{image: triton}]}"))
    assert settings.highest_need == DriverNeed(minimum=535, needed_by="driver.minimum")
