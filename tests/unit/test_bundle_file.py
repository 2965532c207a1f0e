"""The bundle's file: the same bytes from the same input, and every kind of damage named."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import bundle_file
from scripts.bundle_file import (
    bundle_parts,
    read_manifest,
    unpack_bundle,
    unpack_file,
    verify_bundle,
    write_bundle,
)
from scripts.checkout import ROOT
from scripts.errors import CommandError

FILES: dict[str, Path | bytes] = {
    "k3s/v1/k3s": os.urandom(3 << 20),
    "prove-gpu.sh": b"#!/bin/sh\n",
    "architecture": b"amd64\n",
}
MANIFEST = {"architecture": "amd64", "files": [{"path": "k3s/v1/k3s", "component": "k3s"}]}
PART_BYTES = 1 << 20


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "site.bundle"
    write_bundle(path, files=FILES, manifest=MANIFEST)
    return path


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    path = tmp_path / "parts" / "site.bundle"
    write_bundle(path, files=FILES, manifest=MANIFEST, part_bytes=PART_BYTES)
    return path


def test_the_same_input_makes_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    write_bundle(again, files=dict(reversed(FILES.items())), manifest=MANIFEST)
    assert again.read_bytes() == bundle.read_bytes()


def test_the_parts_are_the_whole_in_pieces(bundle: Path, parts: Path) -> None:
    names = bundle_parts(parts)
    assert [path.name for path in names] == [f"site.bundle.part-{n:03}-of-004" for n in range(1, 5)]
    assert all(path.stat().st_size == PART_BYTES for path in names[:-1])
    assert b"".join(path.read_bytes() for path in names) == bundle.read_bytes()
    assert not parts.exists()


def test_the_sums_beside_a_bundle_are_those_of_sha256sum(bundle: Path, parts: Path) -> None:
    for path in (bundle, parts):
        checked = subprocess.run(
            ["sha256sum", "--strict", "-c", f"{path.name}.sha256"], cwd=path.parent, capture_output=True, check=False
        )
        assert checked.returncode == 0, checked.stderr


def test_what_is_unpacked_is_what_was_put_in_and_sha256sum_agrees(parts: Path, tmp_path: Path) -> None:
    target = tmp_path / "unpacked"
    manifest = unpack_bundle(parts, directory=target)
    for path, content in FILES.items():
        assert (target / path).read_bytes() == content
    assert os.access(target / "prove-gpu.sh", os.X_OK)
    assert not os.access(target / "architecture", os.X_OK)
    assert manifest["files"][1] | {"component": "k3s"} == manifest["files"][1]
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=target, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_a_name_of_one_part_means_all_of_them(parts: Path) -> None:
    assert verify_bundle(bundle_parts(parts)[2])["architecture"] == "amd64"


def _cut(path: Path, *, to: int) -> None:
    with path.open("r+b") as stream:
        stream.truncate(to)


def _flip(path: Path, *, at: int) -> None:
    with path.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)
        stream.seek(at)
        stream.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: _cut(path, to=2 << 20), "is cut off"),
        (lambda path: _cut(path, to=0), "is no bundle"),
        (lambda path: _flip(path, at=2 << 20), "k3s/v1/k3s was changed: its sha256 is"),
        (lambda path: path.write_bytes(b"hello" * 1000), "is no bundle"),
    ],
)
def test_damage_is_named_and_nothing_is_left(
    bundle: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(bundle)
    target = tmp_path / "unpacked"
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CommandError, match=message):
        unpack_bundle(bundle, directory=target)
    assert sorted(tmp_path.iterdir()) == before


def test_a_truncated_part_is_named(parts: Path) -> None:
    _cut(bundle_parts(parts)[1], to=1000)
    with pytest.raises(CommandError, match=r"part-002-of-004 is cut off: 1000 of 1048576 bytes"):
        verify_bundle(parts)


def test_a_missing_part_is_named(parts: Path) -> None:
    bundle_parts(parts)[2].unlink()
    with pytest.raises(CommandError, match="part 3 of 4 is missing"):
        verify_bundle(parts)


def test_a_file_that_the_manifest_does_not_name_is_refused(bundle: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.write_bytes(b"x")
    with tarfile.open(bundle, "a") as archive:
        archive.add(extra, arcname="extra")
    with pytest.raises(CommandError, match="holds extra, which its manifest does not name"):
        verify_bundle(bundle)


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside"])
def test_a_path_that_leads_out_of_the_bundle_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    with tarfile.open(bundle, "a") as archive:
        archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(CommandError, match="is no plain file inside the bundle"):
        unpack_bundle(bundle, directory=tmp_path / "unpacked")


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(bundle_file.shutil, "disk_usage", lambda _path: small)
    with pytest.raises(CommandError, match="has 1 MiB free, the bundle unpacks to 3 MiB"):
        unpack_bundle(bundle, directory=tmp_path / "unpacked")
    assert not (tmp_path / "unpacked").exists()


def test_a_bundle_of_another_schema_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "newer"
    with monkeypatch.context() as patched:
        patched.setattr(bundle_file, "SCHEMA", 99)
        write_bundle(path, files=FILES, manifest=MANIFEST)
    with pytest.raises(CommandError, match="has schema 99, this version of the project reads 1"):
        read_manifest(path)


def test_a_bundle_written_anew_leaves_no_older_parts(parts: Path) -> None:
    write_bundle(parts, files=FILES, manifest=MANIFEST, part_bytes=2 << 20)
    assert len(bundle_parts(parts)) == 2
    write_bundle(parts, files=FILES, manifest=MANIFEST)
    assert bundle_parts(parts) == [parts]


def test_one_file_can_be_taken_out_and_only_unchanged(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "chart"
    manifest = read_manifest(bundle)
    sha256 = next(file["sha256"] for file in manifest["files"] if file["path"] == "architecture")
    unpack_file(bundle, path="architecture", sha256=sha256, target=target)
    assert target.read_bytes() == b"amd64\n"
    with pytest.raises(CommandError, match="architecture is missing or was changed"):
        unpack_file(bundle, path="architecture", sha256="0" * 64, target=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_edge_gpu_bundle_is_the_same_command() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "edge-gpu", "bundle", "verify", "/nowhere.bundle"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: /nowhere.bundle does not exist"), done.stderr
