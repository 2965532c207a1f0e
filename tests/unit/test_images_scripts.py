"""The Dockerfiles and the scripts in them: clean by their linters, and each script does what its first line says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from constructs_lib.build_context import BuildContext

IMAGES = Path(__file__).parents[2] / "images"
DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))
SCRIPTS = sorted(IMAGES.glob("*/*.sh"))
HEADER = "isaac_ros_nitros/gxf/include/gxf/std/parameter_storage.hpp"
SOURCE = "isaac_ros_nitros_type/isaac_ros_nitros_image_type/src/nitros_image.cpp"


def image_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def run(script: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", IMAGES / script, *arguments],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=image_of)
def test_a_dockerfile_is_clean(dockerfile: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    assert hadolint.exists(), f"{hadolint} is missing: run make setup"
    found = subprocess.run(
        [hadolint, "--config", IMAGES / ".hadolint.yaml", dockerfile], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=image_of)
def test_a_script_is_clean_and_says_first_what_it_guarantees(script: Path) -> None:
    assert shutil.which("shellcheck"), "shellcheck is missing: run make setup"
    found = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    shebang, first = script.read_text().splitlines()[:2]
    assert shebang in ("#!/bin/sh", "#!/bin/bash")
    assert first.startswith("# Exits 0 when ") or script.name == "entrypoint.sh"


def test_scripts_that_two_contexts_need_are_the_same_in_both() -> None:
    by_name: dict[str, set[str]] = {}
    for script in SCRIPTS:
        by_name.setdefault(script.name, set()).add(script.read_text())
    assert {name: len(texts) for name, texts in by_name.items() if len(texts) > 1} == {}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=image_of)
def test_the_context_holds_exactly_what_the_dockerfile_copies(dockerfile: Path) -> None:
    copied = {
        word
        for line in re.findall(r"^COPY (?!.*--from)(.+)$", dockerfile.read_text(), re.MULTILINE)
        for word in line.split()[:-1]
        if not word.startswith("--")
    }
    sent = {path.name for path in BuildContext(folder=dockerfile.parent, dockerfile=dockerfile).files()}
    assert sent - {"Dockerfile", ".dockerignore"} == copied


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=image_of)
def test_outside_addresses_stand_only_in_arguments(dockerfile: Path) -> None:
    for line in dockerfile.read_text().splitlines():
        if "://" in line and not line.lstrip().startswith("#"):
            assert line.startswith("ARG "), line
    for script in dockerfile.parent.glob("*.sh"):
        # What a script must find in files that others wrote, to put an argument's value in its place.
        for address in re.findall(r"https?://[a-z0-9.-]+[a-z]", script.read_text()):
            assert address in dockerfile.read_text() or "git-lfs" in address, (script.name, address)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=image_of)
def test_no_input_is_whatever_is_newest(dockerfile: Path) -> None:
    for name, reference in re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", dockerfile.read_text(), re.MULTILINE):
        # Our own images' aliases are the one exception: constructs pass the content tag instead.
        assert not reference.endswith(":latest") or reference.startswith("myros2"), (name, reference)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=image_of)
def test_what_can_be_run_runs_as_user_1000(dockerfile: Path) -> None:
    parent: dict[str, str] = {}
    user: dict[str, str] = {}
    for line in dockerfile.read_text().splitlines():
        if stage := re.match(r"FROM (\S+)(?: AS (\S+))?", line):
            current = stage[2] or "last"
            parent[current] = stage[1]
            user[current] = user.get(stage[1], "root")
        elif line.startswith("USER "):
            user[current] = line.split()[1]
    final = [
        stage for stage in user if stage in ("serving", "ros2-source", "ros2", "nitros", "plain", "kernel", "last")
    ]
    assert final
    assert {stage: user[stage] for stage in final if user[stage] not in ("1000", "${USER_UID}")} == {}


@pytest.fixture
def nitros(tmp_path: Path) -> Path:
    """The two files in the state of v0.20.0-dp, as far as the edits touch them."""
    for name, text in (
        (
            HEADER,
            "#pragma once\n#include <map>\n#include <memory>\n#include <shared_mutex>  // NOLINT\n#include <string>\n",
        ),
        (SOURCE, '#include <string>\n#include "sensor_msgs/sensor_msgs/image_encodings.hpp"\n\nint code;\n'),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return tmp_path


def test_both_nitros_edits_are_made_and_nothing_else(nitros: Path) -> None:
    assert run("ros2-humble/nitros-edits.sh", nitros).returncode == 0
    assert (nitros / HEADER).read_text() == (
        "#pragma once\n#include <map>\n#include <memory>\n#include <mutex>\n#include <shared_mutex>  // NOLINT\n"
        "#include <string>\n"
    )
    assert (
        nitros / SOURCE
    ).read_text() == '#include <string>\n#include "sensor_msgs/image_encodings.hpp"\n\nint code;\n'


def test_making_the_nitros_edits_twice_changes_nothing_more(nitros: Path) -> None:
    run("ros2-humble/nitros-edits.sh", nitros)
    before = [(nitros / name).read_bytes() for name in (HEADER, SOURCE)]
    again = run("ros2-humble/nitros-edits.sh", nitros)
    assert again.returncode == 0
    assert again.stdout.count("already") == 2
    assert [(nitros / name).read_bytes() for name in (HEADER, SOURCE)] == before


def test_one_edit_that_upstream_has_leaves_the_other_to_be_made(nitros: Path) -> None:
    (nitros / SOURCE).write_text('#include "sensor_msgs/image_encodings.hpp"\n')
    ended = run("ros2-humble/nitros-edits.sh", nitros)
    assert ended.returncode == 0
    assert f"{HEADER}: added <mutex>" in ended.stdout
    assert f"{SOURCE}: includes image_encodings.hpp by its Humble path already" in ended.stdout


@pytest.mark.parametrize("name", [HEADER, SOURCE])
def test_a_file_that_has_moved_fails_the_step_and_the_other_is_left_alone(nitros: Path, name: str) -> None:
    (nitros / name).unlink()
    other = nitros / ({HEADER, SOURCE} - {name}).pop()
    before = other.read_text()
    ended = run("ros2-humble/nitros-edits.sh", nitros)
    assert ended.returncode == 1
    assert f"ERROR {name}: there is no such file" in ended.stderr
    assert "check out v0.20.0-dp" in ended.stderr
    assert other.read_text() == before


@pytest.mark.parametrize(("name", "cause"), [(HEADER, "has no line '#include <memory>'"), (SOURCE, "by neither")])
def test_a_file_with_nothing_to_edit_fails_the_step(nitros: Path, name: str, cause: str) -> None:
    (nitros / name).write_text("int code;\n")
    ended = run("ros2-humble/nitros-edits.sh", nitros)
    assert ended.returncode == 1
    assert f"ERROR {name}: " in ended.stderr
    assert cause in ended.stderr


NVCC = """#!/bin/sh
if [ "$1" = --list-gpu-arch ]; then for number in %s; do echo compute_$number; done; exit 0; fi
echo "nvcc $*"
"""


@pytest.mark.parametrize(
    ("known", "codes", "ptx"),
    [("60 70 75 80 86 89 90 100 120", "60 70 75 80 86 89 90", "90"), ("75 80 86 89 90 100", "75 80 86 89 90", "90")],
    ids=["CUDA 12", "CUDA 13"],
)
def test_the_kernel_is_compiled_for_the_gpus_that_the_bases_compiler_knows(
    tmp_path: Path, known: str, codes: str, ptx: str
) -> None:
    ended = compile_gpu_check(tmp_path, known=known, wanted="60 70 75 80 86 89 90")
    assert ended.returncode == 0, ended.stderr
    assert re.findall(r"code=sm_(\d+)", ended.stdout) == codes.split()
    assert re.findall(r"code=compute_(\d+)", ended.stdout) == [ptx]
    assert ("left out: this nvcc does not know compute_60" in ended.stdout) == ("60" not in known.split())


def test_a_compiler_that_knows_none_of_the_gpus_wanted_fails_the_build(tmp_path: Path) -> None:
    ended = compile_gpu_check(tmp_path, known="75 80", wanted="52 60")
    assert ended.returncode == 1
    assert ended.stderr.startswith('ERROR this nvcc knows none of CUDA_ARCHITECTURES="52 60"; it knows: compute_75')


def compile_gpu_check(folder: Path, *, known: str, wanted: str) -> subprocess.CompletedProcess[str]:
    for name, text in (("nvcc", NVCC % known), ("gcc", "#!/bin/sh\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return run("gpu-check/compile.sh", folder / "made", CUDA_ARCHITECTURES=wanted, PATH=f"{folder}:/usr/bin:/bin")


def gpu_check(folder: Path, *, lists: str, adds: str | None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the check with programs that answer as told; a real one runs in the lab and on GPUs."""
    for name, body in (("nvml-list", lists), ("vectoradd", adds)):
        program = folder / name
        program.unlink(missing_ok=True)
        if body is not None:
            program.write_text(f"#!/bin/sh\n{body}\n")
            program.chmod(0o755)
    (folder / "message").write_text("")
    return run(
        "gpu-check/gpu-check.sh",
        PROGRAMS_FOLDER=str(folder),
        TERMINATION_MESSAGE_PATH=str(folder / "message"),
        **environment,
    )


TWO = "echo '0 GPU-a Some GPU, 1 MiB'; echo '1 GPU-b Some GPU, 1 MiB'"
PASS_BOTH = "echo 'PASS gpu=0'; echo 'PASS gpu=1'"


def test_the_gpu_check_tells_the_uuids_in_the_form_that_the_report_splits(tmp_path: Path) -> None:
    ended = gpu_check(tmp_path, lists=TWO, adds=PASS_BOTH, EXPECTED_GPUS="2")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "message").read_text() == "GPU-a GPU-b\n"


@pytest.mark.parametrize(
    ("lists", "adds", "expected", "message"),
    [
        (TWO, PASS_BOTH, "1", "expected 1 GPUs, seen 2: GPU-a GPU-b"),
        (":", PASS_BOTH, "2", "expected 2 GPUs, seen none"),
        ("exit 1", PASS_BOTH, "2", "NVML does not answer; is the container started with the nvidia runtime?"),
        (TWO, "echo 'FAIL gpu=0 bad=7'; exit 1", "2", "the CUDA kernel failed: FAIL gpu=0 bad=7"),
        (TWO, "echo 'PASS gpu=0'", "2", "NVML sees 2 GPUs, the CUDA kernel passed on 1"),
    ],
)
def test_a_failed_gpu_check_says_why_in_the_termination_message(
    tmp_path: Path, lists: str, adds: str, expected: str, message: str
) -> None:
    ended = gpu_check(tmp_path, lists=lists, adds=adds, EXPECTED_GPUS=expected)
    assert ended.returncode == 1
    assert (tmp_path / "message").read_text() == f"{message}\n"
    assert ended.stderr.endswith(f"ERROR {message}\n")


def test_without_kernel_the_gpu_check_says_that_none_was_run(tmp_path: Path) -> None:
    ended = gpu_check(tmp_path, lists=TWO, adds=None)
    assert ended.returncode == 0
    assert "plain mode: no CUDA kernel was run" in ended.stdout
