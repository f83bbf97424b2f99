"""Sessions made of bars and macro values, as those on record are made of decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from config.settings import TradingHours
from features.clock import local_days
from features.compute import FeatureSeries
from features.macro import MacroSeries, MacroValue
from features.schema import Schema
from monitoring.drift.recorded import Recorded, Row
from monitoring.drift.sessions import Session, session_rows

__all__ = ["LEAST_SHARE", "is_ordinary", "market_sample", "market_sessions"]

LEAST_SHARE: Final = 0.8
"""Of a session's bars: a day with fewer is no ordinary session."""

_SAMPLED_DAYS: Final = 330
"""Local dates that a sample is made of: more than the sessions whose returns it keeps."""


def market_sessions(
    series: FeatureSeries,
    macro: MacroSeries | None,
    hours: TradingHours,
    has_session: Callable[[int], bool],
) -> list[Session]:
    """The sessions of a market, in order of time.

    Args:
        series: vectors of its bars.
        macro: what they were made of; None if they went without.
        hours: the session and its time zone.
        has_session: whether a date (days since 1970-01-01) is a trading day.
    """
    days = local_days(series.times, hours.zone)
    first = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    sessions = []
    for begin, end in zip(first.tolist(), [*first[1:].tolist(), len(days)], strict=True):
        day = int(days[begin])
        known: Mapping[str, MacroValue] = {} if macro is None else macro.known_before(day)
        sessions.append(
            Session(
                day=day,
                starts=series.times[begin:end],
                matrix=series.matrix[begin:end].astype(np.float64),
                timed=np.ones(end - begin, dtype=bool),
                macro=known,
                ordinary=is_ordinary(end - begin, hours) and has_session(day),
            )
        )
    return sessions


def is_ordinary(rows: int, hours: TradingHours) -> bool:
    """Whether so many bars are most of a session."""
    return rows >= LEAST_SHARE * session_rows(hours)


def market_sample(
    series: FeatureSeries,
    macro: MacroSeries | None,
    schema: Schema,
    hours: TradingHours,
    has_session: Callable[[int], bool],
) -> Recorded:
    """What a check needs of a market: rows of its last days, and returns of its last year.

    Args:
        series: vectors of its bars.
        macro: what they were made of; None if they went without.
        schema: of the vectors.
        hours: the session and its time zone.
        has_session: whether a date (days since 1970-01-01) is a trading day.
    """
    days = local_days(series.times, hours.zone)
    kept = days >= np.unique(days)[-_SAMPLED_DAYS:][0]
    values = {} if macro is None else {day: macro.known_before(day) for day in set(days.tolist())}
    rows = [
        Row(start, vector, timed=True, signal=-1, macro=values.get(day, {}))
        for start, vector, day in zip(
            series.times[kept].tolist(), series.matrix[kept], days[kept].tolist(), strict=True
        )
    ]
    sample = Recorded.empty(schema.hash, len(schema.names)).with_rows(rows, hours)
    trading = frozenset(day for day in sample.days(hours) if has_session(day))
    return sample.trimmed(schema.names, hours, trading)
