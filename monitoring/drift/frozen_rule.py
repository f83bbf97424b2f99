"""A feed that stands still: every five-minute return of the last hour is exactly zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from monitoring.drift.finding import Finding, Kind
from monitoring.drift.sessions import HOUR_ROWS, Session

__all__ = ["frozen_findings"]

_LEAST_ROWS: Final = 6
_NAME: Final = "log_return_5m"
_LONGER: Final = "log_return_15m"
_LONGER_BARS: Final = 3


def frozen_findings(today: Session, names: Sequence[str]) -> list[Finding]:
    """The five-minute return, when the last hour has no other than zero.

    While longer returns move, it is that feature which is wrong, and not the feed.
    """
    returns = today.returns(names)
    if returns is None:
        return []
    # The first return of the day is that of the night; it says nothing about the hour.
    hour = returns[1:][-(HOUR_ROWS - 1) :]
    if len(hour) < _LEAST_ROWS or np.any(hour != 0.0):
        return []
    if _LONGER in names:
        longer = today.matrix[-(len(hour) - _LONGER_BARS + 1) :, names.index(_LONGER)]
        if np.any(longer != 0.0):
            return []
    reason = f"the last {len(hour) + 1} closes are equal: the feed is frozen"
    return [Finding(Kind.FROZEN, _NAME, float(len(hour)), reason)]
