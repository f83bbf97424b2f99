"""Dates and values of macro series as they are stored: [ISO date, value] pairs."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final

from errors import InvalidRequest
from features.macro_limits import MacroSpec

__all__ = ["iso_date", "pairs_of", "values_of"]

_EPOCH: Final = date(1970, 1, 1)


@lru_cache(maxsize=4_096)
def iso_date(day: int) -> str:
    """Write days since 1970-01-01 as an ISO 8601 date.

    >>> iso_date(20514)
    '2026-03-02'
    """
    return (_EPOCH + timedelta(days=day)).isoformat()


def pairs_of(by_day: Mapping[int, float]) -> list[list[str | float]]:
    """Values by days since 1970-01-01 as pairs, in the order given.

    >>> pairs_of({20514: 18.6})
    [['2026-03-02', 18.6]]
    """
    return [[iso_date(day), value] for day, value in by_day.items()]


def values_of(spec: MacroSpec, pairs: object) -> dict[int, float]:
    """Values by days since 1970-01-01 from what `pairs_of` gave, the same to the bit.

    Raises:
        InvalidRequest: it is not that, or not in order of the dates.
    """
    if not isinstance(pairs, list):
        raise InvalidRequest(f"stored macro values of {spec.name} are no list")
    read = [_from_pair(spec, pair) for pair in pairs]
    if any(later <= earlier for (earlier, _), (later, _) in pairwise(read)):
        raise InvalidRequest(f"stored macro values of {spec.name} are not in order of their dates")
    return dict(read)


def _from_pair(spec: MacroSpec, pair: object) -> tuple[int, float]:
    if isinstance(pair, list) and len(pair) == 2:
        day, value = _day(pair[0]), _number(pair[1])
        if day is not None and spec.accepts(value):
            return day, value
    raise InvalidRequest(
        f"stored macro values of {spec.name} hold {pair!r}; each must be an ISO date and a "
        f"number, {spec.wanted}"
    )


def _day(text: object) -> int | None:
    try:
        day = date.fromisoformat(str(text))
    except ValueError:
        return None
    # Of the ways to write a date that Python reads, one.
    return (day - _EPOCH).days if day.isoformat() == text else None


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value) if abs(value) <= sys.float_info.max else math.inf
