"""How far a feature, a price or a macro value may lie from what a reference has seen."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.bars import BarSeries
from features.compute import WINDOW
from features.macro import MacroSeries
from features.macro_limits import MACRO_SERIES
from features.schema import Feature, Schema

__all__ = ["MANY_DAYS", "extremes_by_day", "known_bounds", "known_levels"]

MANY_DAYS: Final = 250
"""So many days, a year, show extremes that are not those of one day alone."""

RANGE_MARGIN: Final = 1.6
"""Bounds lie that many times as far from the median as the extremes (`extremes_by_day`)."""

UNBACKED_MARGIN: Final = 1.3
"""The same for z-scores and changes of daily series. No relation backs their range up, so a value
x100 that stays below the bound is missed: this wide, that happens to 1% of them. Fewer days than
`MANY_DAYS` have not shown enough of the tails for it, and get `RANGE_MARGIN`."""

HIGHEST_SHARE: Final = 0.96
"""Share of its mathematical maximum that a z-score of a daily series may reach: one value that
outweighs all others, a unit error for example, comes closer than that."""

LEVEL_FACTOR: Final = {"close": 1.25}
"""How far a price may lie beyond the levels of the reference; other series: `OTHER_FACTOR`."""

OTHER_FACTOR: Final = 1.5

WINDOW_FACTOR: Final = 1.5
"""How many times the longest span of the bars behind a vector another one may have: the longest
holds the longest holidays, and no feed that was down for weeks."""

YIELD_POINTS: Final = 2.0
"""Percentage points by which a yield, or a difference of yields, may lie beyond its levels."""

_YIELDS: Final = frozenset(spec.name for spec in MACRO_SERIES if not spec.positive)

_OLDEST_VALUE: Final = max(spec.stale_after_days for spec in MACRO_SERIES)
_SCORE: Final = "standard deviations"
_DAY_SECONDS: Final = 86_400

Array = NDArray[np.float64]


def extremes_by_day(values: Array, days: NDArray[np.int64]) -> tuple[Array, Array]:
    """Least and greatest values of columns, without the most extreme day on either side.

    That day may be one of a bad tick. Of fewer than `MANY_DAYS` days none can be spared.

    Args:
        values: shape (n, k).
        days: the day of each row, in order, shape (n,), n ≥ 1.

    Returns:
        Least and greatest, shape (k,) each.
    """
    begins = np.unique(days, return_index=True)[1]
    left_out = 1 if len(begins) >= MANY_DAYS else 0
    least = np.minimum.reduceat(values, begins)
    greatest = np.maximum.reduceat(values, begins)
    return (
        np.partition(least, left_out, axis=0)[left_out],
        np.partition(greatest, -1 - left_out, axis=0)[-1 - left_out],
    )


def known_bounds(matrix: Array, days: NDArray[np.int64], schema: Schema) -> tuple[Array, Array]:
    """Least and greatest value of each feature that counts as known, shape (m,) each."""
    middle = np.median(matrix, axis=0)
    least, greatest = extremes_by_day(matrix, days)
    many = len(np.unique(days)) >= MANY_DAYS
    margin = np.array(
        [
            UNBACKED_MARGIN if many and _is_daily(feature, _SCORE, "fraction") else RANGE_MARGIN
            for feature in schema.features
        ]
    )
    low = middle - margin * (middle - least)
    high = middle + margin * (greatest - middle)
    for column, feature in enumerate(schema.features):
        values = matrix[:, column]
        if feature.source == "clock" or np.ptp(values) == 0:
            low[column], high[column] = values.min(), values.max()
        elif _is_daily(feature, "percentage points"):
            low[column], high[column] = (
                least[column] - YIELD_POINTS,
                greatest[column] + YIELD_POINTS,
            )
        share = HIGHEST_SHARE if _is_daily(feature, _SCORE) else 1.0
        if feature.low is not None:
            low[column] = max(low[column], share * feature.low)
        if feature.high is not None:
            high[column] = min(high[column], share * feature.high)
    # A feature that hardly ever varies has its extremes on one day: they must not be refused.
    return np.minimum(low, middle), np.maximum(high, middle)


def _is_daily(feature: Feature, *units: str) -> bool:
    """Whether it is made of a daily series, in one of these units."""
    return feature.source.endswith("T-1") and feature.unit in units


def known_levels(
    bars: BarSeries, macro: MacroSeries | None, first: int, last: int
) -> dict[str, tuple[float, float]]:
    """Known levels of the close and of each macro series, between two bars.

    And how many days the bars of a vector may span, as `window_days`.
    """
    during = (bars.starts >= first) & (bars.starts <= last)
    days = bars.starts[during] // _DAY_SECONDS
    levels = {"close": _level("close", bars.closes[during], days)}
    if len(starts := bars.starts[during]) >= WINDOW:
        longest = float((starts[WINDOW - 1 :] - starts[: 1 - WINDOW]).max()) / _DAY_SECONDS
        levels["window_days"] = (0.0, WINDOW_FACTOR * longest)
    if macro is not None:
        begin, end = first // _DAY_SECONDS - _OLDEST_VALUE, last // _DAY_SECONDS
        for name, daily in macro.columns.items():
            chosen = (daily.days >= begin) & (daily.days < end)
            if chosen.any():
                levels[name] = _level(name, daily.values[chosen], daily.days[chosen])
    return levels


def _level(name: str, values: Array, days: NDArray[np.int64]) -> tuple[float, float]:
    least, greatest = extremes_by_day(values[:, np.newaxis], days)
    low, high = float(least[0]), float(greatest[0])
    if name in _YIELDS:
        return low - YIELD_POINTS, high + YIELD_POINTS
    factor = LEVEL_FACTOR.get(name, OTHER_FACTOR)
    return low / factor, high * factor
