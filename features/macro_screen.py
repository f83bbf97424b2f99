"""What becomes of macro values that arrive: every case has one stated answer.

=========================================  =====================================================
no such series                             refused
not finite; not positive where it must be  refused
one date twice with two values             refused
the same date and value again              counted; nothing changes
a known date, another value                refused as a conflict; with `confirm` corrected
likely to be wrong (`suspects`)            refused; with `confirm` taken as it stands
anything else                              added
=========================================  =====================================================

Values are taken whole or not at all: one that is refused refuses the others with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from errors import Conflict, InvalidRequest
from features.macro import MACRO_COLUMNS, DailySeries, MacroSeries
from features.macro_chain import COMPARED_DAYS, Line, agree, believable
from features.macro_limits import MacroSpec, spec_of
from features.macro_text import iso_date

__all__ = ["MacroValues", "Merged", "Suspect", "merged", "require_believable", "suspects"]

MacroValues: TypeAlias = Mapping[str, Sequence[tuple[int, float]]]
"""New values by series: (days since 1970-01-01, value), in any order."""

_FIRST_DAY, _LAST_DAY = (
    (day - date(1970, 1, 1)).days for day in (date(1971, 1, 1), date(2199, 12, 31))
)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A value that is likely to be wrong.

    Attributes:
        series: its name.
        day: its date, days since 1970-01-01.
        value: as it was sent.
        message: what speaks against it.
    """

    series: str
    day: int
    value: float
    message: str


@dataclass(frozen=True, eq=False)
class Merged:
    """Known and new values together.

    Attributes:
        series: all of them.
        added: how many values were not known.
        repeated: how many were known already.
        corrected: how many replaced another value of their date.
        confirmed: in words, what only `confirm` let through.
    """

    series: MacroSeries
    added: int
    repeated: int
    corrected: int
    confirmed: tuple[str, ...] = ()


def merged(known: MacroSeries | None, values: MacroValues, *, confirm: bool) -> Merged:
    """Put new values in their places among the known ones.

    Args:
        known: None where there is none yet.
        values: by series, (days since 1970-01-01, value) in any order.
        confirm: corrections and suspects are meant as they stand.

    Raises:
        InvalidRequest: a series or value is none, a date has two values, or one is suspect.
        Conflict: a date is known with another value.
    """
    sent = {name: _by_day(spec_of(name), pairs) for name, pairs in values.items()}
    stored = {name: known.by_day(name) if known is not None else {} for name in MACRO_COLUMNS}
    corrections = [
        f"{name} of {iso_date(day)} is known as {stored[name][day]}, not {value}"
        for name, by_day in sent.items()
        for day, value in by_day.items()
        if stored[name].get(day, value) != value
    ]
    if corrections and not confirm:
        raise Conflict(
            f"{corrections[0]}; send `confirm: true` if this corrects it", code="macro_conflict"
        )
    found = suspects(values, known)
    if found and not confirm:
        raise _refusal(found, "Send `confirm: true` if it is meant")
    added = sum(len(by_day.keys() - stored[name].keys()) for name, by_day in sent.items())
    return Merged(
        MacroSeries({name: DailySeries.of(stored[name] | sent.get(name, {})) for name in stored}),
        added=added,
        repeated=sum(map(len, values.values())) - added - len(corrections),
        corrected=len(corrections),
        confirmed=(*corrections, *(suspect.message for suspect in found)),
    )


def require_believable(macro: MacroSeries, *, remedy: str) -> None:
    """Refuse series that hold values likely to be wrong.

    Args:
        macro: the series.
        remedy: what to do about a value that is meant.

    Raises:
        InvalidRequest: they do; `detail` lists them.
    """
    found = suspects({name: [*macro.by_day(name).items()] for name in macro.columns}, None)
    if found:
        raise _refusal(found, remedy)


def suspects(values: MacroValues, known: MacroSeries | None) -> tuple[Suspect, ...]:
    """The new values that are likely to be wrong, by series and date.

    Args:
        values: by series, (days since 1970-01-01, value) in any order.
        known: trusted ones; one of the same date as a new value is not looked at.

    Raises:
        InvalidRequest: a series or value is none, or a date has two values.
    """
    found: list[Suspect] = []
    for name, pairs in values.items():
        spec = spec_of(name)
        stored = known.by_day(name) if known is not None else {}
        line = _line(_by_day(spec, pairs), stored)
        kept = believable(spec, line)
        found += [
            Suspect(
                name,
                int(line.days[index]),
                float(line.values[index]),
                _message(spec, line, kept, index),
            )
            for index in np.flatnonzero(~kept).tolist()
        ]
    return tuple(found)


def _line(new: dict[int, float], stored: dict[int, float]) -> Line:
    together = DailySeries.of(stored | new)
    trusted = [
        stored.get(day) == value
        for day, value in zip(together.days.tolist(), together.values.tolist(), strict=True)
    ]
    return Line(together.days, together.values, np.array(trusted, dtype=bool))


def _message(spec: MacroSpec, line: Line, kept: NDArray[np.bool_], index: int) -> str:
    value = float(line.values[index])
    told = f"{spec.name} is {value:.12g} on {iso_date(int(line.days[index]))}"
    neighbour = _contradicted(spec, line, kept, index)
    if neighbour is None:
        return (
            f"{told}; true values lie between {spec.low:g} and {spec.high:g} {spec.unit}: is a "
            "decimal point lost?"
        )
    other = float(line.values[neighbour])
    unit = "times" if spec.positive else "percentage points"
    return (
        f"{told}, {_step(spec, value, other)} the {other:.12g} of "
        f"{iso_date(int(line.days[neighbour]))}; a true change is below {spec.largest_step:g} "
        f"{unit}: is a decimal point lost?"
    )


def _contradicted(spec: MacroSpec, line: Line, kept: NDArray[np.bool_], index: int) -> int | None:
    """The kept value beside this one, rather before than after it, that cannot be true with it."""
    positions = np.flatnonzero(kept)
    beside = (*positions[positions < index][-1:], *positions[positions > index][:1])
    value = float(line.values[index])
    for neighbour in map(int, beside):
        near = abs(int(line.days[neighbour] - line.days[index])) <= COMPARED_DAYS
        if (near or spec.plausible(value)) and not agree(
            spec, line.values[neighbour : neighbour + 1], value
        ).all():
            return neighbour
    return None


def _step(spec: MacroSpec, value: float, other: float) -> str:
    if not spec.positive:
        return f"{abs(value - other):.4g} percentage points {'above' if value > other else 'below'}"
    return f"{value / other:.1f} times" if value > other else f"1/{other / value:.1f} of"


def _by_day(spec: MacroSpec, pairs: Sequence[tuple[int, float]]) -> dict[int, float]:
    by_day: dict[int, float] = {}
    for day, value in pairs:
        if not _FIRST_DAY <= day <= _LAST_DAY:
            raise InvalidRequest(f"a date of {spec.name} is not in the years 1971 to 2199")
        if not spec.accepts(value):
            raise InvalidRequest(
                f"{spec.name} is {value} on {iso_date(day)}; it must be {spec.wanted}"
            )
        if by_day.setdefault(day, value) != value:
            raise InvalidRequest(
                f"{spec.name} is there twice on {iso_date(day)}, with the values {by_day[day]} "
                f"and {value}; keep the right one"
            )
    return by_day


def _refusal(found: Sequence[Suspect], remedy: str) -> InvalidRequest:
    several = f"{len(found)} values are suspect. " if len(found) > 1 else ""
    detail = [
        {
            "series": suspect.series,
            "date": iso_date(suspect.day),
            "value": suspect.value,
            "message": suspect.message,
        }
        for suspect in found
    ]
    return InvalidRequest(
        f"{found[0].message} {several}{remedy}", code="suspect_macro_value", detail=detail
    )
