"""What became of the decisions of a run: by status, by hour, and which rule refused how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from features.clock import DAY_SECONDS, local_seconds
from risk.verdict import RiskStatus
from simulation.run import Run

__all__ = ["decision_counts"]

_ORDER: Final = {status.value: place for place, status in enumerate(RiskStatus)}
_VETOES: Final = (RiskStatus.STALE_DATA.value, RiskStatus.OUT_OF_DISTRIBUTION.value)
_TRADES: Final = ("BUY", "SELL")


def decision_counts(run: Run) -> dict[str, Any]:
    """Counts and shares of all decisions, JSON values; shares are None without a decision.

    `by_status` and `refused_by` are in the order in which the gate lists its statuses. A veto is
    a decision that was refused for its vector (STALE_DATA, OUT_OF_DISTRIBUTION), whatever the
    models said. `refused_by` counts only decisions in which they said BUY or SELL; its shares are
    of these. `by_hour` goes by the local time of the decision.
    """
    decisions = run.decisions
    statuses = [str(status) for status in decisions["risk_status"]]
    asked = [
        status
        for status, signal in zip(statuses, decisions["raw_signal"], strict=True)
        if signal in _TRADES
    ]
    approved = np.asarray(decisions["approved"], dtype=bool)
    exits = int(np.sum(approved & np.asarray(decisions["reduces"], dtype=bool)))
    total = len(statuses)
    return {
        "count": total,
        "buy_or_sell": len(asked),
        "approved": int(approved.sum()),
        "approved_entries": int(approved.sum()) - exits,
        "approved_exits": exits,
        "probes": int(np.sum(approved & np.asarray(decisions["probe"], dtype=bool))),
        "veto_rate": _share(sum(status in _VETOES for status in statuses), total),
        "by_status": _counted(statuses, total),
        "refused_by": _counted(
            (status for status in asked if status != RiskStatus.APPROVED.value), len(asked)
        ),
        "by_hour": _by_hour(run, statuses),
    }


def _by_hour(run: Run, statuses: list[str]) -> list[dict[str, Any]]:
    """One entry for each hour of the local day in which there was a decision, 0 to 23."""
    if not statuses:
        return []
    instants = np.asarray(run.decisions["decided_at"], dtype="datetime64[s]").astype(np.int64)
    hours = local_seconds(instants, ZoneInfo(run.zone)) % DAY_SECONDS // 3_600
    counts: dict[int, Counter[str]] = {}
    for hour, status in zip(hours.tolist(), statuses, strict=True):
        counts.setdefault(hour, Counter())[status] += 1
    return [
        {
            "hour": hour,
            "count": counts[hour].total(),
            "share": counts[hour].total() / len(statuses),
            "by_status": _in_order(counts[hour]),
        }
        for hour in sorted(counts)
    ]


def _counted(statuses: Iterable[str], total: int) -> dict[str, dict[str, Any]]:
    return {
        status: {"count": count, "share": _share(count, total)}
        for status, count in _in_order(Counter(statuses)).items()
    }


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    return {status: counts[status] for status in sorted(counts, key=_place)}


def _place(status: str) -> tuple[int, str]:
    return _ORDER.get(status, len(_ORDER)), status


def _share(count: int, of: int) -> float | None:
    return count / of if of else None
