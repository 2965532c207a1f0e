"""What a node is made from, and when it has to be made again."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from docker.models.containers import Container

from lab import node_container, nodes
from lab.container_files import ContainerFile, put_files, read_file, tree_files
from lab.errors import LabError
from lab.node_container import NodeParts, made_from
from lab.nodes import _replace_reason
from lab.settings import LabNode, load_settings

SETTINGS = load_settings({})
SERVER, GPU_NODE, _ = SETTINGS.nodes


class FakeContainer:
    """Takes archives and gives them back."""

    name = "fake"

    def __init__(
        self,
        *,
        status: str = "running",
        started: str = "2026-01-01T00:00:00Z",
        made: str = "same",
        checkout: str = str(SETTINGS.project),
    ) -> None:
        self.status = status
        self.attrs = {"State": {"StartedAt": started}}
        self.labels = {"edge-gpu-lab.made-from": made, "edge-gpu-lab.checkout": checkout}
        self.archive = b""
        self.takes = True

    def put_archive(self, _directory: str, archive: bytes) -> bool:
        self.archive = archive
        return self.takes

    def get_archive(self, _path: str) -> tuple[list[bytes], dict[str, Any]]:
        return [self.archive[:100], self.archive[100:]], {}

    def reload(self) -> None:
        self.status = "exited" if self.status == "ending" else self.status

    def logs(self, **_options: object) -> bytes:
        return b"last words"

    def exec_run(self, argv: list[str]) -> tuple[int, bytes]:
        return 0, f"answer of {argv[0]}".encode()

    def container(self) -> Container:
        return cast(Container, self)


@pytest.fixture
def parts(tmp_path: Path) -> NodeParts:
    driver = tmp_path / "driver"
    (driver / "usr" / "bin").mkdir(parents=True)
    (driver / "usr" / "bin" / "nvidia-smi").write_text("#!/bin/sh\n")
    (driver / "usr" / "bin" / "nvidia-smi").chmod(0o700)
    return NodeParts(image="edge-gpu-lab/node:1", driver=driver, authorized_keys="ssh-ed25519 AAAA\n")


def test_a_node_is_made_anew_when_its_image_its_gpus_or_its_address_change(parts: NodeParts) -> None:
    key = made_from(SETTINGS, GPU_NODE, parts=parts)
    others = [
        made_from(SETTINGS, GPU_NODE, parts=replace(parts, image="edge-gpu-lab/node:2")),
        made_from(SETTINGS, replace(GPU_NODE, gpus=3), parts=parts),
        made_from(SETTINGS, replace(GPU_NODE, address="172.29.0.99"), parts=parts),
        made_from(load_settings({"LAB_NAME": "x"}), GPU_NODE, parts=parts),
    ]
    assert len({key, *others}) == 5


def test_a_node_stays_when_only_the_ssh_key_changes(parts: NodeParts) -> None:
    other_key = replace(parts, authorized_keys="ssh-ed25519 BBBB\n")
    assert made_from(SETTINGS, GPU_NODE, parts=parts) == made_from(SETTINGS, GPU_NODE, parts=other_key)


def test_a_new_driver_concerns_gpu_nodes_only(parts: NodeParts) -> None:
    before = [made_from(SETTINGS, node, parts=parts) for node in (SERVER, GPU_NODE)]
    (parts.driver / "usr" / "bin" / "nvidia-smi").write_text("#!/bin/sh\necho new\n")
    after = [made_from(SETTINGS, node, parts=parts) for node in (SERVER, GPU_NODE)]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


@pytest.mark.parametrize(
    ("capabilities", "dropped"), [("000001ffffffffff", []), ("000001fffeffffff", ["SYS_RESOURCE"])]
)
def test_a_node_gets_all_capabilities_that_its_machine_has(
    capabilities: str, dropped: list[str], parts: NodeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _self: f"Name:\tx\nCapBnd:\t{capabilities}\n")
    options = node_container._options(SETTINGS, SERVER, parts=parts)
    assert (options["cap_add"], options["cap_drop"]) == (["ALL"], dropped)
    assert "privileged" not in options


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (FakeContainer(), ""),
        (FakeContainer(status="exited"), ""),
        (FakeContainer(started="0001-01-01T00:00:00Z", status="created"), "an earlier run did not finish it"),
        (FakeContainer(made="other"), "its image, its GPUs or its settings changed"),
        (
            FakeContainer(checkout="/other"),
            "it was of the checkout /other; LAB_NAME and LAB_SUBNET make labs that live side by side",
        ),
        (FakeContainer(status="dead"), "the engine says that it is dead"),
    ],
)
def test_only_a_container_that_cannot_stay_is_replaced(container: FakeContainer, reason: str) -> None:
    assert _replace_reason(container.container(), SETTINGS, "same") == reason


def test_files_arrive_with_their_folders_modes_and_owners(parts: NodeParts) -> None:
    fake = FakeContainer()
    files = {**tree_files(parts.driver), "etc/x/key": ContainerFile(b"secret", mode=0o600, owner=1000)}
    put_files(fake.container(), files)
    with tarfile.open(fileobj=io.BytesIO(fake.archive)) as archive:
        seen = {entry.name: (entry.isdir(), entry.mode, entry.uid) for entry in archive}
    assert seen == {
        "etc": (True, 0o755, 0),
        "etc/x": (True, 0o755, 0),
        "etc/x/key": (False, 0o600, 1000),
        "usr": (True, 0o755, 0),
        "usr/bin": (True, 0o755, 0),
        "usr/bin/nvidia-smi": (False, 0o755, 0),
    }


def test_a_file_comes_back_as_it_was_put() -> None:
    fake = FakeContainer()
    put_files(fake.container(), {"name": ContainerFile(b"content" * 99)})
    assert read_file(fake.container(), "/name") == b"content" * 99


def test_files_that_the_engine_does_not_take_are_named() -> None:
    fake = FakeContainer()
    fake.takes = False
    with pytest.raises(LabError, match="etc/a, etc/b for container fake"):
        put_files(fake.container(), {"etc/b": ContainerFile(b""), "etc/a": ContainerFile(b"")})


def test_a_node_without_gpus_gets_no_driver(parts: NodeParts) -> None:
    assert node_container._node_files(LabNode(name="n", role="agent", gpus=0, address="10.0.0.1"), parts=parts) == {}


def test_a_node_whose_sshd_is_silent_is_named_with_its_address_and_what_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nodes, "ssh_answers", lambda _address: False)
    monkeypatch.setattr(nodes, "_SSH_TIMEOUT_SECONDS", 0.1)
    with pytest.raises(LabError) as failure:
        nodes._wait_for_ssh(FakeContainer().container(), GPU_NODE)
    assert "node gpu-1: no SSH server answers at 172.29.0.12:22" in str(failure.value)
    assert "last words\nanswer of systemctl\nanswer of journalctl" in str(failure.value)


def test_a_node_that_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "ssh_answers", lambda _address: False)
    with pytest.raises(LabError, match=r"(?s)node gpu-1: its container is exited.*last words"):
        nodes._wait_for_ssh(FakeContainer(status="ending").container(), GPU_NODE)
