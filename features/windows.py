"""Sums over the last bars, row by row, so that one row and a million give the same bits.

Every array here is (rows, bars), oldest bar first. NumPy sums the contiguous last axis of each
row by itself, in an order that depends on the number of bars alone; a matrix product (BLAS) would
not. Differences are taken against the newest close before anything is summed: equal closes then
give exact zeros instead of rounding noise.

A live vector is one row, and what it takes is the number of calls into NumPy: ufuncs are called
directly, without the wrappers around them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "deviations",
    "divide",
    "exponential_weights",
    "flat_weights",
    "mean",
    "stacked",
    "weighted_sums",
    "wilder_weights",
]

Rows = NDArray[np.float64]


def deviations(closes: Rows) -> Rows:
    """Closes relative to the newest of their row: c[k] / c[0] - 1, shape (rows, bars)."""
    newest = closes[:, -1:]
    relative: Rows = closes - newest
    relative /= newest
    return relative


def mean(values: Rows, bars: int) -> Rows:
    """Mean of the last `bars` values of each row, shape (rows,)."""
    total: Rows = np.add.reduce(values[:, -bars:], axis=-1)
    return total / bars


def weighted_sums(values: Rows, weights: Rows) -> Rows:
    """Weighted sums of the last values of each row.

    Args:
        values: shape (rows, bars).
        weights: shape (sums, length) with length ≤ bars.

    Returns:
        Shape (rows, sums).
    """
    products = values[:, np.newaxis, -weights.shape[1] :] * weights
    totals: Rows = np.add.reduce(products, axis=-1)
    return totals


def stacked(weights: list[Rows]) -> Rows:
    """Put weights of different lengths under each other, zeros before the shorter ones."""
    length = max(len(row) for row in weights)
    return np.stack([np.pad(row, (length - len(row), 0)) for row in weights])


def divide(numerator: Rows, denominator: Rows, otherwise: float) -> Rows:
    """Quotient, or `otherwise` where the denominator is zero; shape as given."""
    quotient = np.empty_like(numerator)
    quotient.fill(otherwise)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def flat_weights(bars: int) -> Rows:
    """Weights of a simple average, 1/bars each, shape (bars,)."""
    return np.full(bars, 1.0 / bars)


def exponential_weights(span: int) -> Rows:
    """Weights of an exponential average with weight 2/(span+1), cut off after 4 spans.

    Returns:
        Weights that add up to 1, the newest last, shape (4 * span,).
    """
    return _decaying(2.0 / (span + 1), 4 * span)


def wilder_weights(period: int) -> Rows:
    """Weights of Wilder's smoothing with weight 1/period, cut off after 8 periods.

    Returns:
        Weights that add up to 1, the newest last, shape (8 * period,).
    """
    return _decaying(1.0 / period, 8 * period)


def _decaying(newest: float, length: int) -> Rows:
    weights = np.array([(1.0 - newest) ** age for age in range(length - 1, -1, -1)])
    normalised: Rows = weights / weights.sum()
    normalised.setflags(write=False)
    return normalised
