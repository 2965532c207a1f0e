"""The reporter between a stub of Waldur and a stub of Prometheus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from stub_prometheus import StubPrometheus, serving_prometheus
from stub_waldur import TOKEN, StubWaldur, serving

from waldur_site_agent_k3s.reporter import main


class Place:
    """What the reporter talks to, and its file."""

    def __init__(self, folder: Path, *, waldur: StubWaldur, prometheus: StubPrometheus) -> None:
        self.waldur, self.prometheus = waldur, prometheus
        offering = waldur.add("marketplace-provider-offerings", components=[{"type": "gpu_hours"}])
        for name in ("tenant-a", "tenant-b"):
            waldur.add(
                "marketplace-provider-resources",
                state="OK",
                backend_id=name,
                offering_uuid=offering["uuid"],
                created="2020-01-01T00:00:00+00:00",
            )
        (folder / "token").write_text(TOKEN)
        self.file = folder / "config.json"
        settings = {
            "api_url": f"{waldur.url}/api/",
            "token_file": str(folder / "token"),
            "offering_uuid": offering["uuid"],
            "prometheus_url": prometheus.url,
        }
        self.file.write_text(json.dumps(settings))

    def run(self) -> int:
        """Run it."""
        return main([str(self.file)])

    def usage(self) -> list[str]:
        """What is written."""
        return [one["usage"] for one in self.waldur.all("marketplace-component-usages")]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Two tenants."""
    with serving(StubWaldur()) as waldur, serving_prometheus(StubPrometheus()) as prometheus:
        yield Place(tmp_path, waldur=waldur, prometheus=prometheus)


def test_the_months_hours_of_every_tenant_are_written_and_replaced(place: Place) -> None:
    for minutes, hours in ((60, "1.00"), (150, "2.50"), (150, "2.50")):
        place.prometheus.gpu_minutes = minutes
        assert place.run() == 0
        assert place.usage() == [hours, hours]
    assert sum("set_usage" in one for one in place.waldur.requests) == 4


def test_hours_that_fall_or_are_unknown_are_not_written_and_the_run_fails(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.prometheus.gpu_minutes = 60
    assert place.run() == 0
    place.prometheus.gpu_minutes = 30
    assert place.run() == 1
    assert "less than Waldur's 1.00" in capsys.readouterr().err
    place.prometheus.gpu_minutes, place.prometheus.coverage = 120, 3
    assert place.run() == 1
    assert "the usage is withheld" in capsys.readouterr().err
    place.prometheus.status = 503
    assert place.run() == 1
    assert place.usage() == ["1.00", "1.00"]


def test_a_tenant_that_cannot_be_reported_does_not_keep_the_other_from_it(place: Place) -> None:
    place.prometheus.gpu_minutes = 60
    first = place.waldur.all("marketplace-provider-resources")[0]
    place.waldur.add(
        "marketplace-component-usages",
        resource_uuid=first["uuid"],
        type="gpu_hours",
        billing_period=place.waldur.now().strftime("%Y-%m-01"),
        usage="9.00",
    )
    assert place.run() == 1
    assert place.usage() == ["9.00", "1.00"]


def test_a_waldur_that_is_down_or_settings_that_are_wrong_are_told(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.waldur.broken = 502
    assert place.run() == 1
    assert "502" in capsys.readouterr().err
    place.file.write_text('{"api_url": "x", "tokens": 1}')
    assert place.run() == 1
    assert "tokens" in capsys.readouterr().err
