"""Real vectors with something wrong: macro values, prices, a feed that stands still, columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from config.settings import CalendarSettings, TradingHours
from features.bars import BarSeries
from features.clock import local_days
from features.compute import SHIPPED_HOURS, WINDOW, FeatureSeries, compute_vector
from features.evidence import Evidence, evidence_of
from features.macro import DailySeries, MacroSeries
from features.vetoes import FROZEN_CLOSES
from risk.calendar import SessionCalendar

__all__ = [
    "BAD_BARS",
    "LEVELS",
    "Judged",
    "frozen",
    "macro_value_off",
    "off_by_a_hundred",
    "other_price",
    "other_window",
    "whole_macro_off",
]

BAD_BARS = (
    *(f"2022-06-01T13:{minute:02}:00Z" for minute in range(0, 35, 5)),
    "2024-01-22T17:40:00Z",
    "2024-01-22T17:45:00Z",
)
"""Known bad ticks: a stale open, and two closes 2% off."""

LEVELS = (1.08, 18.6, 85.0, 950.0, 2400.0, 60_000.0)
"""Prices of other instruments: EUR/USD, USD/MXN, oil, USD/CLP, gold, bitcoin."""

Case = tuple[NDArray[np.float32], Evidence]


@dataclass(frozen=True, eq=False)
class Judged:
    """Vectors that are judged, with what they were made of.

    Attributes:
        bars: all bars.
        macro: the daily series.
        series: the vectors.
        rows: which bar each vector belongs to, shape (n,).
    """

    bars: BarSeries
    macro: MacroSeries
    series: FeatureSeries
    rows: NDArray[np.int64]

    def only(self, chosen: NDArray[np.bool_] | slice) -> Judged:
        """Some of them."""
        series = self.series
        kept = FeatureSeries(series.times[chosen], series.known_at[chosen], series.matrix[chosen])
        return replace(self, series=kept, rows=self.rows[chosen])

    def cases(self) -> Iterator[Case]:
        """The vectors as they are, with their evidence."""
        for number, row in enumerate(self.rows.tolist()):
            closes, starts = self.window(row)
            yield self.series.matrix[number], self.evidence(closes, starts, self.macro)

    def window(self, row: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Closes and starts that the vector of a bar reads; the closes may be written."""
        chosen = slice(row + 1 - WINDOW, row + 1)
        return self.bars.closes[chosen].copy(), self.bars.starts[chosen]

    def evidence(
        self, closes: NDArray[np.float64], starts: NDArray[np.int64], macro: MacroSeries
    ) -> Evidence:
        """What is known of a vector of these closes."""
        return evidence_of(closes, starts, macro, _day(starts))

    def changed(
        self, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    ) -> Iterator[Case]:
        """Vectors computed anew from changed closes."""
        for row in self.rows.tolist():
            closes, starts = self.window(row)
            closes = change(closes)
            vector = compute_vector(closes, starts, self.macro)
            yield vector, self.evidence(closes, starts, self.macro)

    def equal_closes(self) -> NDArray[np.int64]:
        """How many of the newest closes of each vector are equal, shape (n,)."""
        different = np.flatnonzero(np.diff(self.bars.closes) != 0) + 1
        begins = np.concatenate([[0], different])
        last = begins[np.searchsorted(begins, self.rows, side="right") - 1]
        return np.asarray(self.rows - last + 1, dtype=np.int64)

    def in_session(self) -> NDArray[np.bool_]:
        """Which of them are of a day with a session, shape (n,)."""
        calendar = SessionCalendar(TradingHours(), CalendarSettings())
        days = local_days(self.series.times, SHIPPED_HOURS.zone)
        distinct, position = np.unique(days, return_inverse=True)
        mornings = [
            datetime(1970, 1, 1, 9, tzinfo=SHIPPED_HOURS.zone) + timedelta(days=int(day))
            for day in distinct
        ]
        has_session = [calendar.status(morning).closure is None for morning in mornings]
        return np.array(has_session)[position]

    def bad(self, bars: int) -> NDArray[np.bool_]:
        """Which of them have a known bad tick among so many of their newest bars, shape (n,)."""
        at = [np.datetime64(text.rstrip("Z"), "s").astype(np.int64) for text in BAD_BARS]
        known = np.isin(self.bars.starts, at).cumsum()
        before = np.concatenate([[0], known])
        return np.asarray(known[self.rows] - before[np.maximum(self.rows + 1 - bars, 0)] > 0)


def macro_value_off(judged: Judged, name: str, factor: float) -> Iterator[Case]:
    """The newest known value of one macro series times a factor."""
    yield from _with_macro(judged, name, lambda values: np.append(values[:-1], factor * values[-1]))


def whole_macro_off(judged: Judged, name: str, factor: float) -> Iterator[Case]:
    """Every value of one macro series times a factor."""
    yield from _with_macro(judged, name, lambda values: factor * values)


def other_price(judged: Judged, level: float) -> Iterator[Case]:
    """The newest close is that of another instrument."""
    return judged.changed(lambda closes: np.append(closes[:-1], level))


def other_window(judged: Judged, level: float) -> Iterator[Case]:
    """Every close is that of another instrument, which moves as this one does."""
    return judged.changed(lambda closes: closes * (level / closes[-1]))


def frozen(judged: Judged, closes: int) -> Iterator[Case]:
    """The feed has stood still for so many closes."""
    if closes < FROZEN_CLOSES:
        raise ValueError(f"{closes} equal closes are no frozen feed")
    return judged.changed(lambda real: np.append(real[:-closes], np.full(closes, real[-closes])))


def off_by_a_hundred(
    judged: Judged, column: int, known: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """One feature times 100.

    Returns:
        The vectors, and for which of them that leaves the range of the known vectors.
    """
    matrix = judged.series.matrix.copy()
    matrix[:, column] *= 100
    least, greatest = known[:, column].min(), known[:, column].max()
    return matrix, (matrix[:, column] < least) | (matrix[:, column] > greatest)


def _with_macro(
    judged: Judged, name: str, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> Iterator[Case]:
    """Vectors computed anew from the values of a series that are known on their day."""
    series = judged.macro.columns[name]
    for row in judged.rows.tolist():
        closes, starts = judged.window(row)
        end = int(series.days.searchsorted(_day(starts)))
        wrong = DailySeries(series.days[:end], change(series.values[:end]))
        macro = MacroSeries({**judged.macro.columns, name: wrong})
        yield compute_vector(closes, starts, macro), judged.evidence(closes, starts, macro)


def _day(starts: NDArray[np.int64]) -> int:
    return int(local_days(starts[-1:], SHIPPED_HOURS.zone)[0])
