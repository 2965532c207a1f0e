"""The content hash of an image changes with what the image is made of, and with nothing else."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from constructs_lib.build_context import BuildContext
from constructs_lib.docker_ignore import DockerIgnore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    context = tmp_path / "context"
    (context / "sub").mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (context / "run.sh").write_text("#!/bin/sh\n")
    (context / "sub" / "data").write_text("data")
    (context / "link").symlink_to("run.sh")
    return context


def context(folder: Path) -> BuildContext:
    return BuildContext(folder=folder, dockerfile=folder / "Dockerfile")


def hash_of(folder: Path) -> str:
    return context(folder).content_hash()


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in context(folder).files()]


def test_the_same_content_elsewhere_and_later_has_the_same_hash(folder: Path, tmp_path: Path) -> None:
    before = hash_of(folder)
    for path in folder.rglob("*"):
        os.utime(path, (0, 0), follow_symlinks=False)
    (folder / "run.sh").chmod(0o640)
    moved = folder.rename(tmp_path / "elsewhere")
    assert hash_of(moved) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "sub" / "data").write_text("other"),
        lambda folder: (folder / "run.sh").chmod(0o755),
        lambda folder: (folder / "sub" / "new").write_text(""),
        lambda folder: (folder / "run.sh").rename(folder / "ran.sh"),
        lambda folder: (folder / "Dockerfile").write_text("FROM scratch\n"),
        lambda folder: ((folder / "link").unlink(), (folder / "link").symlink_to("sub/data")),
        lambda folder: ((folder / "link").unlink(), (folder / "link").write_text("run.sh")),
    ],
    ids=["bytes", "execute bit", "new file", "name", "Dockerfile", "link target", "link becomes file"],
)
def test_any_change_of_what_is_sent_changes_the_hash(folder: Path, change: Callable[[Path], object]) -> None:
    before = hash_of(folder)
    change(folder)
    assert hash_of(folder) != before


def test_arguments_target_platform_and_base_change_the_hash_each_in_its_own_way(folder: Path) -> None:
    plain = context(folder)
    hashes = {
        plain.content_hash(),
        plain.content_hash(build_args={"A": "1"}),
        plain.content_hash(build_args={"A": "2"}),
        plain.content_hash(build_args={"A1": ""}),
        plain.content_hash(target="A"),
        plain.content_hash(platform="A"),
        plain.content_hash(base_hash="A"),
    }
    assert len(hashes) == 7
    assert plain.content_hash(build_args={"A": "1", "B": "2"}) == plain.content_hash(build_args={"B": "2", "A": "1"})


def test_a_file_that_dockerignore_keeps_out_does_not_count(folder: Path) -> None:
    (folder / ".dockerignore").write_text("sub\n")
    before = hash_of(folder)
    (folder / "sub" / "data").write_text("other")
    assert hash_of(folder) == before
    (folder / "run.sh").write_text("other")
    assert hash_of(folder) != before


def test_the_dockerfile_counts_even_where_the_rules_keep_everything_out(folder: Path) -> None:
    (folder / ".dockerignore").write_text("*\n")
    assert names(folder) == [".dockerignore", "Dockerfile"]
    nested = BuildContext(folder=folder, dockerfile=folder / "sub" / "data")
    assert [path.name for path in nested.files()] == [".dockerignore", "data"]


def test_links_and_folders_of_links_are_listed_once_and_not_followed(folder: Path) -> None:
    (folder / "up").symlink_to("..")
    assert names(folder) == ["Dockerfile", "link", "run.sh", "sub/data", "up"]


def test_what_no_engine_takes_is_refused_by_name(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        with pytest.raises(ValueError, match=r"/s is neither file nor link; remove it or name it in .*\.dockerignore"):
            hash_of(folder)


def test_a_context_that_the_provider_would_misread_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "Dockerfile"
    outside.write_text("FROM scratch\n")
    for arguments, message in (
        ({"folder": Path("images"), "dockerfile": folder / "Dockerfile"}, "folder must be absolute, got 'images'"),
        ({"folder": folder, "dockerfile": Path("Dockerfile")}, "dockerfile must be absolute"),
        ({"folder": folder / "no", "dockerfile": folder / "Dockerfile"}, "is no folder"),
        ({"folder": folder, "dockerfile": folder / "no"}, "there is no Dockerfile"),
        ({"folder": folder, "dockerfile": outside}, "lies outside of"),
    ):
        with pytest.raises(ValueError, match=message):
            BuildContext(**arguments)


@pytest.mark.parametrize(
    ("rules", "ignored", "kept"),
    [
        ("*", ["a", "a/b"], []),
        ("*\n!a", ["b", "b/a"], ["a", "a/b"]),
        ("*.sh", ["a.sh"], ["a/b.sh", "ash"]),
        ("**/*.sh", ["a.sh", "a/b.sh", "a/b/c.sh"], ["a"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b"]),
        ("a/**/c", ["a/c", "a/b/c", "a/b/b/c", "a/c/d"], ["c", "b/c"]),
        ("/a/", ["a", "a/b"], ["b/a"]),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("[ab]x", ["ax", "bx"], ["cx"]),
        ("[^a]x", ["bx"], ["ax"]),
        ("# a\na", ["a"], ["# a"]),
        ("  a  \n\n", ["a"], ["b"]),
        ("a.b", ["a.b"], ["aXb"]),
        ("a\n!a/keep\n", ["a/b"], ["a/keep", "a/keep/c"]),
        ("!a\na", ["a"], []),
        (r"\*", ["*"], ["a"]),
        ("a/../b", ["b"], ["a"]),
    ],
)
def test_patterns_are_read_as_docker_reads_them(rules: str, ignored: list[str], kept: list[str]) -> None:
    ignore = DockerIgnore(rules)
    assert {path: ignore.ignores(path) for path in [*ignored, *kept]} == {
        **dict.fromkeys(ignored, True),
        **dict.fromkeys(kept, False),
    }


@pytest.mark.parametrize(("rules", "message"), [("a\n!", "line 2: ! names nothing"), ("[a", r"line 1: '\[a' is no")])
def test_a_pattern_that_docker_refuses_is_refused_with_its_line(rules: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DockerIgnore(rules)
