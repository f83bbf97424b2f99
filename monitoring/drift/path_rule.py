"""Features of the closes, rebuilt from the five-minute returns on record and compared.

All of them are functions of the path of closes, and that path is, but for its level, the sum of
the five-minute returns. Where rows follow each other without a bar missing between them, every
feature can be rebuilt and must be the one on record. The returns themselves are held against the
returns over longer horizons first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from config.settings import TradingHours
from features.bars import BAR_SECONDS, BarSeries
from features.compute import WINDOW, compute_series
from features.schema import USDCOP_M5
from monitoring.drift.finding import Finding, Kind
from monitoring.drift.sessions import HOUR_ROWS, Session

__all__ = ["PATH_NAMES", "PATH_ROWS", "Path", "path_findings"]

PATH_ROWS: Final = WINDOW + HOUR_ROWS
"""Rows before today's that a rebuilt path reads."""

_RETURN: Final = "log_return_5m"
_HORIZONS: Final = {
    "log_return_15m": 3,
    "log_return_30m": 6,
    "log_return_1h": 12,
    "log_return_2h": 24,
    "log_return_4h": 48,
    "log_return_1d": 60,
}
_LOOKBACK: Final = {
    feature.name: feature.lookback
    for feature in USDCOP_M5.features
    if feature.source.startswith("close")
}
PATH_NAMES: Final = frozenset(_LOOKBACK)
"""Features that are functions of the path of closes."""

_LEVEL: Final = 4_000.0  # features do not depend on it
_LEAST_ROWS: Final = 3
_SHARE: Final = 0.25
_RETURN_SHARE: Final = 0.8
_RELATIVE: Final = 1e-4
_OF_TYPICAL: Final = 2e-3
_SUM_ERROR: Final = 1e-6
_FARTHEST: Final = 1e6

Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Path:
    """Rows of the last days and of today, one after the other.

    Attributes:
        starts: of the bars, shape (n,).
        matrix: vectors, shape (n, m).
        today: how many of them are today's.
    """

    starts: NDArray[np.int64]
    matrix: Rows
    today: int

    @classmethod
    def of(cls, past: Sequence[Session], today: Session) -> Path:
        """The newest `PATH_ROWS` of the past, and today's."""
        kept: list[Session] = []
        rows = 0
        for session in reversed(past):
            if rows >= PATH_ROWS:
                break
            kept.insert(0, session)
            rows += len(session)
        sessions = [*kept, today]
        skip = max(rows - PATH_ROWS, 0)
        return cls(
            np.concatenate([session.starts for session in sessions])[skip:],
            np.concatenate([session.matrix for session in sessions])[skip:],
            len(today),
        )


def path_findings(
    path: Path, names: Sequence[str], hours: TradingHours, typical: Rows
) -> tuple[list[Finding], frozenset[str]]:
    """Close features of the last hour that are not what the returns make them.

    Args:
        path: rows of the last days and of today.
        names: of the columns.
        hours: the session.
        typical: standard deviation of each column within a session, shape (m,).

    Returns:
        The findings, and the columns that could be judged.
    """
    if _RETURN not in names:
        return [], frozenset()
    columns = dict(zip(names, path.matrix.T, strict=True))
    horizons = _horizons(columns)
    wrong = _wrong_returns(path, horizons)
    if wrong is not None:
        return [wrong], frozenset({_RETURN})
    run = _contiguous(path, horizons, columns[_RETURN])
    rebuilt = _rebuilt(path, columns[_RETURN], hours)
    newest = slice(-min(path.today, HOUR_ROWS), None)
    found, judged = [], {_RETURN} if horizons else set()
    for column, name in enumerate(names):
        if name not in _LOOKBACK or name == _RETURN:
            continue
        checkable = run[newest] >= _LOOKBACK[name]
        if checkable.sum() < min(_LEAST_ROWS, path.today):
            continue
        judged.add(name)
        values, expected = path.matrix[newest, column][checkable], rebuilt[name][newest][checkable]
        allowed = _RELATIVE * np.abs(expected) + _OF_TYPICAL * typical[column] + 1e-12
        off = np.abs(values - expected) / allowed
        wrong = off > 1.0
        # One row is a veto's to judge; and a fault does not show where the true value is zero.
        if wrong.sum() >= min(_LEAST_ROWS, len(wrong)) and wrong.mean() >= _SHARE:
            row = int(np.argmax(off))
            reason = f"it is {values[row]:.6g} where the returns make it {expected[row]:.6g}"
            score = min(float(np.median(off[wrong])), _FARTHEST)
            found.append(Finding(Kind.PATH, name, score, reason))
    return found, frozenset(judged)


def _horizons(columns: Mapping[str, Rows]) -> dict[int, Flags]:
    """By number of bars: in which rows the longer return is the sum of the short ones."""
    total = np.concatenate([[0.0], np.cumsum(columns[_RETURN])])
    held = {}
    for name, bars in _HORIZONS.items():
        if name in columns and len(total) > bars:
            agrees = np.zeros(len(total) - 1, dtype=bool)
            sums = total[bars:] - total[:-bars]
            allowed = _SUM_ERROR + _RELATIVE * np.abs(sums)
            agrees[bars - 1 :] = np.abs(sums - columns[name][bars - 1 :]) <= allowed
            held[bars] = agrees
    return held


def _wrong_returns(path: Path, horizons: Mapping[int, Flags]) -> Finding | None:
    """The five-minute returns, when no longer return is their sum although no bar is missing."""
    judged = wrong = 0
    rows = range(len(path.starts) - min(path.today, HOUR_ROWS), len(path.starts))
    for row in rows:
        within = [
            agrees[row]
            for bars, agrees in horizons.items()
            if row >= bars and path.starts[row] - path.starts[row - bars] == bars * BAR_SECONDS
        ]
        if len(within) > 1:
            judged += 1
            wrong += not any(within)
    if judged < _LEAST_ROWS or wrong < _RETURN_SHARE * judged:
        return None
    reason = f"the returns over 15 minutes and longer are not its sums in {wrong} of {judged} rows"
    return Finding(Kind.PATH, _RETURN, _FARTHEST, reason)


def _contiguous(path: Path, horizons: Mapping[int, Flags], returns: Rows) -> NDArray[np.int64]:
    """How many rows, each one included, follow each other without a bar missing; shape (n,).

    Wherever a longer return is the sum of the short ones, no bar is missing among its own. With
    one missing the sum begins a row too early: that shows unless that row's return is zero.
    """
    proven = np.zeros(len(path.starts) + 1, dtype=np.int64)
    for bars, agrees in horizons.items():
        last = np.flatnonzero(agrees)
        last = last[returns[last - bars + 1] != 0.0]
        # The first of its rows has its return from the close before.
        np.add.at(proven, last - bars + 2, 1)
        np.add.at(proven, last + 1, -1)
    follows = np.cumsum(proven[:-1]) > 0
    if not horizons:
        follows = np.diff(path.starts, prepend=path.starts[0]) == BAR_SECONDS
    position = np.arange(len(follows))
    return position - np.maximum.accumulate(np.where(follows, -1, position)) + 1


def _rebuilt(path: Path, returns: Rows, hours: TradingHours) -> dict[str, Rows]:
    """Close features of every row, as its returns make them: name → shape (n,)."""
    missing = WINDOW - 1
    before = path.starts[0] - BAR_SECONDS * np.arange(missing, 0, -1)
    level = np.cumsum(np.clip(np.concatenate([np.zeros(missing), returns]), -0.5, 0.5))
    closes = np.clip(_LEVEL * np.exp(np.clip(level, -15.0, 15.0)), 1e-3, 1e10)
    bars = BarSeries(np.concatenate([before, path.starts]), closes)
    series = compute_series(bars, None, hours=hours)
    return dict(zip(USDCOP_M5.names, series.matrix.astype(np.float64).T, strict=True))
