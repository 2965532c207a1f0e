"""Fleet files: what is accepted, and the whole text of every refusal (tests/fleets/bad/*.yaml with *.txt beside)."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from stacks.fleet import FleetError, Problem, load_fleet, parse_fleet
from stacks.fleet_to_constructs import machines

ROOT = Path(__file__).resolve().parents[2]
FLEETS = ROOT / "tests" / "fleets"
BAD = sorted((FLEETS / "bad").glob("*.yaml"))
GOOD = sorted((FLEETS / "good").glob("*.yaml"))
SMALLEST = (FLEETS / "good" / "smallest.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_is_refused_with_the_text_beside_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(FleetError) as refusal:
        load_fleet(Path(path.name))
    assert f"{refusal.value}\n" == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_every_expected_text_belongs_to_a_bad_file() -> None:
    texts = {path.stem for path in (FLEETS / "bad").glob("*.txt")}
    assert texts == {path.stem for path in BAD}
    assert len(texts) > 30


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_problem_of_a_bad_file_says_what_to_do(path: Path) -> None:
    with pytest.raises(FleetError) as refusal:
        load_fleet(path)
    assert refusal.value.problems
    assert all(problem.fix and problem.what for problem in refusal.value.problems)


def test_no_refusal_shows_a_secret_or_passes_on_the_error_that_holds_it() -> None:
    with pytest.raises(FleetError) as refusal:
        load_fleet(FLEETS / "bad" / "secrets.yaml")
    assert "canary" in (FLEETS / "bad" / "secrets.yaml").read_text(encoding="utf-8")
    assert "canary" not in str(refusal.value)
    assert "canary" not in repr(refusal.value.problems)
    # A traceback prints the chain of errors, and pydantic's holds its input.
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize("path", [*GOOD, ROOT / "fleets" / "example.yaml"], ids=lambda path: path.stem)
def test_a_good_file_is_accepted(path: Path) -> None:
    fleet = load_fleet(path)
    assert any(node.role == "server" for node in fleet.nodes)


def test_what_is_left_out_has_the_public_defaults() -> None:
    fleet = parse_fleet(SMALLEST, source="smallest.yaml")
    assert fleet.k3s.artifact_url == "https://github.com/k3s-io/k3s/releases/download"
    assert fleet.container_toolkit.apt_repository == "https://nvidia.github.io/libnvidia-container/stable/deb"
    assert fleet.device_plugin.chart_repository == "https://nvidia.github.io/k8s-device-plugin"
    assert fleet.device_plugin.image is None
    assert fleet.gpu_check.command is None
    assert fleet.backend.type == "local"
    (node,) = fleet.nodes
    assert (node.port, node.gpus, node.architecture) == (22, 0, "amd64")
    assert (dict(node.labels), node.taints) == ({}, ())


def test_every_key_of_a_whole_file_reaches_the_model() -> None:
    fleet = load_fleet(FLEETS / "good" / "every-key.yaml")
    server, gpu = fleet.nodes[0], fleet.nodes[3]
    assert fleet.ssh.private_key_path == Path("/home/operator/.ssh/id_ed25519")
    assert fleet.ssh.bastion is not None
    assert fleet.ssh.bastion.port == 2222
    assert {machine.host.connect_timeout_seconds for machine in machines(fleet)} == {90}
    assert server.address == "2001:db8::11"
    assert server.host_key is not None
    assert len(server.host_key.split()) == 2, "the comment of a host key is dropped"
    assert gpu.insecure_skip_host_key_check is True
    assert gpu.host_key is None
    assert dict(gpu.labels) == {"example.com/rack": "r12", "topology.kubernetes.io/zone": "east"}
    assert gpu.taints == ("dedicated=gpu:NoSchedule", "maintenance:NoExecute")
    assert dict(fleet.k3s.sha256) == {"amd64": "9f86d0" + "0a" * 29, "arm64": "1b4f0e" + "0b" * 29}
    assert [archive.url for archive in fleet.k3s.image_archives] == ["http://mirror.example.com/images/app.tar.zst"]
    assert fleet.gpu_check.command == ("sh", "-c", "nvidia-smi -L > /dev/termination-log")
    assert fleet.backend.type == "s3"
    assert fleet.backend.endpoint == "https://minio.example.com"


def test_a_home_in_the_key_path_is_that_of_whoever_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert parse_fleet(SMALLEST, source="-").ssh.private_key_path == Path("/home/somebody/.ssh/id_ed25519")


def test_a_fleet_cannot_be_changed() -> None:
    fleet = load_fleet(FLEETS / "good" / "every-key.yaml")
    with pytest.raises(ValueError, match="frozen"):
        fleet.nodes[0].gpus = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        fleet.nodes[3].labels["a"] = "b"  # type: ignore[index]


def test_merged_defaults_are_not_keys_given_twice() -> None:
    fleet = load_fleet(FLEETS / "good" / "merge-keys.yaml")
    assert [(node.name, node.role, node.gpus) for node in fleet.nodes] == [
        ("server-1", "server", 0),
        ("gpu-1", "agent", 2),
        ("gpu-2", "agent", 4),
    ]


def test_aliases_that_blow_a_file_up_are_refused() -> None:
    levels = [f"  - &l{level} [{', '.join([f'*l{level - 1}'] * 20)}]" for level in range(1, 8)]
    bomb = "\n".join(["nodes:", "  - &l0 [1, 2]", *levels])
    with pytest.raises(FleetError, match="more than 20000 values"):
        parse_fleet(bomb, source="-")


@pytest.mark.parametrize(
    "version", ["v1.36.2+k3s1", "v1.35.0+k3s-04e8f1b5", "v1.36.3-rc1+k3s1", "v1.32.0+k3s2", "v1.35.1+k3s-relink"]
)
def test_a_k3s_release_tag_is_accepted(version: str) -> None:
    assert parse_fleet(SMALLEST.replace("v1.36.2+k3s1", version), source="-").k3s.version == version


@pytest.mark.parametrize(
    "version",
    ["v1.36", "testing", "v1.36.2+k3s", "v1.36.2", "v1.36.2+rke2r1", "v1.36.2+k3s1; reboot", "v1.9.0+k3s1", "''"],
)
def test_what_is_no_k3s_release_tag_is_refused(version: str) -> None:
    with pytest.raises(FleetError, match=r"k3s\.version: "):
        parse_fleet(SMALLEST.replace("v1.36.2+k3s1", version), source="-")


@pytest.mark.parametrize(
    "image",
    [
        "ubuntu:22.04",
        "localhost:5000/check:1",
        "nvcr.io/nvidia/cuda:12.9.2-base-ubuntu22.04",
        f"ubuntu@sha256:{'ab' * 32}",
        f"ubuntu:latest@sha256:{'ab' * 32}",
    ],
)
def test_an_image_with_a_fixed_meaning_is_accepted(image: str) -> None:
    assert parse_fleet(f'{SMALLEST}gpu_check: {{image: "{image}"}}\n', source="-").gpu_check.image == image


@pytest.mark.parametrize(
    "image", ["Ubuntu:22.04", "localhost:5000/check", "ubuntu:", "ubuntu:22 04", "ubuntu@sha256:ab"]
)
def test_an_image_without_a_fixed_meaning_is_refused(image: str) -> None:
    with pytest.raises(FleetError, match=r"gpu_check\.image: "):
        parse_fleet(f'{SMALLEST}gpu_check: {{image: "{image}"}}\n', source="-")


@pytest.mark.parametrize(
    "url",
    [
        "https://h/$(reboot)",
        "https://h/a b",
        "https://h/${path.root}",
        "https://h:99999/x",
        "https:///x",
        "https://h_h/x",
        "https://h/x#y",
    ],
)
def test_a_url_that_a_shell_or_terraform_could_read_otherwise_is_refused(url: str) -> None:
    with pytest.raises(FleetError, match=r"device_plugin\.chart_repository: "):
        parse_fleet(f"{SMALLEST}device_plugin: {{chart_repository: '{url}'}}\n", source="-")


def test_a_slash_at_the_end_of_a_base_url_is_dropped() -> None:
    text = f"{SMALLEST}device_plugin: {{chart_repository: https://charts.example.com/nvidia/}}\n"
    assert parse_fleet(text, source="-").device_plugin.chart_repository == "https://charts.example.com/nvidia"


def test_a_missing_file_names_the_nearest_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("fleets").mkdir()
    Path("fleets/site-a.yaml").touch()
    for missing, hint in (
        ("fleets/site-b.yaml", "did you mean fleets/site-a.yaml?"),
        ("fleets/berlin.yaml", "name a file that exists: site-a.yaml"),
        ("flets/site-a.yaml", "nor does the folder flets"),
        ("fleets/lab.yaml", "python -m lab up"),
        ("fleets", "name a file in it: site-a.yaml"),
    ):
        with pytest.raises(FleetError) as refusal:
            load_fleet(Path(missing))
        assert hint in str(refusal.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_bytes(b"name: \xff\n")
    with pytest.raises(FleetError, match="is no UTF-8 text"):
        load_fleet(path)
    path.write_bytes(b"#" * (1 << 21))
    with pytest.raises(FleetError, match="is larger than 1 MiB"):
        load_fleet(path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("name: a\nssh: \x07\n", "-:2: is not YAML: it holds the control character 0x07"),
        ("[" * 100_000, "-: is nested too deeply"),
        ("name: 2026-13-45\n", "month must be in 1..12"),
    ],
)
def test_what_the_yaml_parser_stumbles_over_is_refused(text: str, what: str) -> None:
    with pytest.raises(FleetError) as refusal:
        parse_fleet(text, source="-")
    assert what in str(refusal.value)


@pytest.mark.parametrize("seed", range(200))
def test_any_damage_to_a_file_ends_in_a_fleet_or_in_a_refusal_with_fixes(seed: int) -> None:
    rng = random.Random(seed)
    lines = (FLEETS / "good" / "every-key.yaml").read_text(encoding="utf-8").splitlines()
    damage = [
        "null",
        "[]",
        "{}",
        "-1",
        "1e9",
        "true",
        "&a",
        "*a",
        "!x",
        "\t",
        "é",
        "x: y",
        "- z",
        "2026-13-45",
        "\0",
        "? x",
    ]
    for _ in range(rng.randint(1, 3)):
        line = rng.randrange(len(lines))
        start = rng.randrange(len(lines[line]) + 1)
        lines[line] = lines[line][:start] + rng.choice(damage) + lines[line][start + rng.randint(0, 12) :]
    problems: Sequence[Problem] = ()
    try:
        parse_fleet("\n".join(lines), source="-")
    except FleetError as refusal:
        problems = refusal.problems
    assert all(problem.fix for problem in problems)


def test_loading_a_fleet_starts_no_cdk() -> None:
    program = (
        "import sys; from pathlib import Path; from stacks.fleet import load_fleet; load_fleet(Path(sys.argv[1]));"
        "print([name for name in sys.modules if name.split('.')[0] in ('jsii', 'cdktf', 'constructs')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, "fleets/example.yaml"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
