"""Counts and latencies of one worker, for the JSON metrics."""

from collections import Counter, deque
from threading import Lock
from typing import Any

import numpy as np

from monitoring.observer import (
    BarsReceived,
    BatchDecided,
    DecisionMade,
    Observation,
    OperatorActed,
    ReportRecorded,
    ResultRecorded,
)

__all__ = ["Statistics"]

_WINDOW = 4096


class Statistics:
    """An observer that remembers. Thread-safe; latencies are of the last 4,096 decisions."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._signals: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._models: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._offenders: Counter[str] = Counter()
        self._bars: Counter[str] = Counter()
        self._seconds: deque[float] = deque(maxlen=_WINDOW)

    def observe(self, observation: Observation) -> None:
        """Count it."""
        with self._lock:
            match observation:
                case DecisionMade():
                    self._count_decision(observation)
                case BarsReceived(states=states):
                    self._bars.update(states)
                case BatchDecided(rows=rows, fault=fault):
                    self._totals["batches"] += 1
                    self._totals["batch_faults"] += fault is not None
                    self._totals["batch_rows"] += rows
                case ResultRecorded(duplicate=duplicate, trips=trips):
                    self._totals["duplicate_results" if duplicate else "trade_results"] += 1
                    self._totals["breaker_trips"] += len(trips)
                case ReportRecorded(kind=kind, trips=trips):
                    self._totals[f"{kind}_reports"] += 1
                    self._totals["breaker_trips"] += len(trips)
                case OperatorActed():
                    self._totals["operator_acts"] += 1

    def snapshot(self) -> dict[str, Any]:
        """What was counted, as JSON values."""
        with self._lock:
            totals, seconds = self._totals.copy(), list(self._seconds)
            by = {
                "by_signal": dict(self._signals),
                "by_risk_status": dict(self._statuses),
                "by_model": dict(self._models),
            }
            offenders, bars = dict(self._offenders.most_common()), dict(self._bars)
        return {
            "decisions": {
                "total": totals["decisions"],
                "approved": totals["approved"],
                "dry_runs": totals["dry_runs"],
                "not_stored": totals["not_stored"],
                **by,
            },
            "vetoes": {
                "total": totals["vetoed"],
                "rate": totals["vetoed"] / totals["decisions"] if totals["decisions"] else 0.0,
                "by_name": offenders,
            },
            "bars": bars,
            "batches": {
                "total": totals["batches"],
                "rows": totals["batch_rows"],
                "faults": totals["batch_faults"],
            },
            "trade_results": {
                "total": totals["trade_results"],
                "duplicates": totals["duplicate_results"],
            },
            "reports": {
                "positions": totals["position_reports"],
                "marks": totals["mark_reports"],
            },
            "operator_acts": totals["operator_acts"],
            "breaker_trips": totals["breaker_trips"],
            "latency_ms": _percentiles(seconds),
        }

    def _count_decision(self, decision: DecisionMade) -> None:
        self._signals[decision.signal] += 1
        self._statuses[decision.risk_status] += 1
        self._models[decision.model_name] += 1
        self._totals["decisions"] += 1
        self._totals["approved"] += decision.approved
        self._totals["dry_runs"] += decision.dry_run
        self._totals["not_stored"] += not decision.stored
        self._seconds.append(decision.seconds)
        if decision.vetoes:
            self._totals["vetoed"] += 1
            self._offenders.update(name for _, name in decision.vetoes)


def _percentiles(seconds: list[float]) -> dict[str, float | int | None]:
    if not seconds:
        return {"count": 0, "p50": None, "p99": None}
    p50, p99 = (np.percentile(seconds, (50, 99)) * 1000).tolist()
    return {"count": len(seconds), "p50": p50, "p99": p99}
