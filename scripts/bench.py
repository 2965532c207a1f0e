"""Measures synth, the lab, deploy, second deploy and destroy: `python -m scripts.bench`.

Works on the embedded lab, which it takes down and brings up again. Never fails on a figure: times are no test.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.artifacts.command import BuildError, run_command
from lab.cache import CacheError, file_sha256
from scripts.bench_figures import TARGETS, Figure, as_text, phases, slowest_steps
from scripts.bench_sizes import measure_sizes
from scripts.bundle import create
from scripts.cdktf_output import without_frame
from scripts.checkout import BUILD, LAB_FLEET, ROOT, VENV, chosen_fleet, shown
from scripts.edge_gpu import lab_up, make_identity, run_cdktf
from scripts.environment import command_environment, project_variables
from scripts.errors import CommandError, SetupError
from scripts.process import Outcome
from scripts.terraform import find_terraform

_PYTHON = str(VENV / "bin" / "python")
_RUN_LIMIT_SECONDS = 120
_LAB_DOWN_LIMIT_SECONDS = 300


def main(arguments: list[str] | None = None) -> int:
    """Measure, write `build/bench.json` and print the table. Exit code 1 only when something does not run."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="runs of each synth measurement; their median counts")
    parser.add_argument("--synth-only", action="store_true", help="leave the lab alone")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error(f"--runs {options.runs}: at least 1")
    try:
        figures = (
            [measure_synth(fleet=chosen_fleet(), runs=options.runs), sizes_figure()]
            if options.synth_only
            else _measure_all(runs=options.runs)
        )
    except (CommandError, SetupError, BuildError, CacheError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    BUILD.mkdir(exist_ok=True)
    target = BUILD / "bench.json"
    target.write_text(json.dumps(_as_json(figures), indent=2) + "\n")
    print(f"\n{as_text(figures)}\n({shown(target)} holds the same)")
    return 0


def measure_synth(*, fleet: Path, runs: int) -> Figure:
    """How long `main.py` takes, in units of a bare `import cdktf` measured in turn with it."""
    bare, app = [], []
    with tempfile.TemporaryDirectory() as out:
        environment = {**command_environment(fleet=fleet), "CDKTF_OUTDIR": out}
        for _ in range(runs + 1):
            bare.append(_seconds([_PYTHON, "-c", "import cdktf"], env=environment))
            app.append(_seconds([_PYTHON, "main.py"], env=environment))
    # The first run of each fills caches.
    of_bare, of_app = statistics.median(bare[1:]), statistics.median(app[1:])
    return Figure(
        name="synth_ratio",
        value=of_app / of_bare,
        detail=f"medians of {runs} runs in turn: main.py {of_app:.2f} s, import cdktf {of_bare:.2f} s",
    )


def sizes_figure() -> Figure:
    """Synth of fleets of 1 to 1,000 nodes; the largest counts."""
    measured = measure_sizes()
    return Figure(name="synth_1000", value=measured[-1].seconds, detail="; ".join(str(synth) for synth in measured))


def _measure_all(*, runs: int) -> list[Figure]:
    lab_up(fleet=LAB_FLEET)
    make_identity(fleet=LAB_FLEET)
    # What an earlier deploy left must go before its nodes do.
    run_cdktf("destroy", fleet=LAB_FLEET)
    synth = measure_synth(fleet=LAB_FLEET, runs=runs)
    run_command([_PYTHON, "-m", "lab", "down"], cwd=ROOT, timeout_seconds=_LAB_DOWN_LIMIT_SECONDS)
    up = lab_up(fleet=LAB_FLEET)
    deploy = run_cdktf("deploy", fleet=LAB_FLEET)
    second = run_cdktf("deploy", fleet=LAB_FLEET)
    destroy = run_cdktf("destroy", fleet=LAB_FLEET)
    # Bare nodes for both: a destroy leaves NVIDIA's packages.
    run_command([_PYTHON, "-m", "lab", "down"], cwd=ROOT, timeout_seconds=_LAB_DOWN_LIMIT_SECONDS)
    lab_up(fleet=LAB_FLEET)
    offline = measure_offline(online_seconds=deploy.seconds)
    return [
        synth,
        sizes_figure(),
        Figure(name="lab_up", value=up.seconds),
        _figure("deploy", deploy),
        offline,
        _figure("second_deploy", second),
        _figure("destroy", destroy),
    ]


def measure_offline(*, online_seconds: float) -> Figure:
    """A deploy of the lab's bare nodes from a bundle, which is made before; the nodes are taken back afterwards.

    Args:
        online_seconds: what the same nodes took from the lab's mirror.
    """
    # The fleet file with the bundle is another file than the lab's, and wants the lab's Terraform plugins all the same.
    variables = project_variables(fleet=LAB_FLEET)
    os.environ.update({name: variables[name] for name in ("TF_CLI_CONFIG_FILE", "CDKTF_DISABLE_PLUGIN_CACHE_ENV")})
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "lab.bundle"
        started = time.monotonic()
        create(LAB_FLEET, made)
        made_in = time.monotonic() - started
        fleet = Path(folder) / "lab-offline.yaml"
        bundle = f"bundle: {{path: {made}, sha256: {file_sha256(made)}}}\n"
        fleet.write_text(f"{LAB_FLEET.read_text()}{bundle}")
        outcome = run_cdktf("deploy", fleet=fleet)
        size = made.stat().st_size / (1 << 20)
        run_cdktf("destroy", fleet=fleet)
    detail = f"from the mirror {online_seconds:.1f} s; the bundle: {size:.0f} MiB, made in {made_in:.1f} s"
    return _figure("offline_deploy", outcome, detail=detail)


def _figure(name: str, outcome: Outcome, *, detail: str = "") -> Figure:
    lines = [without_frame(line) for line in outcome.lines]
    return Figure(
        name=name,
        value=outcome.seconds,
        detail=detail,
        slowest=slowest_steps(lines),
        phases=phases(lines, outcome.seconds_at, total_seconds=outcome.seconds),
    )


def _seconds(argv: list[str], *, env: Mapping[str, str]) -> float:
    started = time.monotonic()
    run_command(argv, cwd=ROOT, env=env, timeout_seconds=_RUN_LIMIT_SECONDS)
    return time.monotonic() - started


def _as_json(figures: list[Figure]) -> dict[str, Any]:
    return {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "terraform": find_terraform().version,
        },
        "figures": {
            figure.name: {
                "title": TARGETS[figure.name].title,
                "value": round(figure.value, 2),
                "unit": TARGETS[figure.name].unit,
                "limit": TARGETS[figure.name].limit,
                "met": figure.met,
                "elsewhere": TARGETS[figure.name].compared_with,
                "detail": figure.detail,
                "slowest": list(figure.slowest),
                "phases": list(figure.phases),
            }
            for figure in figures
        },
    }


if __name__ == "__main__":
    sys.exit(main())
