"""What happened, and how things stand, for Prometheus: an observer that counts for a scrape."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from monitoring import prometheus_metrics as counted
from monitoring.alerts.causes import Cause, severity_of
from monitoring.gauges import Reading
from monitoring.observer import (
    AlertAttempted,
    AlertTold,
    BarsReceived,
    BatchDecided,
    DecisionMade,
    DriftChecked,
    Observation,
    OperatorActed,
    ReportRecorded,
    ResultRecorded,
    WorkerStanding,
)
from monitoring.prometheus_metrics import late_counter, late_histogram, write_late
from monitoring.prometheus_text import standing_text, workers_text
from risk.state import CauseKind, OperatorMode
from risk.verdict import RiskStatus
from runners.ensemble import ENSEMBLE_NAME
from runners.signal import Signal

__all__ = ["PrometheusObserver"]

OTHER_MODEL = "other"
"""In place of a model's name: of one that is not loaded."""


class PrometheusObserver:
    """An observer that counts for a scrape. What it counts is of the process, not of the object.

    Args:
        models: names of those that are loaded. While the store is away a decision is told that
            nobody has judged, with the name that its caller asked for: any other is `other`.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, models: Iterable[str] = ()) -> None:
        self._models = frozenset({ENSEMBLE_NAME, *models})
        self._cache_hits = self._cache_misses = 0
        self._processor_seconds = 0.0

    def exposition(self, standing: Iterable[Reading]) -> bytes:
        """What all worker processes counted, and how things stand, in Prometheus's text format."""
        write_late()
        told = "".join(standing_text(standing)).encode()
        if not counted.is_multiprocess():
            return generate_latest(REGISTRY) + told
        folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        return "".join(workers_text(folder, time.time())).encode() + told

    def write(self, worker: WorkerStanding) -> None:
        """Let the scrapes of all workers see what this one counted, and how it stands."""
        write_late()
        hits, misses = worker.cache_hits, worker.cache_misses
        counted.CACHE_READS.labels("hit").inc(hits - self._cache_hits)
        counted.CACHE_READS.labels("miss").inc(misses - self._cache_misses)
        self._cache_hits, self._cache_misses = hits, misses
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = used.ru_utime + used.ru_stime
        counted.PROCESSOR_SECONDS.inc(seconds - self._processor_seconds)
        self._processor_seconds = seconds
        counted.WORKERS.set(1)
        counted.MEMORY.set(_memory_bytes())
        counted.CACHE_DEGRADED.set(worker.cache_degraded)
        counted.MARKET_DEGRADED.set(worker.market_degraded)
        counted.ALERTS_DEGRADED.set(worker.alerts_degraded)
        counted.APPEND_FAILING.set(worker.append_failing)

    def model_durations(self, name: str) -> Callable[[int], None]:
        """What is to be told the nanoseconds of each call of a model."""
        observe = late_histogram(counted.MODEL_SECONDS, name).observe
        return lambda nanoseconds: observe(nanoseconds / 1e9)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        late_counter(counted.HTTP_REQUESTS, route, str(status)).inc()
        late_histogram(counted.HTTP_SECONDS, route).observe(seconds)

    def observe(self, observation: Observation) -> None:
        """Count it."""
        match observation:
            case DecisionMade():
                model = observation.model_name
                _count_decision(observation, model if model in self._models else OTHER_MODEL)
            case BarsReceived(states=states):
                for state, count in states.items():
                    counted.BARS.labels(state).inc(count)
            case BatchDecided(rows=rows, seconds=seconds, fault=fault):
                counted.BATCH_FAULTS.inc(fault is not None)
                counted.BATCH_ROWS.inc(rows)
                counted.BATCH_SECONDS.observe(seconds)
            case ResultRecorded(duplicate=duplicate, trips=trips):
                counted.TRADE_RESULTS.labels(str(duplicate).lower()).inc()
                _count_trips(trips)
            case ReportRecorded(kind=kind, newest=newest, trips=trips):
                counted.REPORTS.labels(kind, str(newest).lower()).inc()
                _count_trips(trips)
            case OperatorActed(mode=mode):
                counted.OPERATOR_ACTS.labels(mode).inc()
            case DriftChecked() as check:
                counted.DRIFT_CHECKS.labels(check.state, check.report, check.trigger).inc()
                counted.DRIFT_SECONDS.observe(check.seconds)
            case AlertTold(kind="opened", cause=cause, severity=severity):
                counted.ALERTS.labels(cause, severity).inc()
            case AlertAttempted(outcome=outcome):
                counted.ALERT_DELIVERIES.labels(outcome).inc()
            case _:
                pass


# What is counted for the first time must have been 0 before, or its first increase is not seen.
for _cause in CauseKind:
    counted.BREAKER_TRIPS.labels(_cause.value)
for _mode in OperatorMode:
    counted.OPERATOR_ACTS.labels(_mode.value)
for _about in Cause:
    counted.ALERTS.labels(_about.value, severity_of(_about).value)
for _outcome in ("delivered", "failed", "given_up"):
    counted.ALERT_DELIVERIES.labels(_outcome)
for _truth in ("true", "false"):
    counted.TRADE_RESULTS.labels(_truth)
    counted.REPORTS.labels("position", _truth)
    counted.REPORTS.labels("mark", _truth)
for _status in (RiskStatus.SYSTEM_ERROR, RiskStatus.LEDGER_REGRESSED):
    counted.DECISIONS.labels(Signal.HOLD.value, _status.value, ENSEMBLE_NAME)


def _count_trips(trips: tuple[str, ...]) -> None:
    for cause in trips:
        counted.BREAKER_TRIPS.labels(cause).inc()


# Every label is one of a few words: models that are loaded, statuses of the gate, routes.
_whole = late_histogram(counted.DECISION_SECONDS)
_confidence = late_histogram(counted.CONFIDENCE)
_read, _judge, _append, _persist = (
    late_histogram(counted.STAGE_SECONDS, stage) for stage in ("read", "judge", "append", "persist")
)


def _count_decision(decision: DecisionMade, model: str) -> None:
    late_counter(counted.DECISIONS, decision.signal, decision.risk_status, model).inc()
    _whole.observe(decision.seconds)
    _confidence.observe(decision.confidence)
    read, judge, append, persist = decision.stages
    if append:
        _read.observe(read / 1e9)
        _judge.observe(judge / 1e9)
        _append.observe(append / 1e9)
    if persist:
        _persist.observe(persist / 1e9)
    if not decision.stored:
        counted.UNSTORED.inc()
    for kind, name in decision.vetoes:
        counted.VETOES.labels(kind, name).inc()


def _memory_bytes() -> int:
    """Resident now where the kernel says so, else the most that it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()
