"""Oscillators and averages of closes: RSI, MACD, moving averages, bands, stochastic, trend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.windows import (
    deviations,
    divide,
    exponential_weights,
    flat_weights,
    mean,
    stacked,
    weighted_sums,
    wilder_weights,
)

__all__ = ["momentum_features"]

Rows = NDArray[np.float64]

_RSI_PERIODS: Final = (9, 14, 21)
_RSI_WEIGHTS: Final = stacked([wilder_weights(period) for period in _RSI_PERIODS])
_TREND_BARS: Final = 60
_TREND_STEPS: Final[Rows] = np.arange(float(_TREND_BARS)) - (_TREND_BARS - 1) / 2
_TREND_SPREAD: Final = float(np.square(_TREND_STEPS).sum())
_GREATEST_TREND: Final = 100.0
# t^2 = 58 r^2 / (1 - r^2), solved for the r^2 at which |t| reaches its bound.
_GREATEST_FIT: Final = _GREATEST_TREND**2 / (_TREND_BARS - 2 + _GREATEST_TREND**2)
# Columns of the last three windows of 14 closes among the last 16, shape (3, 14).
_STOCHASTIC_WINDOWS: Final = np.arange(14) + np.arange(3)[:, np.newaxis]


def _macd_weights() -> tuple[Rows, Rows]:
    """MACD and its signal as weights of closes, shapes (104,) and (139,).

    An average of averages is again a weighted sum: the two sets of weights are convolved.
    """
    line, faster = -exponential_weights(26), exponential_weights(12)
    line[-len(faster) :] += faster
    return line, np.convolve(line, exponential_weights(9))


_MACD, _MACD_SIGNAL = _macd_weights()

# The averages that the close is set against: name → weights.
_AVERAGES: Final = {
    **{f"sma_{bars}": flat_weights(bars) for bars in (12, 20, 50, 100)},
    **{f"ema_{span}": exponential_weights(span) for span in (12, 26, 60)},
}
# Everything that is a weighted sum of closes, computed in one go; the averages come first.
_SUMS: Final = {
    **_AVERAGES,
    "sma_60": flat_weights(60),
    "macd": _MACD,
    "macd_signal": _MACD_SIGNAL,
    "trend": _TREND_STEPS,
}
_SUM_WEIGHTS: Final = stacked(list(_SUMS.values()))
_RATIOS: Final = tuple(name.replace("ma_", "ma_ratio_") for name in _AVERAGES)
_RSI: Final = tuple(f"rsi_{period}" for period in _RSI_PERIODS)


def momentum_features(closes: Rows) -> dict[str, Rows]:
    """Every feature that depends on the shape of the last closes alone.

    Args:
        closes: shape (rows, bars) with 240 bars or more, oldest first.

    Returns:
        name → values, shape (rows,) each.
    """
    relative = deviations(closes)
    every_sum = weighted_sums(relative, _SUM_WEIGHTS)
    sums = dict(zip(_SUMS, every_sum.T, strict=True))
    averages = every_sum[:, : len(_AVERAGES)]
    deviation_20 = _deviation(relative, sums["sma_20"], 20)
    deviation_60 = _deviation(relative, sums["sma_60"], 60)
    return {
        **_relative_strength(relative),
        "macd": sums["macd"],
        "macd_signal": sums["macd_signal"],
        "macd_histogram": sums["macd"] - sums["macd_signal"],
        **_ratios(sums, averages),
        "bollinger_z_20": divide(-sums["sma_20"], deviation_20, otherwise=0.0),
        "bollinger_width_20": 4.0 * deviation_20 / (1.0 + sums["sma_20"]),
        **_stochastic(closes),
        "z_score_60": divide(-sums["sma_60"], deviation_60, otherwise=0.0),
        "trend_t_60": _trend(sums["trend"], deviation_60),
    }


def _relative_strength(relative: Rows) -> dict[str, Rows]:
    """RSI: J. Welles Wilder, New Concepts in Technical Trading Systems, 1978."""
    recent = relative[:, -(_RSI_WEIGHTS.shape[1] + 1) :]
    changes = recent[:, 1:] - recent[:, :-1]
    moves = np.maximum(np.concatenate((changes, -changes)), 0.0)
    up, down = weighted_sums(moves, _RSI_WEIGHTS).reshape(2, len(changes), -1)
    strengths = 100.0 * divide(up, up + down, otherwise=0.5)
    return dict(zip(_RSI, strengths.T, strict=True))


def _ratios(sums: Mapping[str, Rows], averages: Rows) -> dict[str, Rows]:
    """Close over its averages, minus 1: with the average at 1 + m, that is -m / (1 + m)."""
    ratios = -averages / (1.0 + averages)
    return {
        **dict(zip(_RATIOS, ratios.T, strict=True)),
        "sma_ratio_12_50": (sums["sma_12"] - sums["sma_50"]) / (1.0 + sums["sma_50"]),
    }


def _deviation(relative: Rows, centre: Rows, bars: int) -> Rows:
    """Population standard deviation of the last bars around their mean, shape (rows,)."""
    return np.sqrt(mean(np.square(relative[:, -bars:] - centre[:, np.newaxis]), bars))


def _stochastic(closes: Rows) -> dict[str, Rows]:
    """%K over 14 closes and %D, its mean over three bars (George Lane 1984)."""
    windows = closes[:, -16:][:, _STOCHASTIC_WINDOWS]
    least, greatest = np.minimum.reduce(windows, axis=-1), np.maximum.reduce(windows, axis=-1)
    lines = 100.0 * divide(closes[:, -3:] - least, greatest - least, otherwise=0.5)
    return {"stochastic_k_14": lines[:, -1], "stochastic_d_3": mean(lines, 3)}


def _trend(product: Rows, deviation: Rows) -> Rows:
    """t-statistic of the least-squares slope over 60 closes, shape (rows,).

    Args:
        product: sum of closes times steps, shape (rows,).
        deviation: population standard deviation of the closes, shape (rows,).
    """
    explained = np.square(product) / _TREND_SPREAD
    total = _TREND_BARS * np.square(deviation)
    fit = np.minimum(divide(explained, total, otherwise=0.0), _GREATEST_FIT)
    return np.copysign(np.sqrt((_TREND_BARS - 2) * fit / (1.0 - fit)), product)
