"""Histories made of bars and of vectors, exactly as the live feed would have given them.

A history begins at the first bar that has a vector; the bars before it only warm up.
"""

from __future__ import annotations

from datetime import date
from itertools import repeat
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from config.settings import TradingHours
from errors import InvalidRequest
from features.bars import BarSeries, utc_text
from features.clock import local_days
from features.compute import WINDOW, FeatureSeries
from features.evidence import Evidence
from features.macro import MacroSeries, MacroValue
from features.macro_text import iso_date
from simulation.history import History

__all__ = ["between", "evidence_of_bars", "history_of_bars", "history_of_observations"]

_EPOCH: Final = date(1970, 1, 1)
_DAY_SECONDS: Final = 86_400
_NO_VECTOR: Final = -1


def history_of_bars(
    bars: BarSeries, macro: MacroSeries | None, vectors: FeatureSeries, hours: TradingHours
) -> History:
    """Bars with the vectors that were computed of them.

    A bar whose macro values were too old has no vector, as live would not have been ready.

    Args:
        bars: of the session, oldest first.
        macro: daily series; None where the vectors go without.
        vectors: of these bars, at least one; each of their times is that of a bar.
        hours: whose time zone has the dates.
    """
    positions = bars.starts.searchsorted(vectors.times)
    begin = int(positions[0])
    rows = np.full(len(bars) - begin, _NO_VECTOR)
    rows[positions - begin] = np.arange(len(positions))
    return History(
        starts=bars.starts[begin:],
        closes=bars.closes[begin:],
        rows=rows,
        matrix=vectors.matrix,
        evidence=evidence_of_bars(bars, positions, macro, hours.zone),
        fill_state=True,
    )


def history_of_observations(
    vectors: FeatureSeries, bars: BarSeries | None, hours: TradingHours, name: str
) -> History:
    """Vectors of a file, with the bars that prices come from.

    Without bars nothing can be filled: there are decisions and no trades, and since nobody knows
    what the vectors were made of, no evidence either. With bars the evidence is that of the bars;
    the macro values behind the vectors are not known.

    Args:
        vectors: what `read_features` gives.
        bars: of the session, oldest first; None where there are none.
        hours: whose time zone has the dates.
        name: what messages call the file of the vectors.

    Raises:
        InvalidRequest: a vector's time is that of no bar.
    """
    if bars is None:
        count = len(vectors.times)
        return History(
            starts=vectors.times,
            closes=np.full(count, np.nan),
            rows=np.arange(count),
            matrix=vectors.matrix,
            evidence=tuple(repeat(None, count)),
            fill_state=True,
        )
    without_bar = ~np.isin(vectors.times, bars.starts)
    if without_bar.any():
        row = int(np.argmax(without_bar))
        raise InvalidRequest(
            f"{name}, row {row + 1}: no bar starts at {utc_text(vectors.times[row])} "
            f"({int(without_bar.sum())} of {len(without_bar)} vectors have none); give the bars "
            "that the vectors were built from, and the same session"
        )
    return history_of_bars(bars, None, vectors, hours)


def between(history: History, first: date | None, last: date | None, zone: ZoneInfo) -> History:
    """The bars of some days.

    Args:
        history: to choose from.
        first: local date from which on bars count, inclusive; None for all from the first.
        last: local date of the last bars that count, inclusive; None for all to the last.
        zone: whose dates these are.

    Raises:
        InvalidRequest: there is no bar on these days, or none with a vector.
    """
    if first is not None and last is not None and first > last:
        raise InvalidRequest(f"--from {first} is after --to {last}; exchange them")
    days = local_days(history.starts, zone)
    begin = 0 if first is None else int(days.searchsorted(_day(first)))
    end = len(days) if last is None else int(days.searchsorted(_day(last), side="right"))
    rows = history.rows[begin:end]
    known = rows[rows != _NO_VECTOR]
    if not len(known):
        lacks = "has a vector" if begin < end else "is there"
        raise InvalidRequest(
            f"from {first or 'the first day'} to {last or 'the last day'} no bar {lacks}; the "
            f"history spans {iso_date(int(days[0]))} to {iso_date(int(days[-1]))}: choose days "
            "within it"
        )
    lowest, highest = int(known.min()), int(known.max()) + 1
    return History(
        starts=history.starts[begin:end],
        closes=history.closes[begin:end],
        rows=np.where(rows == _NO_VECTOR, _NO_VECTOR, rows - lowest),
        matrix=history.matrix[lowest:highest],
        evidence=history.evidence[lowest:highest],
        fill_state=history.fill_state,
    )


def evidence_of_bars(
    bars: BarSeries, chosen: NDArray[np.int64], macro: MacroSeries | None, zone: ZoneInfo
) -> tuple[Evidence, ...]:
    """What `evidence_of` says of some bars and the `WINDOW` - 1 before each, for all at once.

    Args:
        bars: oldest first, n of them.
        chosen: indices of bars, shape (m,), m ≥ 1.
        macro: daily series; None where the vectors go without.
        zone: whose dates macro values are known by.

    Returns:
        One for each chosen bar.
    """
    starts, closes = bars.starts[chosen], bars.closes[chosen]
    oldest = bars.starts[np.maximum(chosen - (WINDOW - 1), 0)]
    columns = zip(
        starts.tolist(),
        closes.tolist(),
        np.minimum(_run_lengths(bars.closes)[chosen], WINDOW).tolist(),
        ((starts - oldest) / _DAY_SECONDS).tolist(),
        _known_macro(macro, local_days(starts, zone)),
        strict=True,
    )
    return tuple(Evidence(*values) for values in columns)


def _run_lengths(closes: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many closes up to each are equal to it, itself included, shape (n,)."""
    number = np.arange(len(closes))
    changed = np.concatenate([[True], closes[1:] != closes[:-1]])
    lengths: NDArray[np.int64] = number - np.maximum.accumulate(np.where(changed, number, 0)) + 1
    return lengths


def _known_macro(macro: MacroSeries | None, days: NDArray[np.int64]) -> list[dict[str, MacroValue]]:
    """The macro values known on each day; those of one day are one dictionary."""
    if macro is None:
        return [{} for _ in days]
    distinct, position = np.unique(days, return_inverse=True)
    known = [macro.known_before(day) for day in distinct.tolist()]
    return [known[place] for place in position.tolist()]


def _day(day: date) -> int:
    return (day - _EPOCH).days
