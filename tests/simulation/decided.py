"""Decisions as a run holds them, made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from features.bars import BAR_SECONDS
from simulation.run import DECISION_COLUMNS, decision_columns

LATENCY_US: Final = 500_000


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows as `Run.decisions` holds them."""
    return decision_columns({name: [row[name] for row in rows] for name in DECISION_COLUMNS})


def a_decision(known_at: int, close: float, **changes: Any) -> dict[str, Any]:
    """One row: a HOLD half a second after its bar was known, seconds since 1970-01-01 UTC."""
    confidence = changes.get("confidence", 0.6)
    raw = changes.get("raw_signal", "HOLD")
    rest = (1 - confidence) / 2
    return {
        "decision_id": f"decision-{known_at}",
        "decided_at": known_at * 1_000_000 + LATENCY_US,
        "bar_at": (known_at - BAR_SECONDS) * 1_000_000,
        "close": close,
        "raw_signal": raw,
        "signal": "HOLD",
        "confidence": confidence,
        "risk_status": "HOLD_SIGNAL",
        "approved": False,
        "reduces": False,
        "probe": False,
        "size": np.nan,
        "position": 0.0,
        "sell": confidence if raw == "SELL" else rest,
        "hold": confidence if raw == "HOLD" else rest,
        "buy": confidence if raw == "BUY" else rest,
        "reasons": "the models say HOLD",
        **changes,
    }
