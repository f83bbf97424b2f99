"""Features of the clock: local minute, weekday, progress of the session."""

from __future__ import annotations

import math
from datetime import UTC, datetime, time
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from config.settings import TradingHours

__all__ = ["clock_features", "in_session", "local_days", "local_seconds"]

DAY_SECONDS: Final = 86_400
QUARTER_SECONDS: Final = 900
FORTNIGHT_SECONDS: Final = 14 * DAY_SECONDS

# Looked up instead of computed: a table entry cannot depend on how many are asked for at once.
_SINES = np.array([math.sin(2 * math.pi * minute / 1440) for minute in range(1440)])
_COSINES = np.array([math.cos(2 * math.pi * minute / 1440) for minute in range(1440)])


def local_seconds(instants: NDArray[np.int64], zone: ZoneInfo) -> NDArray[np.int64]:
    """Seconds since 1970-01-01 00:00 on the local clock, shape as given, (n,) with n ≥ 1.

    The offset is looked up at both ends of a fortnight, since no zone has changed it there and
    back in less; where the ends differ, once per quarter of an hour, since no zone changes it more
    often.
    """
    earliest, latest = int(instants.min()), int(instants.max())
    if latest - earliest < FORTNIGHT_SECONDS:
        offset = _utc_offset(zone, earliest // QUARTER_SECONDS)
        if _utc_offset(zone, latest // QUARTER_SECONDS) == offset:
            return instants + offset
    fortnights, position = np.unique(instants // FORTNIGHT_SECONDS, return_inverse=True)
    first_quarters = fortnights * (FORTNIGHT_SECONDS // QUARTER_SECONDS)
    offsets = _utc_offsets(zone, first_quarters)
    last_offsets = _utc_offsets(zone, first_quarters + FORTNIGHT_SECONDS // QUARTER_SECONDS - 1)
    local = instants + offsets[position]
    changing = (offsets != last_offsets)[position]
    if changing.any():
        quarters, position = np.unique(instants[changing] // QUARTER_SECONDS, return_inverse=True)
        local[changing] = instants[changing] + _utc_offsets(zone, quarters)[position]
    return local


def local_days(instants: NDArray[np.int64], zone: ZoneInfo) -> NDArray[np.int64]:
    """Local dates as days since 1970-01-01, shape as given."""
    return local_seconds(instants, zone) // DAY_SECONDS


def clock_features(
    known_at: NDArray[np.int64], hours: TradingHours
) -> dict[str, NDArray[np.float64]]:
    """Features of the instant at which a bar is known.

    Args:
        known_at: seconds since 1970-01-01 UTC, shape (n,).
        hours: the session and its time zone.

    Returns:
        name → values, shape (n,) each.
    """
    local = local_seconds(known_at, hours.zone)
    second_of_day = local % DAY_SECONDS
    minute = second_of_day // 60
    start, end = _second_of_day(hours.start), _second_of_day(hours.end)
    progress = (second_of_day - start) / (end - start)
    return {
        "minute_sin": _SINES[minute],
        "minute_cos": _COSINES[minute],
        "weekday": _weekday(local // DAY_SECONDS).astype(np.float64),
        "session_progress": np.minimum(np.maximum(progress, 0.0), 1.0),
    }


def in_session(starts: NDArray[np.int64], hours: TradingHours) -> NDArray[np.bool_]:
    """Whether bars start within the hours, both ends inclusive, on a trading weekday."""
    local = local_seconds(starts, hours.zone)
    second_of_day = local % DAY_SECONDS
    inside = (second_of_day >= _second_of_day(hours.start)) & (
        second_of_day <= _second_of_day(hours.end)
    )
    return inside & np.isin(_weekday(local // DAY_SECONDS), hours.trading_days)


def _weekday(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Monday is 0; 1970-01-01 was a Thursday."""
    return (days + 3) % 7


def _second_of_day(clock: time) -> int:
    return clock.hour * 3600 + clock.minute * 60 + clock.second


def _utc_offsets(zone: ZoneInfo, quarters: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([_utc_offset(zone, int(quarter)) for quarter in quarters], dtype=np.int64)


@lru_cache(maxsize=4096)
def _utc_offset(zone: ZoneInfo, quarter: int) -> int:
    """Seconds to add to UTC in the given quarter of an hour since 1970."""
    offset = datetime.fromtimestamp(quarter * QUARTER_SECONDS, UTC).astimezone(zone).utcoffset()
    if offset is None:  # no ZoneInfo answers None for an aware instant
        raise AssertionError(f"{zone} has no offset")
    return int(offset.total_seconds())
