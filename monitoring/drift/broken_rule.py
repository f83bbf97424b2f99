"""Columns that no formula describes: constant, zero, or far outside of anything they ever were."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from monitoring.drift.finding import Finding, Kind
from monitoring.drift.sessions import HOUR_ROWS, Session

__all__ = ["broken_findings"]

_LEAST_ROWS: Final = 6
_LEAST_SESSIONS: Final = 10
_TIMES: Final = 3.0
"""How many times the width of the past range the middle of an hour may lie beyond it."""
_FARTHEST: Final = 1e6

Rows = NDArray[np.float64]


def broken_findings(
    today: Session,
    past: Sequence[Session],
    names: Sequence[str],
    left_out: Collection[str],
    may_stand_still: Collection[str],
) -> list[Finding]:
    """Columns of the last hour that look broken.

    Args:
        today: the session so far.
        past: sessions before it.
        names: of the columns.
        left_out: columns that another rule judges, by what they are made of.
        may_stand_still: columns that are constant where the feed hardly moves, and rightly so.
    """
    rows = today.matrix[-HOUR_ROWS:]
    if len(rows) < _LEAST_ROWS or len(past) < _LEAST_SESSIONS:
        return []
    found = []
    for column, name in enumerate(names):
        if name not in left_out:
            before = [session.matrix[:, column] for session in past]
            finding = _far(name, rows[:, column], np.concatenate(before))
            if finding is None and name not in may_stand_still:
                finding = _constant(name, rows[:, column], before)
            found += [] if finding is None else [finding]
    return found


def _constant(name: str, values: Rows, before: Sequence[Rows]) -> Finding | None:
    """It stands still for the hour, and never did for so many rows."""
    if np.ptp(values) > 0.0 or any(_stood_still(session, len(values)) for session in before):
        return None
    reason = f"it is {values[0]:.6g} in all {len(values)} rows; it never stood still before"
    return Finding(Kind.BROKEN, name, float(len(values)), reason)


def _stood_still(values: Rows, rows: int) -> bool:
    if len(values) < rows:
        return bool(np.ptp(values) == 0.0)
    return bool((np.ptp(sliding_window_view(values, rows), axis=-1) == 0.0).any())


def _far(name: str, values: Rows, before: Rows) -> Finding | None:
    low, high = float(before.min()), float(before.max())
    middle = float(np.median(values))
    beyond = max(low - middle, middle - high)
    allowed = _TIMES * (high - low)
    if allowed <= 0.0 or beyond <= allowed:
        return None
    reason = (
        f"its middle value is {middle:.6g}; {len(before):,} rows before had {low:.6g} to {high:.6g}"
    )
    return Finding(Kind.BROKEN, name, min(beyond / allowed, _FARTHEST), reason)
