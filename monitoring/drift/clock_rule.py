"""Clock features must be what the time of their bar says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from config.settings import TradingHours
from features.bars import BAR_SECONDS
from features.clock import clock_features
from monitoring.drift.finding import Finding, Kind
from monitoring.drift.sessions import HOUR_ROWS, Session

__all__ = ["CLOCK_NAMES", "clock_findings"]

CLOCK_NAMES: Final = ("minute_sin", "minute_cos", "weekday", "session_progress")

_TOLERANCE: Final = 1e-5
"""float32 rounds the sine of a minute by 3e-8."""
_SHARE: Final = 0.5


def clock_findings(today: Session, names: Sequence[str], hours: TradingHours) -> list[Finding]:
    """Clock features that are wrong in most rows of the last hour."""
    newest = slice(max(len(today) - HOUR_ROWS, 0), None)
    timed = today.timed[newest]
    if not timed.any():
        return []
    starts, matrix = today.starts[newest][timed], today.matrix[newest][timed]
    expected = clock_features(starts + BAR_SECONDS, hours)
    found = []
    for name in CLOCK_NAMES:
        if name not in names:
            continue
        values = matrix[:, names.index(name)]
        wrong = np.abs(values - expected[name]) > _TOLERANCE
        if wrong.mean() >= _SHARE:
            row = int(np.argmax(wrong))
            off = float(np.abs(values - expected[name]).max() / _TOLERANCE)
            reason = f"it is {values[row]:.6g} where the time says {expected[name][row]:.6g}"
            found.append(Finding(Kind.CLOCK, name, off, reason))
    return found
