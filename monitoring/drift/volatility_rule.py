"""Are returns larger than the past lets expect?

The size of a session so far is the mean of two logarithms, that of the mean absolute return and
the mean of those of each: the first follows the large returns, the second the ordinary ones. It
is predicted from the sizes of past sessions at the same time of day, as in the heterogeneous
autoregression of Corsi (2009): yesterday, the last 5 and the last 22 sessions, yesterday's whole
session and its last hour; a ridge regression towards weights that hold everywhere. The limit is
among the largest errors of that prediction over the past year; it is stricter early in a session,
when a few returns say little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitoring.drift.finding import Finding, Kind
from monitoring.drift.sessions import HOUR_ROWS

__all__ = ["LEAST_SESSIONS", "RETURN_SESSIONS", "SizedSession", "volatility_findings"]

RETURN_SESSIONS: Final = 272
"""Sessions whose returns are kept: a year to learn from, and 22 before its first."""

LEAST_SESSIONS: Final = 35
"""Fewer past sessions give no limit."""

_YEAR: Final = 250
_LAGS: Final = (1, 5, 22)
_PRIOR: Final = np.array([0.0, 0.4, 0.1, 0.2, 0.0])
_RIDGE: Final = 10.0
_LEAST_RETURNS: Final = 6
_FLOOR: Final = 0.07
"""Of the median absolute return: below that one tick is a matter of rounding."""

_ELAPSED: Final = (0.4, 0.6, 0.8, 1.0)
_EXCEEDED: Final = (0.0, 1.0, 2.0, 5.0)
"""How many of 250 past errors may be larger than the limit, by how much of the session is over."""

_NAME: Final = "log_return_5m"

Rows = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SizedSession:
    """Absolute five-minute returns of one session, without that of the night.

    Attributes:
        day: days since 1970-01-01.
        slots: which bar of the session each is, shape (n,).
        absolute: shape (n,).
    """

    day: int
    slots: NDArray[np.int64]
    absolute: Rows


def volatility_findings(
    today: SizedSession, past: Sequence[SizedSession], rows: int
) -> list[Finding]:
    """The five-minute returns, when they are larger than expected.

    Args:
        today: the session so far.
        past: sessions before it of a feed that moved, in order of time.
        rows: bars of a full session.
    """
    past = past[-RETURN_SESSIONS:]
    if len(past) < LEAST_SESSIONS or len(today.absolute) < _LEAST_RETURNS:
        return []
    now = int(today.slots[-1])
    floor = _FLOOR * float(np.median(np.concatenate([session.absolute for session in past])))
    if floor <= 0.0:
        return []
    so_far = np.array([_size(s.absolute[s.slots <= now], floor) for s in past])
    full = np.array([_size(s.absolute, floor) for s in past])
    last = np.array([_size(s.absolute[-HOUR_ROWS:], floor) for s in past])
    expected, errors = _predicted(so_far, full, last)
    size = _size(today.absolute, floor)
    limit = _limit(errors, (now + 1) / rows)
    if not size - expected > limit > 0.0:
        return []
    reason = (
        f"returns of this session are {np.exp(size - expected):.1f} times as large as expected; "
        f"up to {np.exp(limit):.1f} times is within what {len(errors)} past sessions showed"
    )
    return [Finding(Kind.VOLATILITY, _NAME, float((size - expected) / limit), reason)]


def _size(absolute: Rows, floor: float) -> float:
    if not len(absolute):
        return float("nan")
    ordinary = np.log(np.maximum(absolute, floor)).mean()
    return float((np.log(absolute.mean() + 0.05 * floor) + ordinary) / 2)


def _predicted(so_far: Rows, full: Rows, last: Rows) -> tuple[float, Rows]:
    """What today's size should be, and how far past ones were from their prediction."""
    lagged = np.column_stack([*(_lag(so_far, lag) for lag in _LAGS), _lag(full, 1), _lag(last, 1)])
    known, target = lagged[:-1], so_far
    good = np.isfinite(known).all(axis=1) & np.isfinite(target)
    known, target = known[good][-_YEAR:], target[good][-_YEAR:]
    centre, middle = known.mean(axis=0), float(np.median(target))
    z = known - centre
    normal = z.T @ z + _RIDGE * np.eye(z.shape[1])
    weights = np.linalg.solve(normal, z.T @ (target - middle) + _RIDGE * _PRIOR)
    errors = target - middle - z @ weights
    newest = np.where(np.isfinite(lagged[-1]), lagged[-1], centre)
    return float(middle + (newest - centre) @ weights), errors


def _lag(values: Rows, length: int) -> Rows:
    """Mean of the `length` values before each, and before the one to come; shape (n + 1,)."""
    total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values))])
    count = np.concatenate([[0], np.cumsum(np.isfinite(values))])
    lagged = np.full(len(values) + 1, np.nan)
    seen = count[length:] - count[:-length]
    with np.errstate(invalid="ignore", divide="ignore"):
        lagged[length:] = np.where(seen > 0, (total[length:] - total[:-length]) / seen, np.nan)
    return lagged


def _limit(errors: Rows, elapsed: float) -> float:
    exceeded = float(np.interp(elapsed, _ELAPSED, _EXCEEDED)) * len(errors) / _YEAR
    limit = float(np.quantile(errors, 1.0 - exceeded / (len(errors) + 1)))
    # The largest of few errors is exceeded often.
    share = min(len(errors) / _YEAR, 1.0)
    return limit * (1.0 + 0.5 * (1.0 - share) + 3.0 * (1.0 / len(errors) - 1.0 / _YEAR))
