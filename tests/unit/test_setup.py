"""Set-up, its lock files and the targets that README names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# In pieces, so that this file is not a finding of its own test.
REGISTRY_HOSTS = [
    "pypi" + ".org",
    "files.python" + "hosted.org",
    "registry.npm" + "js.org",
    "proxy.golang" + ".org",
    "sum.golang" + ".org",
    "deb.debian" + ".org",
    "security.debian" + ".org",
]


def tracked_files() -> list[Path]:
    """All files that belong to the repository, those not yet committed included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_package_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in tracked_files()
        for host in REGISTRY_HOSTS
        if host.encode() in path.read_bytes()
    ]
    assert found == []


def test_lock_files_say_no_place_to_fetch_from() -> None:
    python = json.loads((ROOT / "Pipfile.lock").read_text())
    node = json.loads((ROOT / "package-lock.json").read_text())
    packages = [*python["default"].values(), *python["develop"].values()]
    assert python["_meta"]["sources"] == []
    assert [package for package in packages if "index" in package] == []
    assert [name for name, package in node["packages"].items() if "resolved" in package] == []


def test_every_locked_package_is_pinned_by_hash() -> None:
    python = json.loads((ROOT / "Pipfile.lock").read_text())
    node = json.loads((ROOT / "package-lock.json").read_text())
    unpinned = [
        *(name for group in ("default", "develop") for name, one in python[group].items() if not one.get("hashes")),
        *(name for name, one in node["packages"].items() if name and not one.get("integrity") and not bundled(one)),
        *(
            line
            for line in (ROOT / "scripts" / "pipenv-requirements.txt").read_text().splitlines()
            if not line.startswith("#") and "--hash=sha256:" not in line
        ),
    ]
    assert unpinned == []


def bundled(package: dict[str, object]) -> bool:
    """Whether it comes inside another package, whose hash covers it."""
    return package.get("inBundle") is True


def test_the_lock_file_belongs_to_the_pipfile() -> None:
    # pipenv hashes the Pipfile's content; an edit without `make lock` shows as other names or versions here.
    pipfile = tomllib.loads((ROOT / "Pipfile").read_text())
    locked = json.loads((ROOT / "Pipfile.lock").read_text())
    wanted = {**pipfile["packages"], **pipfile["dev-packages"]}
    versions = {name: package["version"] for group in ("default", "develop") for name, package in locked[group].items()}
    assert [name for name in wanted if name not in versions] == []
    assert {
        name: versions[name] for name, pin in wanted.items() if pin.startswith("==") and versions[name] != pin
    } == {}


def test_the_library_and_the_pipfile_pin_the_same_cdktf() -> None:
    pipfile = tomllib.loads((ROOT / "Pipfile").read_text())["packages"]
    library = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    library = [*library["dependencies"], *library["optional-dependencies"]["cdktf"]]
    pins = dict(re.fullmatch(r"([a-z-]+)(.*)", one).groups() for one in library)  # type: ignore[union-attr]
    for name in ("cdktf", "constructs", *(name for name in pins if name.startswith("cdktf-"))):
        assert pins[name] == pipfile[name], name


def test_set_up_needs_nothing_but_the_standard_library() -> None:
    modules = "scripts.setup, scripts.lock, scripts.environment"
    # -S leaves out site-packages, -I the user's own and PYTHON* variables.
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {modules}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", ["README.md", "docs/dependencies.md", "CHANGELOG.md"])
def test_every_make_command_in_the_documents_is_a_target(document: str) -> None:
    text = (ROOT / document).read_text()
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^|[A-Z]+=\S+ )make ((?:[a-z-]+ ?)+)", text, re.MULTILINE))
    assert {name for line in named for name in line.split()} - targets == set()


def test_the_readme_names_the_main_commands() -> None:
    text = (ROOT / "README.md").read_text()
    for command in ("make deploy", "make test", "make diff", "make destroy", "make bench", "make clean"):
        assert command in text, command


def test_ci_runs_make_test_and_nothing_else() -> None:
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith("#") and not line.startswith(("set ", "cd "))
    ]
    assert commands == ["exec make test"]
