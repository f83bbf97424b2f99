"""One signed action with a deviation: how much of its distribution lies beyond the threshold."""

import math

import numpy as np
from numpy.typing import NDArray

from errors import InferenceFault

__all__ = ["mass_beyond_threshold"]

_SQRT_HALF = math.sqrt(0.5)


def mass_beyond_threshold(
    mean: NDArray[np.generic], deviation: NDArray[np.generic], threshold: float
) -> NDArray[np.float64]:
    """Probabilities that a normally distributed action means SELL, HOLD or BUY.

    SELL is P(action < -t), BUY is P(action > t), HOLD is what lies between:
    Phi((-t - mean) / deviation), 1 - Phi((t - mean) / deviation), and 1 minus both, with
    Phi(x) = erfc(-x / sqrt(2)) / 2, which keeps its precision in the tails.

    Args:
        mean: (n, 1) or (n,), finite.
        deviation: (n, 1) or (n,), finite, above 0; in the unit of the mean.
        threshold: t, above 0; in the unit of the mean.

    Returns:
        (n, 3) float64 in the order SELL, HOLD, BUY.

    Raises:
        InferenceFault: a deviation is not above 0.

    >>> mass_beyond_threshold(np.array([0.0]), np.array([0.3]), 0.3).round(4)
    array([[0.1587, 0.6827, 0.1587]])
    """
    if mean.size == 1:  # a NumPy call costs a microsecond whatever its size; floats do not
        return np.array([_masses(mean.item(), deviation.item(), threshold)])
    centre = mean.astype(np.float64).reshape(-1)
    spread = deviation.astype(np.float64).reshape(-1)
    if not spread.min() > 0.0:
        raise InferenceFault(f"a deviation of {spread.min()} is not above 0")
    scale = _SQRT_HALF / spread
    probabilities = np.empty((centre.size, 3))
    probabilities[:, 0] = _half_erfc((threshold + centre) * scale)
    probabilities[:, 2] = _half_erfc((threshold - centre) * scale)
    between = 1.0 - probabilities[:, 0] - probabilities[:, 2]
    probabilities[:, 1] = np.maximum(between, 0.0)  # rounding may leave -1e-17
    return probabilities


def _masses(mean: float, deviation: float, threshold: float) -> tuple[float, float, float]:
    if not deviation > 0.0:
        raise InferenceFault(f"a deviation of {deviation} is not above 0")
    scale = _SQRT_HALF / deviation
    sell = 0.5 * math.erfc((threshold + mean) * scale)
    buy = 0.5 * math.erfc((threshold - mean) * scale)
    return sell, max(1.0 - sell - buy, 0.0), buy


def _half_erfc(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """erfc(x) / 2. NumPy has no erfc; mapping C's over a list costs 50 ns a number."""
    halves = np.fromiter(map(math.erfc, values.tolist()), dtype=np.float64, count=values.size)
    halves *= 0.5
    return halves
