"""What is counted, as Prometheus metrics, and how it is written where all workers can add it up.

The metrics stand at module level; what each worker process counts is in files of one folder,
which the library opens when a metric is made. Writing there takes two microseconds for a series,
and a request moves a dozen of them. So what every decision moves is counted in memory first, and
written once a second, and before each scrape that this worker answers.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, values

__all__ = [
    "SUMMED_OVER_WORKERS",
    "LateCounter",
    "LateHistogram",
    "is_multiprocess",
    "late_counter",
    "late_histogram",
    "write_late",
]

_process = os.getpid()


def is_multiprocess() -> bool:
    """Whether several processes count into one folder."""
    return values.ValueClass is not values.MutexValue


def _note_process() -> None:
    global _process  # noqa: PLW0603 - there is one of it
    _process = os.getpid()


if is_multiprocess():
    # Each count asks which process this is, and the kernel takes three microseconds to say so. It
    # changes with a fork only, which is noticed here.
    os.register_at_fork(after_in_child=_note_process)
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: _process)  # type: ignore[no-untyped-call]

_SECONDS = (0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_SHORT_SECONDS = (0.000025, 0.00005, 0.0001, *_SECONDS)

DECISIONS = Counter(
    "usdcop_decisions_total",
    "Decisions answered",
    ["signal", "risk_status", "model_name"],
)
DECISION_SECONDS = Histogram(
    "usdcop_decision_seconds", "From a checked request to its stored answer", buckets=_SECONDS
)
STAGE_SECONDS = Histogram(
    "usdcop_decision_stage_seconds",
    "A stage of a decision: read (models and vetoes), judge (gate, size, answer), append, persist",
    ["stage"],
    buckets=_SHORT_SECONDS,
)
MODEL_SECONDS = Histogram(
    "usdcop_model_seconds", "One model on one observation", ["model_name"], buckets=_SHORT_SECONDS
)
CONFIDENCE = Histogram(
    "usdcop_decision_confidence",
    "Confidence of the raw signal",
    buckets=(0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
)
VETOES = Counter(
    "usdcop_vetoes_total",
    "Observations that were stale or outside of what the models know, by each offender",
    ["kind", "name"],
)
BARS = Counter("usdcop_bars_total", "Bars received, by what became of them", ["state"])
UNSTORED = Counter("usdcop_decisions_not_stored_total", "Decisions that are not on record")
BATCH_ROWS = Counter("usdcop_batch_rows_total", "Rows of batches answered")
BATCH_FAULTS = Counter(
    "usdcop_batch_faults_total", "Batches of which every row was answered HOLD for a fault"
)
BATCH_SECONDS = Histogram(
    "usdcop_batch_seconds", "From a checked batch to its stored answer", buckets=_SECONDS
)
TRADE_RESULTS = Counter("usdcop_trade_results_total", "Trade results answered", ["duplicate"])
REPORTS = Counter("usdcop_reports_total", "Positions and marks answered", ["kind", "newest"])
OPERATOR_ACTS = Counter("usdcop_operator_acts_total", "Halts and resumptions", ["mode"])
BREAKER_TRIPS = Counter("usdcop_breaker_trips_total", "Causes that opened the breaker", ["cause"])

ALERTS = Counter(
    "usdcop_alerts_total", "Episodes that somebody is told of, by cause", ["cause", "severity"]
)
ALERT_DELIVERIES = Counter(
    "usdcop_alert_deliveries_total", "Attempts to deliver an alert", ["outcome"]
)

DRIFT_CHECKS = Counter(
    "usdcop_drift_checks_total",
    "Drift checks that this service made",
    ["state", "report", "trigger"],
)
DRIFT_SECONDS = Histogram(
    "usdcop_drift_check_seconds",
    "A drift check from its beginning to its end, report included",
    buckets=(0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0),
)

HTTP_REQUESTS = Counter(
    "usdcop_http_requests_total", "Requests answered, by route and status", ["route", "status"]
)
HTTP_SECONDS = Histogram(
    "usdcop_http_request_seconds",
    "From a request's head to the end of its answer",
    ["route"],
    buckets=(*_SECONDS, 2.5, 5.0),
)

CACHE_READS = Counter("usdcop_cache_reads_total", "Reads of the feature cache", ["outcome"])
PROCESSOR_SECONDS = Counter(
    "usdcop_processor_seconds_total", "Processor time of the workers, user and system"
)

# Of each worker, by itself and once a second; of one that is gone nothing is told.
_OF_WORKERS: Final = "mostrecent"
WORKERS = Gauge("usdcop_workers", "Workers that are alive", multiprocess_mode=_OF_WORKERS)
MEMORY = Gauge(
    "usdcop_memory_bytes", "Resident memory of the workers", multiprocess_mode=_OF_WORKERS
)
CACHE_DEGRADED = Gauge(
    "usdcop_cache_degraded",
    "1 while a worker keeps vectors for itself, without their store",
    multiprocess_mode=_OF_WORKERS,
)
MARKET_DEGRADED = Gauge(
    "usdcop_market_degraded",
    "1 while a worker keeps bars and macro values for itself, without their store",
    multiprocess_mode=_OF_WORKERS,
)
ALERTS_DEGRADED = Gauge(
    "usdcop_alerts_degraded",
    "1 while a worker cannot keep alerts in their store",
    multiprocess_mode=_OF_WORKERS,
)
APPEND_FAILING = Gauge(
    "usdcop_ledger_append_failing",
    "1 while the newest append of a worker to the ledger failed",
    multiprocess_mode=_OF_WORKERS,
)

SUMMED_OVER_WORKERS: Final = frozenset({"usdcop_workers", "usdcop_memory_bytes"})
"""Gauges that are added up; of the others the highest counts."""


class LateCounter:
    """Counts of one series that are written later. Thread-safe."""

    __slots__ = ("_child", "_lock", "_pending")

    def __init__(self, child: Counter) -> None:
        self._child, self._pending, self._lock = child, 0, Lock()

    def inc(self) -> None:
        """Count one."""
        with self._lock:
            self._pending += 1

    def write(self) -> None:
        """Write what was counted since the last time."""
        with self._lock:
            pending, self._pending = self._pending, 0
        if pending:
            self._child.inc(pending)


class LateHistogram:
    """Values of one series that are written later. Thread-safe."""

    __slots__ = ("_bounds", "_child", "_counts", "_lock", "_sum")

    def __init__(self, child: Histogram, bounds: Sequence[float]) -> None:
        self._child, self._bounds, self._lock = child, tuple(bounds), Lock()
        self._counts, self._sum = [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        place = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[place] += 1
            self._sum += value

    def write(self) -> None:
        """Write what was counted since the last time."""
        with self._lock:
            if not any(self._counts):
                return
            counts, self._counts = self._counts, [0] * len(self._counts)
            total, self._sum = self._sum, 0.0
        # The library has no call for several values at once.
        for bucket, count in zip(self._child._buckets, counts, strict=True):  # noqa: SLF001
            if count:
                bucket.inc(count)
        self._child._sum.inc(total)  # noqa: SLF001


_late: list[LateCounter | LateHistogram] = []


@cache
def late_counter(counter: Counter, *labels: str) -> LateCounter:
    """The series of these labels, which are of a few words: it is kept for good."""
    made = LateCounter(counter.labels(*labels) if labels else counter)
    _late.append(made)
    return made


@cache
def late_histogram(histogram: Histogram, *labels: str) -> LateHistogram:
    """The series of these labels, as above."""
    child = histogram.labels(*labels) if labels else histogram
    made = LateHistogram(child, histogram._upper_bounds[:-1])  # noqa: SLF001
    _late.append(made)
    return made


def write_late() -> None:
    """Write what was counted and is not written yet."""
    for series in tuple(_late):
        series.write()
