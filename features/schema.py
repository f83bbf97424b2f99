"""The feature schema: names, order, formulas, units and sources in one table.

Code, documentation (`docs/features.md`) and model metadata share this table. In its formulas
`c` is a close, `c[k]` the close k bars ago (`c[0]` is the bar itself), `r[k] = ln(c[k] / c[k+1])`,
`SMA(n)` the mean of the last n closes and `sd(n)` their population standard deviation.

`EMA(n)` is the exponential average with weight 2/(n+1) over the last 4n closes, its weights
scaled to a sum of 1. `Wilder(n)` is the smoothing with weight 1/n over the last 8n changes. Both
leave out less than e^-8 = 0.034% of the infinite recursion, so that a value depends on a stated
number of bars and not on where a calculation began.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from errors import InvalidRequest
from features.support import SUPPORT

__all__ = ["USDCOP_M5", "Feature", "Schema"]


@dataclass(frozen=True)
class Feature:
    """One number of the vector.

    Attributes:
        name: what requests, reports and records call it.
        formula: how it is computed, with its value where the formula would divide by zero.
        unit: what one is.
        lookback: how many of the newest values of the source it reads: bars, or daily values.
        source: the series it is made of.
        low: no value of the formula is less; None if there is no such number. It and `high` are
            rounded outwards to what float32 may show.
        high: no value of the formula is greater; None if there is no such number.
    """

    name: str
    formula: str
    unit: str
    lookback: int
    source: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Schema:
    """A versioned, ordered list of features. Names are distinct.

    Raises:
        ValueError: no feature, or a name is used twice.
    """

    version: str
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if not self.features:
            raise ValueError(f"schema {self.version!r} names no feature")
        twice = {name for name in self.names if self.names.count(name) > 1}
        if twice:
            raise ValueError(f"schema {self.version!r} names {sorted(twice)[0]!r} twice")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the vector."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def state_columns(self) -> tuple[int, ...]:
        """Where the features of the book are: those whose source is `state`."""
        return tuple(k for k, feature in enumerate(self.features) if feature.source == "state")

    @cached_property
    def sent_by_callers(self) -> tuple[str, ...]:
        """Names that the service cannot compute: those whose source is `caller`."""
        return tuple(feature.name for feature in self.features if feature.source == "caller")

    @cached_property
    def hash(self) -> str:
        """SHA-256, 64 hexadecimal digits, over version, names, their order, formulas, sources."""
        rows = [[feature.name, feature.formula, feature.source] for feature in self.features]
        canonical = json.dumps([self.version, rows], separators=(",", ":"), ensure_ascii=True)
        return sha256(canonical.encode("ascii")).hexdigest()

    def named(self, vector: NDArray[np.float32]) -> dict[str, float]:
        """A vector of shape (number of features,) by name, without the features of the book."""
        return {
            feature.name: value
            for feature, value in zip(self.features, vector.tolist(), strict=True)
            if feature.source != "state"
        }

    def order(self, values: Mapping[str, float]) -> NDArray[np.float32]:
        """Put named values in the order of the vector.

        Args:
            values: one finite number for every name, and nothing else; those of the book may
                be left out, all of them.

        Returns:
            Vector of shape (number of features,), with 0 for what was left out.

        Raises:
            InvalidRequest: a name is missing or unknown, or a value is no finite number.
        """
        state = {self.names[column]: 0.0 for column in self.state_columns}
        if state and not state.keys() & values.keys():
            values = {**values, **state}
        missing = [name for name in self.names if name not in values]
        unknown = [name for name in values if name not in self.names]
        if missing or unknown:
            raise InvalidRequest(
                f"features must be exactly the {len(self.names)} names of schema {self.version}"
                f"{_listing('missing', missing)}{_listing('unknown', unknown)}",
                detail={"missing": missing, "unknown": unknown},
            )
        vector = np.array([_float32(values[name]) for name in self.names], dtype=np.float32)
        bad = [name for name, good in zip(self.names, np.isfinite(vector), strict=True) if not good]
        if bad:
            raise InvalidRequest(
                f"features must be finite numbers within float32{_listing('not so', bad)}",
                detail={"not_finite": bad},
            )
        return vector


def _float32(value: object) -> np.float32:
    """Round to float32; what is no number, or too large for one, becomes NaN or infinite."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return np.float32(np.nan)
    try:
        with np.errstate(over="ignore"):
            return np.float32(float(value))
    except OverflowError:
        return np.float32(np.inf)


def _listing(label: str, names: Iterable[object]) -> str:
    shown = ", ".join(str(name) for name in names)
    return f"; {label}: {shown}" if shown else ""


def _over_bars(spans: Mapping[str, int], first: str, formula: str) -> tuple[Feature, ...]:
    """Features that differ only in how many five-minute returns they cover."""
    return tuple(
        Feature(f"{first}_{span}", formula.format(n=bars), "fraction", bars + 1, "close")
        for span, bars in spans.items()
    )


def _of_closes(name: str, formula: str, unit: str, lookback: int) -> Feature:
    return Feature(name, formula, unit, lookback, "close")


def _macro_z(name: str, column: str) -> Feature:
    formula = "(v[0] - mean) / sd of the last 60 daily values; 0 if sd is 0"
    return Feature(name, formula, "standard deviations", 60, f"{column} at T-1")


def _macro_change(name: str, column: str) -> Feature:
    return Feature(name, "ln(v[0] / v[1]) of daily values", "fraction", 2, f"{column} at T-1")


def _with_support(*features: Feature) -> tuple[Feature, ...]:
    bounds = [SUPPORT.get(feature.name, (None, None)) for feature in features]
    return tuple(
        replace(feature, low=low, high=high)
        for feature, (low, high) in zip(features, bounds, strict=True)
    )


USDCOP_M5 = Schema(
    version="usdcop-m5-1",
    features=_with_support(
        *_over_bars(
            {"5m": 1, "15m": 3, "30m": 6, "1h": 12, "2h": 24, "4h": 48, "1d": 60},
            "log_return",
            "ln(c[0] / c[{n}])",
        ),
        *_over_bars(
            {"30m": 6, "1h": 12, "4h": 48, "1d": 60},
            "volatility",
            "sqrt(mean of the last {n} values of r^2), per bar (Andersen and Bollerslev 1998)",
        ),
        _of_closes(
            "volatility_ratio_1h_1d", "volatility_1h / volatility_1d; 1 if that is 0", "ratio", 61
        ),
        *(
            _of_closes(
                f"rsi_{n}",
                f"100 * U / (U + D), U and D the Wilder({n}) averages of rises and falls of c; "
                "50 if both are 0 (Wilder 1978)",
                "0 to 100",
                8 * n + 1,
            )
            for n in (9, 14, 21)
        ),
        _of_closes("macd", "(EMA(12) - EMA(26)) / c[0] (Appel)", "fraction", 104),
        _of_closes("macd_signal", "EMA(9) of EMA(12) - EMA(26), divided by c[0]", "fraction", 139),
        _of_closes("macd_histogram", "macd - macd_signal", "fraction", 139),
        *(
            _of_closes(f"sma_ratio_{n}", f"c[0] / SMA({n}) - 1", "fraction", n)
            for n in (12, 20, 50, 100)
        ),
        *(
            _of_closes(f"ema_ratio_{n}", f"c[0] / EMA({n}) - 1", "fraction", 4 * n)
            for n in (12, 26, 60)
        ),
        _of_closes("sma_ratio_12_50", "SMA(12) / SMA(50) - 1", "fraction", 50),
        _of_closes(
            "bollinger_z_20",
            "(c[0] - SMA(20)) / sd(20); 0 if sd(20) is 0 (Bollinger 2001)",
            "standard deviations",
            20,
        ),
        _of_closes("bollinger_width_20", "4 * sd(20) / SMA(20)", "fraction", 20),
        _of_closes(
            "stochastic_k_14",
            "%K = 100 * (c[0] - L) / (H - L), L and H the least and greatest of 14 closes; "
            "50 if they are equal (Lane 1984, on closes)",
            "0 to 100",
            14,
        ),
        _of_closes(
            "stochastic_d_3", "mean of the last three %K of stochastic_k_14", "0 to 100", 16
        ),
        _of_closes(
            "z_score_60", "(c[0] - SMA(60)) / sd(60); 0 if sd(60) is 0", "standard deviations", 60
        ),
        _of_closes(
            "trend_t_60",
            "t-statistic (58 degrees of freedom) of the least-squares slope of 60 closes over "
            "their number; within -100 and 100; 0 if all are equal",
            "standard errors",
            60,
        ),
        Feature(
            "session_return",
            "ln(c[0] / o), o the close of the first bar of the same local date, "
            "among the last 240 bars",
            "fraction",
            240,
            "close, clock",
        ),
        Feature(
            "session_range",
            "ln(H / L), H and L the greatest and least close of the same local date, "
            "among the last 240 bars",
            "fraction",
            240,
            "close, clock",
        ),
        Feature(
            "minute_sin", "sin(2 pi m / 1440), m the local minute of the day", "-1 to 1", 1, "clock"
        ),
        Feature(
            "minute_cos", "cos(2 pi m / 1440), m the local minute of the day", "-1 to 1", 1, "clock"
        ),
        Feature("weekday", "local weekday, Monday is 0", "0 to 6", 1, "clock"),
        Feature(
            "session_progress",
            "(local time - session start) / (session end - session start), within 0 and 1",
            "0 to 1",
            1,
            "clock",
        ),
        _macro_z("dxy_z", "dxy"),
        _macro_change("dxy_change_1d", "dxy"),
        _macro_z("vix_z", "vix"),
        _macro_z("embi_z", "embi_col"),
        _macro_change("brent_change_1d", "brent"),
        Feature(
            "rate_spread", "col10y - ust10y", "percentage points", 1, "col10y and ust10y at T-1"
        ),
        _macro_change("usdmxn_change_1d", "usdmxn"),
    ),
)
"""The built-in schema: 45 features of USD/COP in five-minute bars; one day is 60 bars."""
