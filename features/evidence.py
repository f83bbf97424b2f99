"""What a vector was made of, as far as vetoes judge it and records explain it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from errors import InvalidRequest
from features.bars import utc_text
from features.macro import MacroSeries, MacroValue
from features.macro_text import iso_date

__all__ = ["Evidence", "evidence_of"]

_EPOCH: Final = date(1970, 1, 1)
_DAY_SECONDS: Final = 86_400
_FIELDS: Final = {"bar", "close", "equal_closes", "window_days", "macro"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The inputs behind one vector that features alone do not show: levels, repetition, gaps.

    Attributes:
        bar: start of the newest bar, seconds since 1970-01-01 UTC.
        close: of that bar.
        equal_closes: how many of the newest closes are equal, that one included.
        window_days: from the oldest bar that was read to the newest, in days.
        macro: series name to the value it had; empty where the vector goes without.
    """

    bar: int
    close: float
    equal_closes: int
    window_days: float
    macro: Mapping[str, MacroValue] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it goes on record."""
        return {
            "bar": utc_text(self.bar),
            "close": self.close,
            "equal_closes": self.equal_closes,
            "window_days": self.window_days,
            "macro": {
                name: {"date": iso_date(known.day), "value": known.value}
                for name, known in self.macro.items()
            },
        }

    @classmethod
    def from_json(cls, document: object) -> Evidence:
        """Read what `to_json` wrote; every value comes back to the bit.

        Raises:
            InvalidRequest: it is not that.
        """
        if not isinstance(document, Mapping) or set(document) != _FIELDS:
            raise InvalidRequest(f"stored evidence needs these and no others: {sorted(_FIELDS)}")
        bar, close = _bar(document["bar"]), _number(document["close"])
        equal, macro = document["equal_closes"], document["macro"]
        window = _number(document["window_days"])
        if bar is None or close is None or window is None or type(equal) is not int or equal < 1:
            raise InvalidRequest(
                f"stored evidence has bar {document['bar']!r}, close {document['close']!r}, equal "
                f"closes {equal!r} and window days {document['window_days']!r}; they must be a "
                "time in UTC, a finite number, a count and a finite number"
            )
        if not isinstance(macro, Mapping):
            raise InvalidRequest(f"stored evidence has no macro values by name: {macro!r}")
        known = {name: _macro_value(name, macro[name]) for name in macro}
        return cls(bar, close, equal, window, known)


def evidence_of(
    closes: NDArray[np.float64], starts: NDArray[np.int64], macro: MacroSeries | None, day: int
) -> Evidence:
    """Evidence of the vector of the newest bar.

    Args:
        closes: oldest first, shape (n,), n ≥ 1.
        starts: of these bars, shape (n,).
        macro: daily series; values dated `day` or later are not looked at.
        day: local date of the newest bar, days since 1970-01-01.
    """
    different = np.flatnonzero(closes != closes[-1])
    equal = len(closes) - 1 - int(different[-1]) if len(different) else len(closes)
    known = {} if macro is None else macro.known_before(day)
    days = float(starts[-1] - starts[0]) / _DAY_SECONDS
    return Evidence(int(starts[-1]), float(closes[-1]), equal, days, known)


def _bar(text: object) -> int | None:
    try:
        bar = int(datetime.fromisoformat(str(text)).timestamp())
        # Of the ways to write a time that Python reads, one.
        return bar if utc_text(bar) == text else None
    except (ValueError, OverflowError):
        return None


def _day(text: object) -> int | None:
    try:
        day = (date.fromisoformat(str(text)) - _EPOCH).days
    except ValueError:
        return None
    return day if iso_date(day) == text else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _macro_value(name: object, known: object) -> MacroValue:
    if isinstance(name, str) and isinstance(known, Mapping) and set(known) == {"date", "value"}:
        day, value = _day(known["date"]), _number(known["value"])
        if day is not None and value is not None:
            return MacroValue(day, value)
    raise InvalidRequest(
        f"stored evidence of {name!r} is {known!r}; it must be an ISO `date` and a finite `value`"
    )
