"""The backend's queries for GPU-hours against a real Prometheus, from Debian, with a database made for the test."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest

from constructs_lib.gpu_accounting_rules import ALLOCATED, COVERAGE
from lab.artifacts.debian_package import debian_package
from lab.progress import Progress
from scripts.waldur_packages import waldur_environment, waldur_python

HOUR = 3600
END = (int(time.time()) // HOUR - 1) * HOUR
START = END - 3 * HOUR
PROGRAM = """
import sys
from datetime import UTC, datetime
from waldur_site_agent_k3s.gpu_hours import GpuHours, UsageUnknownError
url, series, coverage, *rest = sys.argv[1:]
hours = GpuHours(url=url, coverage_series=coverage, coverage_minimum=0.95)
for namespace, start, end in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
    window = {name: datetime.fromtimestamp(int(value), UTC) for name, value in (("start", start), ("end", end))}
    try:
        print(hours.in_window(series, namespace=namespace, **window))
    except UsageUnknownError as error:
        print(error)
"""


def samples(name: str, value: float, minutes: range, *, labels: str = "") -> list[str]:
    """A series' samples in OpenMetrics, by minutes since the start."""
    return [f"{name}{labels} {value} {START + minute * 60}" for minute in minutes]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with three hours of two tenants, and kube-state-metrics not seen for the last one's half."""
    folder = tmp_path_factory.mktemp("prometheus")
    programs = debian_package("prometheus").unpacked() / "usr" / "bin"
    written = [
        f"# TYPE {ALLOCATED} gauge",
        # 2 GPUs for an hour, then 1 for half an hour; another tenant all the time.
        *samples(ALLOCATED, 2, range(1, 61), labels='{namespace="tenant-a"}'),
        *samples(ALLOCATED, 1, range(61, 91), labels='{namespace="tenant-a"}'),
        *samples(ALLOCATED, 4, range(1, 121), labels='{namespace="tenant-b"}'),
        f"# TYPE {COVERAGE} gauge",
        *samples(COVERAGE, 1, range(151)),
        "# EOF\n",
    ]
    (folder / "samples").write_text("\n".join(written))
    (folder / "prometheus.yml").write_text("{}\n")
    blocks = [programs / "promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "samples", folder / "data"]
    subprocess.run(blocks, check=True, capture_output=True, timeout=60)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            programs / "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{url}/-/ready", timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


def asked(prometheus: str, *windows: tuple[str, int, int]) -> list[str]:
    """What the backend's class says of tenants' windows."""
    words = [str(word) for window in windows for word in window]
    done = subprocess.run(
        [waldur_python(progress=Progress()), "-c", PROGRAM, prometheus, ALLOCATED, COVERAGE, *words],
        env=waldur_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_hours_are_exact_and_windows_that_follow_each_other_count_nothing_twice(prometheus: str) -> None:
    hours = asked(
        prometheus,
        ("tenant-a", START, START + HOUR),
        ("tenant-a", START + HOUR, START + 2 * HOUR),
        ("tenant-a", START, START + 2 * HOUR),
        ("tenant-b", START, START + 2 * HOUR),
        ("tenant-c", START, START + 2 * HOUR),
    )
    # Samples were written without the marks of a series' end: its last one is looked back at for five minutes.
    last = 5 / 60
    whole = [2.0, round(0.5 + last, 2), round(2.5 + last, 2), 8.0, 0.0]
    assert [float(one) for one in hours] == whole


def test_a_window_with_a_gap_has_no_hours_at_all(prometheus: str) -> None:
    (told,) = asked(prometheus, ("tenant-a", START, END))
    assert "the usage is withheld, not reported as less" in told
    assert "of 179 minutes" in told


def test_a_prometheus_that_is_not_there_has_no_hours() -> None:
    (told,) = asked("http://127.0.0.1:9", ("tenant-a", START, END))
    assert "does not answer" in told
