"""The signed repository: apt itself reads it, and refuses it when a byte is changed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lab.artifacts.apt_repository import PUBLIC_KEY, build_apt_repository
from lab.cache import CACHE_VARIABLE

CONTROL = """Package: lab-test
Version: 1.0-1
Architecture: amd64
Maintainer: nobody <nobody@example.invalid>
Description: an empty package
 of a test
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "tree" / "DEBIAN").mkdir(parents=True)
    (tmp_path / "tree" / "DEBIAN" / "control").write_text(CONTROL)
    folder = tmp_path / "packages"
    folder.mkdir()
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", tmp_path / "tree", folder], check=True, capture_output=True
    )
    return folder


def apt(*arguments: str, repository: Path, root: Path) -> subprocess.CompletedProcess[str]:
    """Run apt-get on nothing but this repository, without touching the system's lists."""
    keyring = root / "key.asc"
    for name in ("lists/partial", "archives/partial", "etc"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(repository / PUBLIC_KEY, keyring)
    (root / "sources.list").write_text(f"deb [signed-by={keyring}] file:{repository}/stable/deb/amd64 /\n")
    (root / "status").touch()
    settings = {
        "Dir::Etc::sourcelist": root / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": root / "lists",
        "Dir::State::status": root / "status",
        "Dir::Cache": root,
        "APT::Sandbox::User": "root",
    }
    options = [f"-o{name}={value}" for name, value in settings.items()]
    return subprocess.run(
        ["apt-get", "-q", *options, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_apt_accepts_the_signature_and_finds_the_package(packages: Path, tmp_path: Path) -> None:
    repository = build_apt_repository(packages=packages)
    updated = apt("update", repository=repository, root=tmp_path / "apt")
    assert updated.returncode == 0, updated.stderr
    assert "W:" not in updated.stderr
    planned = apt("--simulate", "install", "lab-test=1.0-1", repository=repository, root=tmp_path / "apt")
    assert "Inst lab-test (1.0-1" in planned.stdout, planned.stderr


@pytest.mark.parametrize("name", ["InRelease", "Packages"])
def test_apt_refuses_a_changed_file(packages: Path, tmp_path: Path, name: str) -> None:
    repository = build_apt_repository(packages=packages)
    changed = tmp_path / "changed"
    shutil.copytree(repository, changed)
    folder = changed / "stable" / "deb" / "amd64"
    (folder / "Packages.gz").unlink()
    (folder / name).write_text(
        (folder / name).read_text().replace("edge-gpu lab mirror", "other").replace("1.0", "1.1")
    )
    assert apt("update", repository=changed, root=tmp_path / "apt").returncode != 0


def test_the_secret_key_stays_in_a_closed_folder_of_the_cache(packages: Path, tmp_path: Path) -> None:
    repository = build_apt_repository(packages=packages)
    (secret,) = (tmp_path / "cache").rglob("secret.asc")
    assert secret.stat().st_mode & 0o077 == 0
    assert secret.parent.stat().st_mode & 0o077 == 0
    assert "PRIVATE" not in "".join(
        path.read_text(errors="replace") for path in repository.rglob("*") if path.is_file()
    )


def test_the_same_packages_are_not_signed_again(packages: Path) -> None:
    assert build_apt_repository(packages=packages) == build_apt_repository(packages=packages)
