"""All figures of a run as JSON values: what `summary.json` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np

from simulation.calibration import calibration
from simulation.daily import daily_table, date_text
from simulation.decision_counts import decision_counts
from simulation.limits_neared import limits_neared
from simulation.metrics import metrics
from simulation.run import Run
from simulation.times import local_text
from simulation.trade_metrics import trade_metrics

__all__ = ["summary"]


def summary(run: Run) -> dict[str, Any]:
    """Everything that a run came to; the keys are always these, in this order.

    ==============  =======================================================================
    `description`   what was replayed and how, as the run tells it
    `period`        `from`, `to` (dates), `days`, `bars`, `zone`, `capital_usd`
    `metrics`       `simulation.metrics.metrics`
    `trades`        `simulation.trade_metrics.trade_metrics`
    `decisions`     `simulation.decision_counts.decision_counts`
    `limits`        `simulation.limits_neared.limits_neared`
    `calibration`   `simulation.calibration.calibration`
    `episodes`      what kept entries out: `kind`, `since`, `until` (None: to the end)
    `daily`         `simulation.daily.daily_table`
    `expired`       approvals that could not be filled before the session ended
    `not_taken`     approvals that were released, since a position was held already
    `events`        on record
    `ledger_head`   hash of the newest; equal for runs that did the same
    ==============  =======================================================================

    Returns:
        JSON values; what is not a finite number is None.
    """
    told = {
        "description": run.description,
        "period": _period(run),
        "metrics": metrics(run),
        "trades": trade_metrics(run),
        "decisions": decision_counts(run),
        "limits": limits_neared(run),
        "calibration": calibration(run),
        "episodes": [
            {
                "kind": each.kind,
                "since": local_text(each.since, run.zone),
                "until": None if each.until is None else local_text(each.until, run.zone),
            }
            for each in run.episodes
        ],
        "daily": daily_table(run),
        "expired": run.expired,
        "not_taken": run.not_taken,
        "events": run.events,
        "ledger_head": run.ledger_head,
    }
    return {name: _plain(value) for name, value in told.items()}


def _period(run: Run) -> dict[str, Any]:
    return {
        "from": date_text(run.days[0]),
        "to": date_text(run.days[-1]),
        "days": len(np.unique(run.days)),
        "bars": len(run.times),
        "zone": run.zone,
        "capital_usd": run.capital_usd,
    }


def _plain(value: Any) -> Any:
    """The same as JSON values."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value
