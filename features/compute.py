"""From closes, macro values and the time to the vector of features.

Each vector is a pure function of the last `WINDOW` closes, of the macro values dated before the
bar's local date, and of the time. One function computes the rows of a single bar and of many
years, so what a model was trained on and what it is served are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from config.settings import TradingHours
from errors import NotReady
from features.bars import BAR_SECONDS, BarSeries
from features.clock import clock_features, local_days
from features.macro import MACRO_FEATURES, MacroSeries, macro_features, neutral_macro_features
from features.momentum import momentum_features
from features.returns import return_features, session_features
from features.schema import USDCOP_M5, Schema

__all__ = ["SHIPPED_HOURS", "WINDOW", "FeatureSeries", "compute_series", "compute_vector"]

WINDOW: Final = 240
"""Closes that a vector reads: the longest lookback in the schema, four full sessions."""

SHIPPED_HOURS: Final = TradingHours()
"""08:00 to 12:55 in Bogotá, Monday to Friday."""

# Rows computed at once: enough to be fast, few enough to stay in a processor's cache.
_CHUNK: Final = 256


@dataclass(frozen=True, eq=False)
class FeatureSeries:
    """Vectors of bars, in order of time.

    Attributes:
        times: starts of the bars, seconds since 1970-01-01 UTC, shape (n,).
        known_at: when each bar was complete, five minutes later, shape (n,).
        matrix: vectors, float32, shape (n, number of features), columns in schema order.
    """

    times: NDArray[np.int64]
    known_at: NDArray[np.int64]
    matrix: NDArray[np.float32]


def compute_vector(
    closes: NDArray[np.float64],
    starts: NDArray[np.int64],
    macro: MacroSeries | None,
    *,
    hours: TradingHours = SHIPPED_HOURS,
    schema: Schema = USDCOP_M5,
) -> NDArray[np.float32]:
    """Compute the vector of the newest bar.

    Args:
        closes: closes, oldest first, shape (n,) with n ≥ `WINDOW`; only the last `WINDOW` count.
        starts: starts of these bars, seconds since 1970-01-01 UTC, shape (n,).
        macro: daily series; None puts the neutral value 0 into the seven macro features.
        hours: the session and its time zone.
        schema: names and order of the vector; features of the book are 0.

    Returns:
        Vector of shape (number of features,), every number finite.

    Raises:
        NotReady: fewer than `WINDOW` bars, or macro values too few or too old.
        InvalidRequest: bars out of order, or a close that is no price.
    """
    bars = BarSeries(starts[-WINDOW:], closes[-WINDOW:])
    _require_computable(schema)
    _require_window(bars)
    days = local_days(bars.starts, hours.zone)
    first = days.searchsorted(days[-1:])
    of_macro = neutral_macro_features() if macro is None else macro_features(macro, int(days[-1]))
    rows = _Rows(bars.closes[np.newaxis], first, bars.starts[-1:], of_macro[np.newaxis])
    vector: NDArray[np.float32] = _vectors(rows, hours, schema)[0]
    return vector


def compute_series(
    bars: BarSeries,
    macro: MacroSeries | None,
    *,
    hours: TradingHours = SHIPPED_HOURS,
    schema: Schema = USDCOP_M5,
    progress: Callable[[int], object] | None = None,
) -> FeatureSeries:
    """Compute the vector of every bar that has enough behind it.

    The first `WINDOW` - 1 bars have not, nor have bars whose macro values are too few or too old;
    they are left out.

    Args:
        bars: bars of the session, oldest first.
        macro: daily series; None puts the neutral value 0 into the seven macro features.
        hours: the session and its time zone.
        schema: names and order of the vectors; features of the book are 0.
        progress: called with the number of bars done since the last call.

    Returns:
        The vectors, n of them at most the number of bars - (`WINDOW` - 1).

    Raises:
        NotReady: no bar has enough history, of bars or of macro values.
    """
    _require_computable(schema)
    _require_window(bars)
    days = local_days(bars.starts, hours.zone)
    of_macro, ready = _macro_rows(macro, days[WINDOW - 1 :])
    parts = []
    for rows in _chunks(bars, days, of_macro):
        parts.append(_vectors(rows, hours, schema))
        if progress is not None:
            progress(len(rows.closes))
    times = bars.starts[WINDOW - 1 :][ready]
    return FeatureSeries(
        times=times,
        known_at=times + BAR_SECONDS,
        matrix=np.concatenate(parts)[ready],
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """What the vectors of n bars are made of."""

    closes: NDArray[np.float64]  # (n, WINDOW), oldest first
    first: NDArray[np.int64]  # (n,), column where the newest bar's local date begins
    starts: NDArray[np.int64]  # (n,)
    of_macro: NDArray[np.float64]  # (n, 7)


def _vectors(rows: _Rows, hours: TradingHours, schema: Schema) -> NDArray[np.float32]:
    """Vectors of shape (n, number of features), columns in schema order."""
    columns = {
        **return_features(rows.closes),
        **momentum_features(rows.closes),
        **session_features(rows.closes, rows.first),
        **clock_features(rows.starts + BAR_SECONDS, hours),
        **dict(zip(MACRO_FEATURES, rows.of_macro.T, strict=True)),
    }
    # What the book says is filled in where a decision is made.
    state = np.zeros(len(rows.starts))
    ordered = np.array([columns.get(name, state) for name in schema.names]).T
    # Adding zero turns -0.0 into 0.0, so that equal vectors also have equal bytes.
    return np.ascontiguousarray(ordered + 0.0, dtype=np.float32)


def _chunks(
    bars: BarSeries, days: NDArray[np.int64], of_macro: NDArray[np.float64]
) -> Iterator[_Rows]:
    windows = sliding_window_view(bars.closes, WINDOW)
    opened = np.searchsorted(days, days[WINDOW - 1 :])
    first = np.maximum(opened - np.arange(len(windows)), 0)
    for begin in range(0, len(windows), _CHUNK):
        chosen = slice(begin, begin + _CHUNK)
        yield _Rows(
            closes=np.ascontiguousarray(windows[chosen]),
            first=first[chosen],
            starts=bars.starts[WINDOW - 1 :][chosen],
            of_macro=of_macro[chosen],
        )


def _macro_rows(
    macro: MacroSeries | None, days: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Macro features for each bar's local date, and which bars have them.

    Returns:
        Values, shape (n, 7), and a mask, shape (n,).
    """
    if macro is None:
        return np.tile(neutral_macro_features(), (len(days), 1)), np.ones(len(days), dtype=bool)
    distinct, position = np.unique(days, return_inverse=True)
    values = np.zeros((len(distinct), len(MACRO_FEATURES)))
    ready = np.ones(len(distinct), dtype=bool)
    last_refusal: NotReady | None = None
    for row, day in enumerate(distinct):
        try:
            values[row] = macro_features(macro, int(day))
        except NotReady as refusal:
            ready[row], last_refusal = False, refusal
    if last_refusal is not None and not ready.any():
        raise last_refusal
    return values[position], ready[position]


def _require_computable(schema: Schema) -> None:
    if schema.sent_by_callers:
        raise NotReady(
            f"not ready: schema {schema.version} has numbers that only callers know: "
            f"{', '.join(schema.sent_by_callers)}; send the vector with `features`"
        )


def _require_window(bars: BarSeries) -> None:
    if len(bars) < WINDOW:
        raise NotReady(
            f"not ready: {len(bars)} of {WINDOW} bars; a vector reads the last {WINDOW} closes"
        )
