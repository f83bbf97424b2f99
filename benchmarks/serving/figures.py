"""From raw stretches to figures: percentiles of each, medians over all, ratios round by round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import Any

import numpy as np

from benchmarks.serving.cases import Case
from benchmarks.serving.stretches import Stretch

__all__ = ["Figures", "Results", "figures_of"]

_LEAST_REQUESTS = {50: 1, 90: 10, 99: 100, 99.9: 1000}
"""A percentile is told only where at least one latency lies beyond it."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one stretch, or the medians of several.

    Attributes:
        p50: latency, milliseconds; None where there were too few requests to tell.
        p90: likewise.
        p99: likewise.
        p999: likewise.
        per_second: requests.
        rows_per_second: observations.
        processor_ms: of the server's worker, per request.
        memory_mb: resident, of the worker.
        busy: share of its time in which the load generator was at work.
        requests: that were timed.
    """

    p50: float | None
    p90: float | None
    p99: float | None
    p999: float | None
    per_second: float | None
    rows_per_second: float | None
    processor_ms: float | None
    memory_mb: float | None
    busy: float | None
    requests: float | None


def figures_of(stretch: Stretch) -> Figures:
    """Of one stretch."""
    count, seconds = len(stretch.latencies), stretch.seconds
    speed = count / seconds if seconds else 0.0
    return Figures(
        p50=_percentile(stretch, 50),
        p90=_percentile(stretch, 90),
        p99=_percentile(stretch, 99),
        p999=_percentile(stretch, 99.9),
        per_second=speed,
        rows_per_second=speed * stretch.case.rows,
        processor_ms=1000 * stretch.processor_seconds / max(1, stretch.answered),
        memory_mb=stretch.memory_mb,
        busy=stretch.busy,
        requests=count,
    )


def _percentile(stretch: Stretch, share: float) -> float | None:
    if len(stretch.latencies) < _LEAST_REQUESTS[share]:
        return None
    return float(np.percentile(stretch.latencies, share)) / 1e6


Key = tuple[Case, str]


class Results:
    """All stretches of a run, by case and server, in the order of the rounds."""

    def __init__(self) -> None:
        self._figures: dict[Key, list[Figures]] = {}
        self.wrong: list[str] = []

    def add(self, stretch: Stretch) -> None:
        """One more round of a case on a server."""
        key = stretch.case, stretch.server
        self._figures.setdefault(key, []).append(figures_of(stretch))
        self.wrong += [f"{stretch.server}, {stretch.case.name}: {what}" for what in stretch.wrong]

    @property
    def keys(self) -> Sequence[Key]:
        """What there is."""
        return list(self._figures)

    def rounds(self, case: Case, server: str) -> Sequence[Figures]:
        """Each by itself; empty when it was not measured."""
        return self._figures.get((case, server), [])

    def median(self, case: Case, server: str) -> Figures | None:
        """Of each figure over the rounds; None when it was not measured."""
        rounds = self.rounds(case, server)
        return None if not rounds else Figures(**_by_field(_median, rounds))

    def ratio(self, of: Key, to: Key, field: str) -> float | None:
        """Median over the rounds of a figure there to a figure here."""
        pairs = zip(self.rounds(*of), self.rounds(*to), strict=False)
        return _median([_quotient(getattr(one, field), getattr(other, field))
                        for one, other in pairs])  # fmt: skip

    def to_json(self) -> list[dict[str, Any]]:
        """Everything, round by round."""
        return [
            {
                **asdict(case),
                "rows": case.rows,
                "server": server,
                "median": _by_field(_median, rounds),
                "ratio_to_fastapi": {
                    field.name: self.ratio((case, server), (case, "fastapi"), field.name)
                    for field in fields(Figures)
                },
                "rounds": [asdict(each) for each in rounds],
            }
            for (case, server), rounds in self._figures.items()
        ]


def _by_field(
    reduce: Callable[[Sequence[float | None]], float | None], rounds: Sequence[Figures]
) -> Mapping[str, float | None]:
    return {
        field.name: reduce([getattr(each, field.name) for each in rounds])
        for field in fields(Figures)
    }


def _median(values: Sequence[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return median(told) if told and len(told) == len(values) else None


def _quotient(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other
