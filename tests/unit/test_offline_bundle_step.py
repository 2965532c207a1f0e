"""What the step that unpacks a bundle on a node does, and what it refuses and leaves."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from constructs_lib.node_script import node_script
from scripts.bundle_file import write_bundle


class Node:
    """The folders of a node, and a bundle to upload."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.unpacked = folder / "var" / "bundle"
        self.home.mkdir()
        self.bundle = self.make()

    def make(self, *, architecture: str = "amd64", content: bytes = b"k3s") -> bytes:
        files: dict[str, Path | bytes] = {"architecture": f"{architecture}\n".encode(), "k3s/v1/k3s": content}
        path = self.folder / "site.bundle"
        write_bundle(path, files=files, manifest={}, part_bytes=None)
        return path.read_bytes()

    def run(self, *, upload: bytes | None, prelude: str = "") -> subprocess.CompletedProcess[str]:
        """Run the step as Terraform would, with this upload; what the fleet file says is `self.bundle`."""
        script = self.home / "bundle.sh"
        parameters = {
            "BUNDLE_SHA256": hashlib.sha256(self.bundle).hexdigest(),
            "BUNDLE_FOLDER": str(self.unpacked),
            "ARCHITECTURE": "amd64",
        }
        script.write_text(node_script("offline_bundle.sh", step="bundle", node="n", parameters=parameters))
        if upload is not None:
            (self.home / "bundle.tar").write_bytes(upload)
        argv = ["sh", str(script)] if not prelude else ["unshare", "--mount", "sh", "-ec", f"{prelude}; sh {script}"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    def refused(self, *, upload: bytes | None, prelude: str = "") -> str:
        ended = self.run(upload=upload, prelude=prelude)
        assert ended.returncode == 1, ended.stdout + ended.stderr
        assert ended.stderr.count("ERROR ") == 1, ended.stderr
        assert "\n  cause: " in ended.stderr
        assert "\n  fix: " in ended.stderr
        assert not (self.home / "bundle.tar").exists()
        assert not self.unpacked.with_name("bundle.edge-gpu-new").exists()
        return ended.stderr


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_bundle_is_unpacked_once_and_the_upload_is_gone(node: Node) -> None:
    assert node.run(upload=node.bundle).returncode == 0
    assert (node.unpacked / "k3s" / "v1" / "k3s").read_bytes() == b"k3s"
    assert not (node.home / "bundle.tar").exists()
    again = node.run(upload=None)
    assert (again.returncode, "is here" in again.stdout) == (0, True)


def test_an_unpacked_file_that_was_damaged_since_is_brought_anew(node: Node) -> None:
    node.run(upload=node.bundle)
    (node.unpacked / "k3s" / "v1" / "k3s").write_bytes(b"bad")
    assert node.run(upload=node.bundle).returncode == 0
    assert (node.unpacked / "k3s" / "v1" / "k3s").read_bytes() == b"k3s"


def test_a_truncated_upload_is_refused_and_what_was_there_stays(node: Node) -> None:
    node.run(upload=node.bundle)
    node.bundle = node.make(content=b"newer")
    assert "the uploaded bundle has the wrong sha256" in node.refused(upload=node.bundle[:-1000])
    assert (node.unpacked / "k3s" / "v1" / "k3s").read_bytes() == b"k3s"


def test_a_bundle_that_was_not_uploaded_is_said_so(node: Node) -> None:
    assert "the bundle was not uploaded" in node.refused(upload=None)


def test_a_bundle_for_another_architecture_is_refused_on_the_node_too(node: Node) -> None:
    node.bundle = node.make(architecture="arm64")
    assert "the bundle is for arm64, this machine is amd64" in node.refused(upload=node.bundle)
    assert not node.unpacked.exists()


def test_a_file_that_is_no_bundle_is_refused_though_its_checksum_is_right(node: Node) -> None:
    node.bundle = b"no tar at all" * 100
    assert "the bundle cannot be unpacked" in node.refused(upload=node.bundle)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system in a mount namespace of its own")
def test_too_small_a_disk_is_refused_with_free_and_wanted_size(node: Node) -> None:
    node.unpacked.parent.mkdir()
    node.bundle = node.make(content=os.urandom(4 << 20))
    message = node.refused(upload=node.bundle, prelude=f"mount -t tmpfs -o size=2m tmpfs {node.unpacked.parent}")
    assert "has 2 MiB free, the bundle unpacks to 4 MiB" in message
