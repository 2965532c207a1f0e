"""GPU-hours of a namespace from Prometheus. Where data is missing there is no number, and never zero."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

_STEP_SECONDS = 60
_SHORTEST_WINDOW_SECONDS = 180
"""Shorter ones have no minute that must be covered: the rules are evaluated once a minute, with a delay."""
_TIMEOUT_SECONDS = 30.0


class UsageUnknownError(Exception):
    """The hours cannot be told; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class GpuHours:
    """Asks a Prometheus that has the recording rules of `GpuAccounting`.

    Attributes:
        url: Prometheus's, without `/api/v1`.
        coverage_series: recorded series that is 1 while kube-state-metrics is seen.
        coverage_minimum: share of the window's minutes that must be covered.
    """

    url: str
    coverage_series: str
    coverage_minimum: float

    def in_window(self, series: str, *, namespace: str, start: datetime, end: datetime) -> float:
        """GPU-hours held between two times, to 0.01.

        Args:
            series: recorded series of GPUs held, by namespace.
            namespace: the tenant's.
            start, end: the window.

        Raises:
            UsageUnknownError: Prometheus does not answer, or has too little data of the window.
        """
        seconds = int((end - start).total_seconds())
        if seconds < _SHORTEST_WINDOW_SECONDS:
            raise UsageUnknownError(f"{namespace}: the window of {seconds} s is too short to be measured yet")
        # One second less: a sample at the very start belongs to the window before.
        window = f"[{seconds - 1}s:{_STEP_SECONDS}s]"
        self._see_coverage(namespace, window=window, seconds=seconds, end=end)
        minutes = self._value(f'sum_over_time({series}{{namespace="{namespace}"}}{window})', end=end)
        return round((minutes or 0.0) * _STEP_SECONDS / 3600, 2)

    def reachable(self) -> bool:
        """Whether Prometheus answers."""
        try:
            self._value("vector(1)", end=datetime.now(UTC))
        except UsageUnknownError:
            return False
        return True

    def _see_coverage(self, namespace: str, *, window: str, seconds: int, end: datetime) -> None:
        covered = self._value(f"count_over_time({self.coverage_series}{window})", end=end) or 0.0
        # The newest minute may not be evaluated yet.
        expected = seconds // _STEP_SECONDS - 1
        if covered < self.coverage_minimum * expected:
            raise UsageUnknownError(
                f"{namespace}: Prometheus {self.url} has {covered:.0f} of {expected} minutes of {self.coverage_series} "
                f"before {end.isoformat()}, less than {self.coverage_minimum:.0%}: the usage is withheld, not reported "
                "as less. Fix: see whether Prometheus and kube-state-metrics run; if the gap is to be forgiven, lower "
                "coverage_minimum until the month's end"
            )

    def _value(self, query: str, *, end: datetime) -> float | None:
        try:
            answer = httpx.post(
                f"{self.url.rstrip('/')}/api/v1/query",
                data={"query": query, "time": f"{end.timestamp():.3f}"},
                timeout=_TIMEOUT_SECONDS,
            )
            body: Any = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise UsageUnknownError(f"Prometheus {self.url} does not answer: {error}") from error
        if not isinstance(body, dict) or body.get("status") != "success":
            told = body.get("error") if isinstance(body, dict) else answer.text[:200]
            raise UsageUnknownError(f"Prometheus {self.url} refused {query}: {told}")
        found = body["data"]["result"]
        if not found:
            return None
        if len(found) > 1:
            raise UsageUnknownError(f"Prometheus {self.url}: {query} gives {len(found)} series instead of one")
        value = float(found[0]["value"][1])
        if not math.isfinite(value) or value < 0:
            raise UsageUnknownError(f"Prometheus {self.url}: {query} gives {value}")
        return value
