"""What the lab packs by itself: trees, container images, the device plugin's chart index."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest
import yaml

from lab.artifacts.device_plugin import chart_index, plain_fields
from lab.artifacts.image_archive import ImageConfig, write_image
from lab.artifacts.tree_archive import write_tar, write_tar_gz

CHART = """apiVersion: v2
name: plugin
version: "0.19.3"
home: https://h
dependencies:
  - name: other
    version: "1"
"""
REFERENCE = "docker.io/edge-gpu-lab/thing:v1"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "tool").write_bytes(b"\x7fELF")
    (root / "usr" / "bin" / "tool").chmod(0o755)
    (root / "bin").symlink_to("usr/bin")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    return root


def packed(tree: Path) -> bytes:
    output = io.BytesIO()
    write_tar(tree=tree, output=output)
    return output.getvalue()


def test_the_same_tree_makes_the_same_bytes_at_another_time_and_with_hard_links(tree: Path, tmp_path: Path) -> None:
    before = packed(tree)
    os.utime(tree / "usr" / "bin" / "tool", (1, 1))
    os.link(tree / "usr" / "bin" / "tool", tmp_path / "a-second-name")
    assert packed(tree) == before


def test_modes_and_links_are_kept_and_all_belongs_to_root(tree: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(tree))) as archive:
        members = {member.name: member for member in archive}
    assert members["usr/bin/tool"].mode == 0o755
    assert members["tmp"].mode == 0o1777
    assert members["bin"].linkname == "usr/bin"
    assert {(member.uid, member.uname) for member in members.values()} == {(0, "root")}


def test_a_gzipped_tree_has_the_same_bytes_under_any_name(tree: Path, tmp_path: Path) -> None:
    for name in ("one.tgz", "other.tgz"):
        write_tar_gz(tree=tree, output=tmp_path / name, prefix="chart/")
    assert (tmp_path / "one.tgz").read_bytes() == (tmp_path / "other.tgz").read_bytes()
    with tarfile.open(tmp_path / "one.tgz") as archive:
        assert "chart/usr/bin/tool" in archive.getnames()


def blobs(image: Path) -> dict[str, bytes]:
    with tarfile.open(image) as archive:
        return {member.name: reader.read() for member in archive if (reader := archive.extractfile(member))}


def test_every_digest_in_an_image_is_that_of_the_blob_it_names(tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "image.tar"
    write_image(root=tree, reference=REFERENCE, config=ImageConfig(command=["/bin/tool"]), output=output)
    files = blobs(output)
    for name, content in files.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"
    (entry,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(files[entry["digest"].replace("sha256:", "blobs/sha256/")])
    config = json.loads(files[manifest["config"]["digest"].replace("sha256:", "blobs/sha256/")])
    (layer,) = manifest["layers"]
    assert config["rootfs"]["diff_ids"] == [layer["digest"]]
    assert layer["size"] == len(files[layer["digest"].replace("sha256:", "blobs/sha256/")])


def test_containerd_and_docker_both_find_the_images_name(tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "image.tar"
    write_image(root=tree, reference=REFERENCE, config=ImageConfig(), output=output)
    files = blobs(output)
    annotations = json.loads(files["index.json"])["manifests"][0]["annotations"]
    assert annotations["io.containerd.image.name"] == REFERENCE
    (for_docker,) = json.loads(files["manifest.json"])
    assert for_docker["RepoTags"] == ["edge-gpu-lab/thing:v1"]
    assert {for_docker["Config"], *for_docker["Layers"]} <= set(files)


def test_an_images_variables_come_on_top_of_a_usable_path(tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "image.tar"
    config = ImageConfig(entrypoint=["/bin/tool"], environment={"NVIDIA_VISIBLE_DEVICES": "all"})
    write_image(root=tree, reference=REFERENCE, config=config, output=output)
    files = blobs(output)
    stored = json.loads(files[json.loads(files["manifest.json"])[0]["Config"]])["config"]
    assert "NVIDIA_VISIBLE_DEVICES=all" in stored["Env"]
    assert any(value.startswith("PATH=") and "/usr/bin" in value for value in stored["Env"])
    assert stored["Entrypoint"] == ["/bin/tool"]


def test_the_chart_index_has_the_charts_plain_fields_its_address_and_its_digest(tmp_path: Path) -> None:
    archive = tmp_path / "plugin-0.19.3.tgz"
    archive.write_bytes(b"packed")
    index = yaml.safe_load(chart_index(plain_fields(CHART), archive=archive))
    (entry,) = index["entries"]["plugin"]
    assert entry.pop("digest") == hashlib.sha256(b"packed").hexdigest()
    assert entry.pop("created")
    assert entry == {
        "apiVersion": "v2",
        "name": "plugin",
        "version": "0.19.3",
        "home": "https://h",
        "urls": ["plugin-0.19.3.tgz"],
    }
