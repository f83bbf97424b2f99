"""Which macro values can be true together.

A value is not believed beyond the plausible levels, unless the nearest trusted one is there as
well. Of values whose steps are as large as no true ones, the fewest are given up without which no
such step is left. Values more than a week apart are not compared; trusted ones are never given up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.macro_limits import MacroSpec

__all__ = ["COMPARED_DAYS", "Line", "agree", "believable"]

COMPARED_DAYS: Final = 7
"""Days between two values beyond which no step is too large."""

_LOOKBACK: Final = 250  # values; bounds the time of the search


@dataclass(frozen=True, eq=False)
class Line:
    """Values of a series in order of their dates, n of them.

    Attributes:
        days: days since 1970-01-01, shape (n,).
        values: shape (n,).
        trusted: which are true whatever they are, shape (n,).
    """

    days: NDArray[np.int64]
    values: NDArray[np.float64]
    trusted: NDArray[np.bool_]


def believable(spec: MacroSpec, line: Line) -> NDArray[np.bool_]:
    """Which values can be true together, shape (n,)."""
    kept = line.trusted | _at_plausible_level(spec, line)
    for stretch in _stretches(line.days, kept):
        kept[stretch] = _longest_chain(spec, line.values[stretch], line.trusted[stretch])
    return kept


def _at_plausible_level(spec: MacroSpec, line: Line) -> NDArray[np.bool_]:
    """Which values lie between the limits, or beyond them beside a trusted one, shape (n,)."""
    plausible = (line.values >= spec.low) & (line.values <= spec.high)
    trusted = np.flatnonzero(line.trusted)
    for index in np.flatnonzero(~plausible & ~line.trusted).tolist() if len(trusted) else ():
        apart = np.abs(line.days[trusted] - line.days[index])
        nearest = trusted[np.argmin(apart)]
        near = apart.min() <= COMPARED_DAYS
        plausible[index] = near and not spec.plausible(float(line.values[nearest]))
    return plausible


def _stretches(days: NDArray[np.int64], kept: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Positions of kept values, parted where more than a week lies between two of them."""
    positions = np.flatnonzero(kept)
    return np.split(positions, np.flatnonzero(np.diff(days[positions]) > COMPARED_DAYS) + 1)


def _longest_chain(
    spec: MacroSpec, values: NDArray[np.float64], trusted: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The most values, all trusted ones among them, with only true steps; mask of shape (n,)."""
    if (agree(spec, values[:-1], values[1:]) | (trusted[:-1] & trusted[1:])).all():
        return np.ones(len(values), dtype=bool)
    weights = np.where(trusted, len(values) + 1, 1)
    longest = np.zeros(len(values), dtype=np.int64)
    before = np.full(len(values), -1)
    for index, value in enumerate(values):
        oldest = max(index - _LOOKBACK, 0)
        past = slice(oldest, index)
        fits = agree(spec, values[past], value) | (trusted[past] & trusted[index])
        reached = np.where(fits, longest[past], 0)
        if fits.any():
            before[index] = oldest + np.argmax(reached)
        longest[index] = weights[index] + reached.max(initial=0)
    chain = trusted.copy()
    index = int(np.argmax(longest))
    while index >= 0:
        chain[index] = True
        index = int(before[index])
    return chain


def agree(
    spec: MacroSpec, one: NDArray[np.float64], other: NDArray[np.float64] | float
) -> NDArray[np.bool_]:
    """Whether steps are smaller than the smallest that cannot be true, element by element."""
    with np.errstate(over="ignore"):  # an infinite step is a step as well
        if spec.positive:
            step = np.maximum(one, other) / np.minimum(one, other)
        else:
            step = np.abs(one - other)
    smaller: NDArray[np.bool_] = step < spec.largest_step
    return smaller
