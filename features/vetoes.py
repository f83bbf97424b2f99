"""What no model may be asked about: a feed that stands still, a vector unlike any it has seen.

======== ============================ ==========================================================
kind     rule                         refused
======== ============================ ==========================================================
STALE    repetition                   six or more equal closes
STALE    gap                          bars that span more days than any the models know
OUTSIDE  level                        a close or a macro value far from the reference's levels
OUTSIDE  range                        a feature outside the reference's range, or no number
OUTSIDE  identity                     features that contradict their definitions
OUTSIDE  relations                    a feature that does not fit what the others say
======== ============================ ==========================================================

A veto is a value: nothing here raises to say no. With several references, a vector must be inside
all of them: each model that has a vote must know it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from operator import le
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.evidence import Evidence
from features.identities import IDENTITIES, Identity, session_excess
from features.reference import Reference, minutes
from features.residuals import Relations

__all__ = ["FROZEN_CLOSES", "Veto", "VetoKind", "evidence_vetoes", "refused_rows", "vetoes"]

FROZEN_CLOSES: Final = 6
"""Equal closes, the newest one included, from which on a feed counts as frozen."""

_CLOCK: Final = ("minute_sin", "minute_cos", "session_progress")
_STILL: Final = "volatility_30m"
"""Where this is 0, seven closes are equal."""

_REPETITION: Final = "equal_closes"

_CHUNK: Final = 4096
_WITHIN_ONE: Final = (1.0).__ge__


class VetoKind(StrEnum):
    """Why a vector is refused."""

    STALE = "stale"
    OUTSIDE = "outside"


class Veto(NamedTuple):
    """One reason to refuse a vector.

    Attributes:
        kind: stale, or outside of what the models know.
        name: the feature or series.
        value: what it was.
        low: least value that would have passed; None where that is no number.
        high: greatest value that would have passed; None where that is no number.
        message: the reason in words.
    """

    kind: VetoKind
    name: str
    value: float
    low: float | None
    high: float | None
    message: str


def vetoes(
    vector: NDArray[np.float32], evidence: Evidence | None, references: Sequence[Reference]
) -> tuple[Veto, ...]:
    """Say what speaks against a vector.

    Args:
        vector: shape (m,), in the order of the references' names.
        evidence: what it was made of; None for a vector that a caller sent.
        references: of the models that have a vote; none of them: only the evidence is judged, and
            of it only repetition.

    Returns:
        The most serious one first; empty if nothing does.

    Raises:
        ValueError: the vector has another size than the references' names.
    """
    return _each_once(_all_of(vector, evidence, references))


def evidence_vetoes(evidence: Evidence | None, references: Sequence[Reference]) -> tuple[Veto, ...]:
    """What `vetoes` says of a vector that `refused_rows` lets pass."""
    return _each_once(_of_evidence(evidence, references))


def _each_once(vetoes_: Iterator[Veto]) -> tuple[Veto, ...]:
    found: dict[tuple[VetoKind, str], Veto] = {}
    for veto in vetoes_:
        found.setdefault((veto.kind, veto.name), veto)
    return tuple(found.values())


def refused_rows(matrix: NDArray[np.float32], references: Sequence[Reference]) -> NDArray[np.bool_]:
    """Which vectors `vetoes` would refuse without evidence.

    Args:
        matrix: shape (n, m).
        references: as for `vetoes`.

    Returns:
        Shape (n,).
    """
    refused = np.zeros(len(matrix), dtype=bool)
    for begin in range(0, len(matrix), _CHUNK):
        rows = matrix[begin : begin + _CHUNK].astype(np.float64)
        part = refused[begin : begin + _CHUNK]
        with np.errstate(all="ignore"):
            for reference in references:
                part |= ~((rows >= reference.low) & (rows <= reference.high)).all(axis=1)
                part |= _contradictory(dict(zip(reference.names, rows.T, strict=True)), reference)
                if reference.relations is not None:
                    scores = reference.relations.scores(rows[:, reference.related])
                    part |= ~(np.abs(scores) <= 1.0).all(axis=1)
    return refused


def _contradictory(columns: Mapping[str, Any], reference: Reference) -> NDArray[np.bool_]:
    refused = np.zeros(len(columns[reference.names[0]]), dtype=bool)
    for identity in _identities(reference):
        refused |= ~(identity.excess(columns) <= 0.0)
    if _STILL in columns:
        refused |= columns[_STILL] == 0.0
    return refused


def _all_of(
    vector: NDArray[np.float32], evidence: Evidence | None, references: Sequence[Reference]
) -> Iterator[Veto]:
    values = vector.tolist()
    named = [dict(zip(reference.names, values, strict=True)) for reference in references]
    of_evidence = list(_of_evidence(evidence, references))
    yield from (veto for veto in of_evidence if veto.name == _REPETITION)
    for columns in named:
        if columns.get(_STILL) == 0.0:
            yield _frozen_vector()
    yield from (veto for veto in of_evidence if veto.name != _REPETITION)
    row = vector.astype(np.float64)
    for reference, columns in zip(references, named, strict=True):
        yield from _of_vector(row, values, columns, reference)


def _of_evidence(evidence: Evidence | None, references: Sequence[Reference]) -> Iterator[Veto]:
    if evidence is None:
        return
    if evidence.equal_closes >= FROZEN_CLOSES:
        yield _frozen(evidence.equal_closes, evidence.close)
    for reference in references:
        yield from _levels(evidence, reference)


def _of_vector(
    row: NDArray[np.float64],
    values: Sequence[float],
    columns: Mapping[str, float],
    reference: Reference,
) -> Iterator[Veto]:
    # A NaN is inside of nothing. On one row, floats are faster than NumPy.
    lows, highs = reference.bounds
    if not (all(map(le, lows, values)) and all(map(le, values, highs))):
        yield from _ranges(row, (row >= reference.low) & (row <= reference.high), reference)
        if not np.isfinite(row).all():
            return
    for identity in _identities(reference):
        if not identity.excess(columns) <= 0.0:
            yield _contradiction(identity, columns)
    if reference.relations is not None:
        related = row[reference.related]
        scores = reference.relations.scores_of(related)
        if not all(map(_WITHIN_ONE, map(abs, scores))):
            suspect = reference.relations.suspect(np.array(scores))
            yield _unrelated(reference.relations, related, suspect)


def _levels(evidence: Evidence, reference: Reference) -> Iterator[Veto]:
    levels, days = reference.levels, evidence.window_days
    if "window_days" in levels and not _within(days, levels["window_days"]):
        yield _gap(days, *levels["window_days"])
    if "close" in levels and not _within(evidence.close, levels["close"]):
        yield _outside("close", evidence.close, *levels["close"], "the levels that the models know")
    for name, known in evidence.macro.items():
        if name in levels and not _within(known.value, levels[name]):
            yield _outside(name, known.value, *levels[name], "the levels that the models know")


def _gap(days: float, low: float, high: float) -> Veto:
    message = (
        f"the bars behind it span {days:.1f} days, and at most {high:.1f} where the models were "
        "trained: bars are missing"
    )
    return Veto(VetoKind.STALE, "window_days", days, low, high, message)


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _ranges(
    row: NDArray[np.float64], inside: NDArray[np.bool_], reference: Reference
) -> Iterator[Veto]:
    """Features outside their range, the farthest one first."""

    def distance(column: int) -> float:
        low, high, value = reference.low[column], reference.high[column], row[column]
        if not math.isfinite(value):
            return math.inf
        far = max(low - value, value - high)
        return float(far / (high - low)) if high > low else math.inf

    for column in sorted(np.flatnonzero(~inside).tolist(), key=distance, reverse=True):
        yield _outside(
            reference.names[column],
            float(row[column]),
            float(reference.low[column]),
            float(reference.high[column]),
            "what the models know",
        )


def _outside(name: str, value: float, low: float, high: float, known: str) -> Veto:
    bounds = f"{low:.6g} to {high:.6g}" if low < high else f"{low:.6g}, the only value in"
    message = f"{name} {value:.6g} is outside {bounds}, {known}"
    if low == high:
        message = f"{name} {value:.6g} is not {low:.6g}, the only value that the models know"
    return Veto(VetoKind.OUTSIDE, name, value, low, high, message)


def _contradiction(identity: Identity, columns: Mapping[str, float]) -> Veto:
    value = columns[identity.name]
    others = ", ".join(f"{name} {columns[name]:.6g}" for name in identity.needs[1:])
    given = f", with {others}" if others else ""
    message = f"{identity.name} {value:.6g} must be {identity.words}{given}"
    return Veto(VetoKind.OUTSIDE, identity.name, value, None, None, message)


def _unrelated(relations: Relations, row: NDArray[np.float64], column: int) -> Veto:
    low, high = relations.allowed(row, column)
    name, value = relations.names[column], float(row[column])
    message = (
        f"{name} {value:.6g} is outside {low:.6g} to {high:.6g}, where the other features put it"
    )
    return Veto(VetoKind.OUTSIDE, name, value, low, high, message)


def _frozen(closes: int, close: float) -> Veto:
    message = f"the last {closes} closes are all {close:.10g}: the feed is frozen"
    return Veto(VetoKind.STALE, _REPETITION, float(closes), None, FROZEN_CLOSES - 1.0, message)


def _frozen_vector() -> Veto:
    message = "volatility_30m is 0, so the last 7 closes are equal: the feed is frozen"
    return Veto(VetoKind.STALE, _REPETITION, 7.0, None, FROZEN_CLOSES - 1.0, message)


@lru_cache(maxsize=64)
def _identities(reference: Reference) -> tuple[Identity, ...]:
    """Those whose features the reference has."""
    names = set(reference.names)
    held = [identity for identity in IDENTITIES if names.issuperset(identity.needs)]
    if reference.session is not None and names.issuperset(_CLOCK):
        start, end = reference.session
        held.append(
            Identity(
                "session_progress",
                f"the progress from minute {start:g} to {end:g} of the day",
                ("session_progress", "minute_sin", "minute_cos"),
                _progress(start, end),
            )
        )
    return tuple(held)


def _progress(start: float, end: float) -> Callable[[Mapping[str, Any]], Any]:
    def excess(columns: Mapping[str, Any]) -> Any:
        minute = minutes(columns["minute_sin"], columns["minute_cos"])
        return session_excess(columns, minute, start, end)

    return excess
