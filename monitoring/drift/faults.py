"""Faults that a drift check should find, put into a session of which nothing is wrong.

Each is there in every row. A fault of one or two columns changes the vectors only; one of the
closes or of a macro series is put into what the vectors are made of, and they are computed anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from config.settings import TradingHours
from features.bars import BarSeries
from features.compute import WINDOW, compute_series
from features.macro import MACRO_FEATURES, DailySeries, MacroSeries, macro_features
from monitoring.drift.check import Past
from monitoring.drift.sessions import Session

__all__ = ["Market", "scaled_column", "scaled_series", "scaled_volatility", "shifted", "swapped"]


@dataclass(frozen=True, eq=False)
class Market:
    """What sessions are made of.

    Attributes:
        bars: all of them.
        macro: None where the vectors go without.
        hours: of the session.
        names: of the columns.
    """

    bars: BarSeries
    macro: MacroSeries | None
    hours: TradingHours
    names: tuple[str, ...]


def scaled_column(session: Session, column: int, factor: float) -> Session:
    """One feature times a factor; 0 zeroes it."""
    matrix = session.matrix.copy()
    matrix[:, column] *= factor
    return replace(session, matrix=_float32(matrix))


def swapped(session: Session, first: int, second: int) -> Session:
    """Two features in each other's place."""
    matrix = session.matrix.copy()
    matrix[:, [first, second]] = matrix[:, [second, first]]
    return replace(session, matrix=matrix)


def shifted(session: Session, past: Past) -> Session:
    """Every feature one standard deviation of the reference up."""
    spread = np.concatenate([one.matrix for one in past.reference]).std(axis=0)
    return replace(session, matrix=_float32(session.matrix + spread))


def scaled_volatility(session: Session, market: Market, factor: float) -> Session:
    """Every return of the session times a factor, but that of the night; 0 freezes the feed."""
    last = int(np.searchsorted(market.bars.starts, session.starts[-1]))
    first = int(np.searchsorted(market.bars.starts, session.starts[0]))
    begin = max(first - WINDOW - len(session), 0)
    closes = market.bars.closes[begin : last + 1].copy()
    opened = first - begin if factor else first - begin - 1
    path = np.log(closes[opened:])
    closes[opened:] = np.exp(path[0] + factor * (path - path[0]))
    bars = BarSeries(market.bars.starts[begin : last + 1], closes)
    series = compute_series(bars, None, hours=market.hours)
    matrix = session.matrix.copy()
    computed = series.matrix[np.isin(series.times, session.starts)].astype(np.float64)
    kept = [k for k, name in enumerate(market.names) if name not in MACRO_FEATURES]
    matrix[:, kept] = computed[:, kept]
    return replace(session, matrix=matrix)


def scaled_series(session: Session, market: Market, name: str, factor: float) -> Session:
    """The newest known value of a macro series times a factor.

    Raises:
        ValueError: the vectors go without macro values.
    """
    if market.macro is None:
        raise ValueError("there are no macro values to scale")
    series = market.macro.columns[name]
    newest = int(series.days.searchsorted(session.day)) - 1
    values = series.values.copy()
    values[newest] *= factor
    changed = MacroSeries({**market.macro.columns, name: DailySeries(series.days, values)})
    matrix = session.matrix.copy()
    computed = macro_features(changed, session.day)
    for feature, value in zip(MACRO_FEATURES, computed, strict=True):
        matrix[:, market.names.index(feature)] = value
    return replace(session, matrix=_float32(matrix), macro=changed.known_before(session.day))


def _float32(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """As it would be on record."""
    return matrix.astype(np.float32).astype(np.float64)
