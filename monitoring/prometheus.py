"""What happened, as Prometheus metrics. The only file that imports prometheus_client.

The metrics stand at module level; what each worker process counts is in files of one folder,
which the library opens when a metric is made, so that any worker can add them up.
"""

import os
from functools import cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

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
)

__all__ = ["PrometheusObserver"]

_process = os.getpid()


def _note_process() -> None:
    global _process  # noqa: PLW0603 - there is one of it
    _process = os.getpid()


if values.ValueClass is not values.MutexValue:
    # Each of a dozen counts of a request asks which process this is, and the kernel takes three
    # microseconds to say so. It changes with a fork only, which is noticed here.
    os.register_at_fork(after_in_child=_note_process)
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: _process)  # type: ignore[no-untyped-call]

_SECONDS = (0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

DECISIONS = Counter(
    "usdcop_decisions_total",
    "Decisions answered",
    ["signal", "risk_status", "model_name"],
)
DECISION_SECONDS = Histogram(
    "usdcop_decision_seconds", "From a checked request to its stored answer", buckets=_SECONDS
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
    "usdcop_drift_checks_total", "Drift checks that this service made", ["state", "report"]
)
DRIFT_SHARE = Gauge(
    "usdcop_drift_share",
    "Share of drifted features in the newest check that this service made",
    multiprocess_mode="mostrecent",
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


class PrometheusObserver:
    """An observer that counts for a scrape."""

    content_type = CONTENT_TYPE_LATEST

    def exposition(self) -> bytes:
        """What all worker processes counted, in Prometheus's text format."""
        if values.ValueClass is values.MutexValue:
            return generate_latest(REGISTRY)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        _requests(route, status).inc()
        _request_seconds(route).observe(seconds)

    def observe(self, observation: Observation) -> None:
        """Count it."""
        match observation:
            case DecisionMade():
                _count_decision(observation)
            case BarsReceived(states=states):
                for state, count in states.items():
                    BARS.labels(state).inc(count)
            case BatchDecided(rows=rows, seconds=seconds, fault=fault):
                BATCH_FAULTS.inc(fault is not None)
                BATCH_ROWS.inc(rows)
                BATCH_SECONDS.observe(seconds)
            case ResultRecorded(duplicate=duplicate, trips=trips):
                TRADE_RESULTS.labels(str(duplicate).lower()).inc()
                _count_trips(trips)
            case ReportRecorded(kind=kind, newest=newest, trips=trips):
                REPORTS.labels(kind, str(newest).lower()).inc()
                _count_trips(trips)
            case OperatorActed(mode=mode):
                OPERATOR_ACTS.labels(mode).inc()
            case DriftChecked():
                _count_check(observation)
            case AlertTold(kind="opened", cause=cause, severity=severity):
                ALERTS.labels(cause, severity).inc()
            case AlertAttempted(outcome=outcome):
                ALERT_DELIVERIES.labels(outcome).inc()
            case _:
                pass


def _count_trips(trips: tuple[str, ...]) -> None:
    for cause in trips:
        BREAKER_TRIPS.labels(cause).inc()


def _count_check(check: DriftChecked) -> None:
    DRIFT_CHECKS.labels(check.state, check.report).inc()
    DRIFT_SECONDS.observe(check.seconds)
    if check.share is not None:
        DRIFT_SHARE.set(check.share)


# Every label is one of a few words: models that are loaded, statuses of the gate, routes.
_decisions = cache(DECISIONS.labels)
_requests, _request_seconds = cache(HTTP_REQUESTS.labels), cache(HTTP_SECONDS.labels)


def _count_decision(decision: DecisionMade) -> None:
    _decisions(decision.signal, decision.risk_status, decision.model_name).inc()
    DECISION_SECONDS.observe(decision.seconds)
    CONFIDENCE.observe(decision.confidence)
    if not decision.stored:
        UNSTORED.inc()
    for kind, name in decision.vetoes:
        VETOES.labels(kind, name).inc()
