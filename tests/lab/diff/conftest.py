"""A deployed lab, a checkout without any secret, and fleet files whose state lies behind a REST API."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.checkout import LAB_FLEET, NODE_MODULES, ROOT, VENV
from scripts.environment import command_environment, project_variables
from stacks.fleet import Fleet, load_fleet

LIMIT_SECONDS = 600
HTTP_BACKEND = "\nbackend:\n  type: http\n  address: STATE\n  lock_address: STATE\n  unlock_address: STATE\n"


@dataclass(frozen=True, kw_only=True)
class Diff:
    """A finished `edge-gpu diff`: exit code, what it printed, and the two files it wrote."""

    code: int
    output: str
    markdown: str
    json: dict[str, Any]


def run(argv: list[str], *, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the lab's Terraform settings, stdout and stderr together."""
    env = command_environment(fleet=LAB_FLEET, base={**os.environ, **project_variables(fleet=LAB_FLEET)})
    return subprocess.run(
        argv,
        cwd=cwd,
        env={**env, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def diff(*arguments: str, fleet: Path, checkout: Path = ROOT, before: tuple[str, ...] = (), **variables: str) -> Diff:
    """Run `edge-gpu diff` of a checkout."""
    markdown, as_json = fleet.with_suffix(".md"), fleet.with_suffix(".json")
    for path in (markdown, as_json):
        path.unlink(missing_ok=True)
    files = ("--markdown", str(markdown), "--json", str(as_json))
    # The fleet file by its variable, as `make` names it.
    done = run(
        [*before, str(checkout / "scripts" / "edge-gpu"), "diff", *files, *arguments], FLEET=str(fleet), **variables
    )
    assert as_json.exists(), done.stdout
    return Diff(
        code=done.returncode,
        output=done.stdout,
        markdown=markdown.read_text(),
        json=json.loads(as_json.read_text()),
    )


def deploy(fleet: Path = LAB_FLEET) -> None:
    """Deploy, and expect success."""
    done = run([sys.executable, "-m", "scripts.edge_gpu", "deploy", "--fleet", str(fleet)])
    assert done.returncode == 0, done.stdout


def on_node(node: str, *argv: str) -> str:
    """Run a command as root on a lab node; its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "lab", "exec", node, "--", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{node}: {' '.join(argv)}: {done.stdout}{done.stderr}"
    return done.stdout


def kubectl(*argv: str) -> str:
    """What kubectl prints on the server."""
    return on_node("server-1", "k3s", "kubectl", *argv)


def k3s_started(node: str) -> str:
    """Process id and start of the node's K3s, by systemd."""
    unit = "k3s" if node.startswith("server") else "k3s-agent"
    return on_node(node, "systemctl", "show", unit, "-p", "MainPID,ActiveEnterTimestampMonotonic")


@pytest.fixture(scope="session")
def lab_fleet() -> Fleet:
    """The lab's fleet, deployed."""
    deploy()
    return load_fleet(LAB_FLEET)


@pytest.fixture(scope="session")
def edge_folder(lab_fleet: Fleet) -> Path:
    """Where the lab fleet's secrets and state lie."""
    return ROOT / ".edge" / lab_fleet.name


@pytest.fixture(scope="session")
def last_state(edge_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the state as the deploy left it."""
    copy = tmp_path_factory.mktemp("state") / "terraform.tfstate"
    shutil.copy(edge_folder / "terraform.tfstate", copy)
    return copy


@pytest.fixture
def fleet_file(lab_fleet: Fleet, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Writes a copy of the lab's fleet file, with some text replaced and the state behind the given address."""
    assert lab_fleet.backend.type == "local"
    written: list[Path] = []

    def write(*replacements: tuple[str, str], state: str | None = "STATE") -> Path:
        text = LAB_FLEET.read_text()
        for old, new in replacements:
            assert old in text, f"{old!r} is not in the lab's fleet file"
            text = text.replace(old, new)
        # Terraform remembers each file's backend by the file's name.
        path = tmp_path / f"site-{secrets.token_hex(4)}.yaml"
        written.append(path)
        path.write_text(text + (HTTP_BACKEND.replace("STATE", state) if state else ""))
        return path

    yield write
    for path in written:
        for remembered in (ROOT / "cdktf.out" / "stacks").glob(f"*/.terraform-{path.stem}"):
            shutil.rmtree(remembered)
        shutil.rmtree(ROOT / "build" / "plan" / path.stem, ignore_errors=True)


@pytest.fixture(scope="session")
def bare_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files as a runner has them: no `.edge`, no lab, no `build`."""
    made = tmp_path_factory.mktemp("runner") / "checkout"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, made / name)
    for installed in (VENV, NODE_MODULES):
        (made / installed.name).symlink_to(installed)
    return made


@pytest.fixture(scope="session")
def site(lab_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the lab's site serves of charts, which a plan of a Helm release reads."""
    made = tmp_path_factory.mktemp("site")
    (made / "charts").mkdir()
    for name in ("index.yaml", f"nvidia-device-plugin-{lab_fleet.device_plugin.chart_version}.tgz"):
        with urllib.request.urlopen(f"{lab_fleet.device_plugin.chart_repository}/{name}", timeout=20) as answer:
            (made / "charts" / name).write_bytes(answer.read())
    return made


@pytest.fixture
def offline(bare_checkout: Path, site: Path, lab_fleet: Fleet, last_state: Path, tmp_path: Path) -> Callable[..., Diff]:
    """Runs `edge-gpu diff` of the bare checkout where no node, no cluster, no engine and no secret can be reached."""
    address = lab_fleet.device_plugin.chart_repository.split("/")[2]

    def plan(*arguments: str, fleet: Path, state: Path | None = last_state, **variables: str) -> Diff:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        isolated = (
            "unshare", "-n", sys.executable, "-m", "tests.lab.diff.offline", "--site", str(site),
            "--site-address", address, *(("--state", str(state)) if state else ()), "--",
        )  # fmt: skip
        nothing = {"HOME": str(home), "SSH_AUTH_SOCK": "", "DOCKER_HOST": "unix:///nonexistent", "KUBECONFIG": ""}
        found = diff(*arguments, fleet=fleet, checkout=bare_checkout, before=isolated, **{**nothing, **variables})
        assert not (bare_checkout / ".edge").exists()
        return found

    return plan
