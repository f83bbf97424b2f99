"""Vectors by session: what a check looks at, and what it is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from config.settings import TradingHours
from features.bars import BAR_SECONDS
from features.clock import local_seconds
from features.macro import MacroValue

__all__ = ["HOUR_ROWS", "MOVING_ZEROS", "Session", "session_rows", "slots"]

HOUR_ROWS: Final = 3_600 // BAR_SECONDS
"""Bars of an hour."""

MOVING_ZEROS: Final = 0.25
"""Share of returns that are exactly 0 from which on a session says nothing about volatility."""

_DAY_SECONDS: Final = 86_400
_RETURN: Final = "log_return_5m"

Rows = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Session:
    """The vectors of one local date, one per bar, in order of time.

    Attributes:
        day: the date, days since 1970-01-01.
        starts: starts of the bars, seconds since 1970-01-01 UTC, shape (n,), n ≥ 1.
        matrix: vectors, float64, shape (n, m).
        timed: which rows have a time that is known and not only when somebody asked, shape (n,).
        macro: the macro values behind the newest row that has any; empty without.
        revised: whether macro values changed from one row to the next.
        ordinary: a trading day with most of its rows, as far as it has come.
    """

    day: int
    starts: NDArray[np.int64]
    matrix: Rows
    timed: NDArray[np.bool_]
    macro: Mapping[str, MacroValue] = field(default_factory=dict)
    revised: bool = False
    ordinary: bool = True

    def __len__(self) -> int:
        return len(self.starts)

    def until(self, known_at: int) -> Session:
        """The rows whose bars were known then; there may be none."""
        rows = int(np.searchsorted(self.starts + BAR_SECONDS, known_at, side="right"))
        if rows == len(self):
            return self
        return replace(
            self,
            starts=self.starts[:rows],
            matrix=self.matrix[:rows],
            timed=self.timed[:rows],
        )

    def returns(self, names: Sequence[str]) -> Rows | None:
        """Five-minute returns, shape (n,); None when the vectors do not have them."""
        return self.matrix[:, names.index(_RETURN)] if _RETURN in names else None

    def moves(self, names: Sequence[str]) -> bool:
        """Whether its returns are of a feed that moves."""
        returns = self.returns(names)
        if returns is None or len(returns) < 2:
            return True
        # The first return is that of the night.
        return bool(np.mean(returns[1:] == 0.0) < MOVING_ZEROS)


def slots(starts: NDArray[np.int64], hours: TradingHours) -> NDArray[np.int64]:
    """Which bar of the session each is, counted from the session's start; shape as given."""
    opened = hours.start.hour * 3600 + hours.start.minute * 60
    return (local_seconds(starts, hours.zone) % _DAY_SECONDS - opened) // BAR_SECONDS


def session_rows(hours: TradingHours) -> int:
    """How many bars a full session has.

    >>> session_rows(TradingHours())
    60
    """
    start, end = (at.hour * 3600 + at.minute * 60 for at in (hours.start, hours.end))
    return (end - start) // BAR_SECONDS + 1
