"""Daily macro series and the features made of them, as of the day before.

A value dated D is known from D+1 on: a bar of local date T sees values dated T-1 or earlier. On a
holiday of one market the last known value stands in, for at most as many days as `MACRO_SERIES`
says; beyond that the vector is not ready. Without any macro data a caller may choose the neutral
value 0 for all seven features; it is never chosen for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from errors import InvalidRequest, NotReady
from features.macro_limits import MACRO_SERIES, MacroSpec, spec_of
from features.macro_text import iso_date, pairs_of, values_of
from features.windows import deviations, divide, mean

__all__ = [
    "MACRO_COLUMNS",
    "MACRO_FEATURES",
    "DailySeries",
    "MacroSeries",
    "MacroValue",
    "macro_features",
    "neutral_macro_features",
]

MACRO_COLUMNS: Final = tuple(spec.name for spec in MACRO_SERIES)
"""Dollar index, VIX, EMBI Colombia (bp), Brent (USD), ten-year yields (%), USD/MXN."""

MACRO_FEATURES: Final = (
    "dxy_z",
    "dxy_change_1d",
    "vix_z",
    "embi_z",
    "brent_change_1d",
    "rate_spread",
    "usdmxn_change_1d",
)

_SCORED_VALUES: Final = 60


@dataclass(frozen=True, eq=False)
class DailySeries:
    """One macro series without its gaps.

    Attributes:
        days: dates as days since 1970-01-01, strictly increasing, shape (n,), int64.
        values: finite values, shape (n,), float64.
    """

    days: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, by_day: Mapping[int, float]) -> DailySeries:
        """The series of these values by day, of which there may be none."""
        days = sorted(by_day)
        values = [by_day[day] for day in days]
        return cls(np.array(days, dtype=np.int64), np.array(values, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class MacroValue:
    """The newest known value of a macro series.

    Attributes:
        day: its date, days since 1970-01-01.
        value: in the unit of the series.
    """

    day: int
    value: float


@dataclass(frozen=True, eq=False)
class MacroSeries:
    """The seven macro series by the names in `MACRO_COLUMNS`; one may be without any value yet."""

    columns: Mapping[str, DailySeries]

    def known_before(self, day: int) -> dict[str, MacroValue]:
        """The newest value of each series dated before `day`; those without any are left out."""
        known = {}
        for name, series in self.columns.items():
            end = int(series.days.searchsorted(day, side="left"))
            if end:
                known[name] = MacroValue(int(series.days[end - 1]), float(series.values[end - 1]))
        return known

    def by_day(self, name: str) -> dict[int, float]:
        """The values of one series by their days since 1970-01-01, oldest first."""
        series = self.columns[name]
        return dict(zip(series.days.tolist(), series.values.tolist(), strict=True))

    def newest(self, count: int) -> MacroSeries:
        """The same series with only the newest `count` values of each, count ≥ 0."""
        kept = {}
        for name, series in self.columns.items():
            oldest = max(len(series.days) - count, 0)
            kept[name] = DailySeries(series.days[oldest:], series.values[oldest:])
        return MacroSeries(kept)

    def to_json(self) -> dict[str, list[list[str | float]]]:
        """Series name to its [ISO date, value] pairs, oldest first."""
        return {name: pairs_of(self.by_day(name)) for name in self.columns}

    @classmethod
    def from_json(cls, document: object) -> MacroSeries:
        """Read what `to_json` wrote; every value comes back to the bit.

        Raises:
            InvalidRequest: it is not that.
        """
        if not isinstance(document, Mapping) or set(document) != set(MACRO_COLUMNS):
            raise InvalidRequest(
                f"stored macro values need these series and no others: {', '.join(MACRO_COLUMNS)}"
            )
        values = {spec.name: values_of(spec, document[spec.name]) for spec in MACRO_SERIES}
        return cls({name: DailySeries.of(by_day) for name, by_day in values.items()})

    @classmethod
    def from_table(
        cls, days: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]]
    ) -> MacroSeries:
        """Take one table of dates and columns apart; NaN is a day without a value.

        Args:
            days: dates as days since 1970-01-01, strictly increasing, shape (n,).
            columns: one array of shape (n,) for every name in `MACRO_COLUMNS`.

        Raises:
            InvalidRequest: a column is missing, dates are out of order, or a value is infinite,
                or not positive where only a positive one makes sense (all but the two yields).
        """
        missing = [name for name in MACRO_COLUMNS if name not in columns]
        if missing:
            raise InvalidRequest(f"macro needs the columns {MACRO_COLUMNS}; missing: {missing}")
        days = np.asarray(days, dtype=np.int64)
        if not (np.diff(days) > 0).all():
            later = int(np.argmin(np.diff(days) > 0)) + 1
            raise InvalidRequest(
                f"macro dates must be in order, each once; {iso_date(int(days[later]))} follows "
                f"{iso_date(int(days[later - 1]))}"
            )
        return cls(
            {spec.name: _without_gaps(spec, days, columns[spec.name]) for spec in MACRO_SERIES}
        )


def macro_features(macro: MacroSeries, day: int) -> NDArray[np.float64]:
    """Compute the macro features of one local date.

    Args:
        macro: the series; values dated `day` or later are not looked at.
        day: local date of the bar, days since 1970-01-01.

    Returns:
        Values in the order of `MACRO_FEATURES`, shape (7,).

    Raises:
        NotReady: a series has too few values before `day`, or its last one is too old.
    """
    known = {
        name: _known_before(name, series, day, _NEEDED[name])
        for name, series in macro.columns.items()
    }
    dxy_z, vix_z, embi_z = _z_scores(np.array([known["dxy"], known["vix"], known["embi_col"]]))
    return np.array(
        [
            dxy_z,
            _change(known["dxy"]),
            vix_z,
            embi_z,
            _change(known["brent"]),
            known["col10y"][-1] - known["ust10y"][-1],
            _change(known["usdmxn"]),
        ]
    )


def neutral_macro_features() -> NDArray[np.float64]:
    """What stands for macro features where a caller chose to go without: zeros, shape (7,)."""
    return np.zeros(len(MACRO_FEATURES))


_NEEDED: Final = {
    "dxy": _SCORED_VALUES,
    "vix": _SCORED_VALUES,
    "embi_col": _SCORED_VALUES,
    "brent": 2,
    "ust10y": 1,
    "col10y": 1,
    "usdmxn": 2,
}


def _known_before(name: str, series: DailySeries, day: int, needed: int) -> NDArray[np.float64]:
    end = int(series.days.searchsorted(day, side="left"))
    if end < needed:
        raise NotReady(
            f"not ready: {end} of {needed} daily values of {name} before {iso_date(day)}; "
            "give macro data that begins earlier"
        )
    age, oldest = day - int(series.days[end - 1]), spec_of(name).stale_after_days
    if age > oldest:
        raise NotReady(
            f"not ready: the last value of {name} before {iso_date(day)} is {age} days old, dated "
            f"{iso_date(int(series.days[end - 1]))}; it may be {oldest} days old"
        )
    return series.values[end - needed : end]


def _z_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """z-score of the last value of each row among its row, 0 if all are equal; shape (rows,)."""
    # Against the last value, so that equal values give exact zeros.
    relative = deviations(values)
    centre = mean(relative, _SCORED_VALUES)
    deviation = np.sqrt(mean(np.square(relative - centre[:, np.newaxis]), _SCORED_VALUES))
    return divide(-centre, deviation, otherwise=0.0)


def _change(values: NDArray[np.float64]) -> float:
    return float(np.log(values[-1] / values[-2]))


def _without_gaps(
    spec: MacroSpec, days: NDArray[np.int64], values: NDArray[np.float64]
) -> DailySeries:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != days.shape:
        raise InvalidRequest(
            f"macro column {spec.name} needs {len(days)} values, got {values.shape}"
        )
    present = ~np.isnan(values)
    good = np.array([spec.accepts(value) for value in values.tolist()], dtype=bool)
    if not good[present].all():
        first = int(np.argmax(present & ~good))
        raise InvalidRequest(
            f"macro column {spec.name} is {values[first]} on {iso_date(int(days[first]))}; it must "
            f"be {spec.wanted}, or empty on a day without a value"
        )
    return DailySeries(days[present], values[present])
