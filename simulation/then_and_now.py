"""Decisions as they were, beside what they come out as now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from simulation.recorded import AsItWas
from simulation.run import Run

__all__ = ["then_and_now"]

_MICROSECONDS = 1_000_000


def then_and_now(run: Run, as_it_was: Mapping[int, AsItWas]) -> dict[str, Any]:
    """Count what has changed.

    Args:
        run: of a history made of these decisions.
        as_it_was: start of a bar to the answer that was given then.

    Returns:
        JSON values: `approved` with `then`, `now` and `both`; `signals_changed`, how many raw
        signals differ; and `changes`, how often a status became another, most frequent first.
    """
    starts = np.asarray(run.decisions["bar_at"]).astype(np.int64) // _MICROSECONDS
    approved: Counter[str] = Counter()
    changes: Counter[tuple[str, str]] = Counter()
    signals_changed = 0
    for row, start in enumerate(starts.tolist()):
        then, now = as_it_was[start], bool(run.decisions["approved"][row])
        approved["then"] += then.approved
        approved["now"] += now
        approved["both"] += then.approved and now
        signals_changed += then.raw_signal != run.decisions["raw_signal"][row]
        status = run.decisions["risk_status"][row]
        if status != then.risk_status:
            changes[then.risk_status, status] += 1
    return {
        "approved": {name: approved[name] for name in ("then", "now", "both")},
        "signals_changed": signals_changed,
        "changes": [
            {"then": then, "now": now, "decisions": count}
            for (then, now), count in sorted(changes.items(), key=lambda item: (-item[1], item[0]))
        ],
    }
