"""Macro features and the values behind them: constant for a day, never far from the day before.

========== ===================================================================================
moving     a feature changes within a session although no value behind it did
exact      it is not what the values on record make it: the spread of yields, and the changes of
           one quote against that of the weekday before
zero       it is exactly 0: a fault in a z-score or a spread; in a change only a repeated quote
           is, as after a day without a session
jump       it is farther from yesterday's, or from 0, than any of the past was, times `JUMP`
value      a value behind it is likely to be wrong: a lost decimal point (`features.macro_screen`)
========== ===================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from errors import InvalidRequest
from features.macro import MACRO_COLUMNS, DailySeries, MacroSeries, MacroValue
from features.macro_screen import suspects
from monitoring.drift.finding import Finding, Kind
from monitoring.drift.sessions import HOUR_ROWS, Session

__all__ = ["MACRO_NAMES", "macro_findings"]

LEVELS: Final = {"dxy_z": "dxy", "vix_z": "vix", "embi_z": "embi_col"}
CHANGES: Final = {"dxy_change_1d": "dxy", "brent_change_1d": "brent", "usdmxn_change_1d": "usdmxn"}
SPREAD: Final = "rate_spread"

MACRO_NAMES: Final = (*LEVELS, SPREAD, *CHANGES)

JUMP: Final = 4.0
"""How many times the largest change of the past sessions a change may be."""

_LEAST_SESSIONS: Final = 20
_SAME: Final = 1e-6
_ROUNDED: Final = 1e-5
_FARTHEST: Final = 1e6

Rows = NDArray[np.float64]


def macro_findings(today: Session, past: Sequence[Session], names: Sequence[str]) -> list[Finding]:
    """Macro features and values of the last hour that cannot be true.

    Without macro values a feature is 0 in every row (`market.without_macro`): that says nothing.
    """
    found = list(_values(today, past))
    for name in MACRO_NAMES:
        if name not in names:
            continue
        column = names.index(name)
        before = np.array([session.matrix[-1, column] for session in past])
        if len(before) and not before.any():
            continue
        hour = today.matrix[-HOUR_ROWS:, column]
        reasons = (
            _moving(today, today.matrix[:, column]),
            _inexact(name, float(hour[-1]), today, past),
            _zero(name, float(np.median(hour)), today, past),
            _jump(name, float(np.median(hour)), before),
        )
        told = [reason for reason in reasons if reason is not None]
        if told:
            score, reason = max(told)
            found.append(Finding(Kind.MACRO, name, min(score, _FARTHEST), reason))
    return found


def _moving(today: Session, values: Rows) -> tuple[float, str] | None:
    steps = np.abs(np.diff(values))
    allowed = _SAME * max(1.0, float(np.abs(values).max()))
    if today.revised or not (steps > allowed).any():
        return None
    row = int(np.argmax(steps))
    told = f"it goes from {values[row]:.6g} to {values[row + 1]:.6g} within the session"
    return float(steps[row] / allowed), f"{told}; values of the day before do not change"


def _inexact(
    name: str, value: float, today: Session, past: Sequence[Session]
) -> tuple[float, str] | None:
    expected = _expected(name, today.macro, past[-1].macro if past else {})
    if expected is None:
        return None
    off = abs(value - expected) / (_ROUNDED * max(1.0, abs(expected)))
    if off <= 1.0:
        return None
    return off, f"it is {value:.6g} where the values on record make it {expected:.6g}"


def _expected(
    name: str, now: Mapping[str, MacroValue], before: Mapping[str, MacroValue]
) -> float | None:
    """The feature as the values on record make it; None where they do not tell."""
    if name == SPREAD and {"col10y", "ust10y"} <= now.keys():
        return now["col10y"].value - now["ust10y"].value
    series = CHANGES.get(name, "")
    if series not in now or series not in before:
        return None
    newer, older = now[series], before[series]
    # No quote lies between those of two weekdays in a row.
    if _weekdays_between(older.day, newer.day) or newer.day <= older.day:
        return None
    return math.log(newer.value / older.value)


def _zero(
    name: str, value: float, today: Session, past: Sequence[Session]
) -> tuple[float, str] | None:
    if value != 0.0 or (name in CHANGES and _may_repeat(name, today, past)):
        return None
    return _FARTHEST, "it is exactly 0, which it never is while there are values"


def _may_repeat(name: str, today: Session, past: Sequence[Session]) -> bool:
    """Whether the newest quote may be a repeated one, as on a day without trading."""
    if not past:
        return True
    before, series = past[-1], CHANGES[name]
    if series in today.macro and series in before.macro:
        return _expected(name, today.macro, before.macro) in {0.0, None}
    return _weekdays_between(before.day, today.day) > 0


def _jump(name: str, value: float, before: Rows) -> tuple[float, str] | None:
    if len(before) < _LEAST_SESSIONS:
        return None
    if name in CHANGES:
        distance, largest = abs(value), float(np.abs(before).max())
        told = f"it is {value:.6g}; the largest of {len(before)} sessions was {largest:.6g}"
    else:
        distance = abs(value - float(before[-1]))
        largest = float(np.abs(np.diff(before)).max())
        told = (
            f"it went from {before[-1]:.6g} to {value:.6g}; the largest change of "
            f"{len(before)} sessions was {largest:.6g}"
        )
    if largest <= 0.0 or distance <= JUMP * largest:
        return None
    return distance / (JUMP * largest), told


def _values(today: Session, past: Sequence[Session]) -> Iterator[Finding]:
    """Values behind today's features that are likely to be wrong."""
    if not today.macro:
        return
    known: dict[str, dict[int, float]] = {name: {} for name in MACRO_COLUMNS}
    for session in past:
        for name, value in session.macro.items():
            if value.day < today.macro.get(name, value).day:
                known[name][value.day] = value.value
    series = MacroSeries({name: DailySeries.of(by_day) for name, by_day in known.items()})
    for name, value in today.macro.items():
        try:
            found = suspects({name: [(value.day, value.value)]}, series)
        except InvalidRequest as error:
            yield Finding(Kind.MACRO, name, _FARTHEST, error.message)
            continue
        for suspect in found:
            yield Finding(Kind.MACRO, name, _FARTHEST, suspect.message)


def _weekdays_between(earlier: int, later: int) -> int:
    """Weekdays strictly between two dates; 1970-01-01 was a Thursday."""
    return sum((day + 3) % 7 < 5 for day in range(earlier + 1, later))
