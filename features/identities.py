"""What holds among features by definition, whatever the market does.

A column that was swapped, rescaled or set to zero may stay within its own range; it seldom keeps
these. Each identity is one expression of names and arithmetic, so the same lines judge one vector
(floats) and many (columns). Tolerances cover the rounding of features to float32, about 6e-8 of a
value, several times over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["IDENTITIES", "Identity", "session_excess"]

_ROUNDING: Final = 2e-6
"""Relative gap that float32 may cause, ten times the widest seen on six years of bars."""

Columns = Mapping[str, Any]


@dataclass(frozen=True)
class Identity:
    """A relation among features.

    Attributes:
        name: the feature that is said to be wrong when it fails.
        words: the relation, as it follows "must be".
        needs: the features it reads, `name` among them.
        excess: by how much it fails: it holds where this is 0 or less.
    """

    name: str
    words: str
    needs: tuple[str, ...]
    excess: Callable[[Columns], Any]


def session_excess(columns: Columns, minute: Any, start: float, end: float) -> Any:
    """By how much the progress of the session differs from that of the clock.

    Args:
        columns: values of session_progress.
        minute: local minutes of the day, 0 to 1440.
        start: minute at which the session starts.
        end: minute at which it ends.
    """
    share = (minute - start) / (end - start)
    within = (abs(share) - abs(share - 1.0) + 1.0) / 2.0  # clipped to 0 and 1
    return abs(columns["session_progress"] - within) - 1e-4


def _macd(c: Columns) -> Any:
    size = abs(c["macd"]) + abs(c["macd_signal"]) + abs(c["macd_histogram"])
    return abs(c["macd"] - c["macd_signal"] - c["macd_histogram"]) - _ROUNDING * size


def _volatility_ratio(c: Columns) -> Any:
    short = c["volatility_1h"]
    return abs(c["volatility_ratio_1h_1d"] * c["volatility_1d"] - short) - _ROUNDING * short


def _averages(c: Columns) -> Any:
    left = (1.0 + c["sma_ratio_12_50"]) * (1.0 + c["sma_ratio_12"])
    right = 1.0 + c["sma_ratio_50"]
    return abs(left - right) - _ROUNDING * abs(right)


def _bands(c: Columns) -> Any:
    left = 4.0 * c["sma_ratio_20"]
    return abs(left - c["bollinger_z_20"] * c["bollinger_width_20"]) - _ROUNDING * abs(left)


def _sum_of_squares(volatility: Any, bars: int) -> Any:
    return bars * (volatility * volatility)


def _least_squares(longer: Any, shorter: Any, bars: int) -> Any:
    """The least sum of squares of so many returns that take one return to the other."""
    step = longer - shorter
    return step * step / bars


def _half_hour(c: Columns) -> Any:
    last, quarter, half = c["log_return_5m"], c["log_return_15m"], c["log_return_30m"]
    moved = last * last + _least_squares(quarter, last, 2) + _least_squares(half, quarter, 3)
    return moved - (1.0 + 2.0 * _ROUNDING) * _sum_of_squares(c["volatility_30m"], 6)


def _hour(c: Columns) -> Any:
    room = _room(c["volatility_1h"], 12, c["volatility_30m"], 6)
    return _least_squares(c["log_return_1h"], c["log_return_30m"], 6) - room


def _four_hours(c: Columns) -> Any:
    room = _room(c["volatility_4h"], 48, c["volatility_1h"], 12)
    hour, two, four = c["log_return_1h"], c["log_return_2h"], c["log_return_4h"]
    return _least_squares(two, hour, 12) + _least_squares(four, two, 24) - room


def _day(c: Columns) -> Any:
    room = _room(c["volatility_1d"], 60, c["volatility_4h"], 48)
    return _least_squares(c["log_return_1d"], c["log_return_4h"], 12) - room


def _room(longer: Any, bars: int, shorter: Any, fewer: int) -> Any:
    """The sum of squares of the returns that only the longer volatility covers."""
    total = _sum_of_squares(longer, bars)
    return total - _sum_of_squares(shorter, fewer) + 2.0 * _ROUNDING * total


def _session(c: Columns) -> Any:
    return abs(c["session_return"]) - (1.0 + _ROUNDING) * c["session_range"]


def _stochastic(c: Columns) -> Any:
    # Of the three values of which %D is the mean, two are unknown and lie between 0 and 100.
    others = 3.0 * c["stochastic_d_3"] - c["stochastic_k_14"]
    return abs(others - 100.0) - 100.0 - 1e-3


def _at_an_extreme(c: Columns) -> Any:
    one, two = c["log_return_5m"], c["log_return_15m"]
    three, four = c["log_return_30m"], c["log_return_1h"]
    size = abs(one) + abs(two) + abs(three) + abs(four)
    total = one + two + three + four
    # Twice the sum of those below 0, and of those above it; neither may be where it would show.
    top, bottom = c["stochastic_k_14"] >= 100.0, c["stochastic_k_14"] <= 0.0
    return top * (size - total) + bottom * (size + total) - 1e-7


def _circle(c: Columns) -> Any:
    sine, cosine = c["minute_sin"], c["minute_cos"]
    return abs(sine * sine + cosine * cosine - 1.0) - _ROUNDING


def _whole_weekday(c: Columns) -> Any:
    return c["weekday"] % 1.0


def _volatility(span: str, words: str, excess: Callable[[Columns], Any], *needs: str) -> Identity:
    return Identity(f"volatility_{span}", words, (f"volatility_{span}", *needs), excess)


IDENTITIES: Final = (
    Identity(
        "macd_histogram",
        "macd - macd_signal",
        ("macd_histogram", "macd", "macd_signal"),
        _macd,
    ),
    Identity(
        "volatility_ratio_1h_1d",
        "volatility_1h / volatility_1d",
        ("volatility_ratio_1h_1d", "volatility_1h", "volatility_1d"),
        _volatility_ratio,
    ),
    Identity(
        "sma_ratio_12_50",
        "(1 + sma_ratio_50) / (1 + sma_ratio_12) - 1",
        ("sma_ratio_12_50", "sma_ratio_12", "sma_ratio_50"),
        _averages,
    ),
    Identity(
        "sma_ratio_20",
        "bollinger_z_20 * bollinger_width_20 / 4",
        ("sma_ratio_20", "bollinger_z_20", "bollinger_width_20"),
        _bands,
    ),
    _volatility(
        "30m",
        "enough for the returns within it (Cauchy and Schwarz)",
        _half_hour,
        *("log_return_5m", "log_return_15m", "log_return_30m"),
    ),
    _volatility(
        "1h",
        "enough for volatility_30m and the return before it",
        _hour,
        *("volatility_30m", "log_return_30m", "log_return_1h"),
    ),
    _volatility(
        "4h",
        "enough for volatility_1h and the returns before it",
        _four_hours,
        *("volatility_1h", "log_return_1h", "log_return_2h", "log_return_4h"),
    ),
    _volatility(
        "1d",
        "enough for volatility_4h and the return before it",
        _day,
        *("volatility_4h", "log_return_4h", "log_return_1d"),
    ),
    Identity(
        "session_return",
        "within session_range",
        ("session_return", "session_range"),
        _session,
    ),
    Identity(
        "stochastic_d_3",
        "the mean of stochastic_k_14 and two numbers from 0 to 100",
        ("stochastic_d_3", "stochastic_k_14"),
        _stochastic,
    ),
    Identity(
        "stochastic_k_14",
        "100 only above, and 0 only below the closes of the last hour",
        ("stochastic_k_14", "log_return_5m", "log_return_15m", "log_return_30m", "log_return_1h"),
        _at_an_extreme,
    ),
    Identity(
        "minute_sin",
        "on the unit circle with minute_cos",
        ("minute_sin", "minute_cos"),
        _circle,
    ),
    Identity("weekday", "a whole number", ("weekday",), _whole_weekday),
)
"""In the order in which they are reported."""
