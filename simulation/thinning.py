"""Fewer points of a long series, with its extremes left in: what a plot of it needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["extremes"]


def extremes(days: NDArray[np.int64], values: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Which points to draw: all if they are few, else the lowest and highest of each stretch.

    A stretch is a part of a day, as short as `most` allows, or several days where there are more
    of them than half of `most`. The first and the last point are always among them.

    Args:
        days: of the points, rising, shape (n,).
        values: finite, shape (n,).
        most: points to choose, 4 or more.

    Returns:
        Indices, rising, shape (m,), m ≤ `most`.

    >>> day = np.array([1, 1, 1, 1, 2, 2, 2, 2])
    >>> extremes(day, np.array([0.0, 3.0, -1.0, 1.0, 1.0, 1.0, 4.0, 2.0]), 6).tolist()
    [0, 1, 2, 4, 6, 7]
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    stretches = _stretches(days, (most - 2) // 2)
    order = np.lexsort((values, stretches))
    changes = np.flatnonzero(np.diff(stretches[order])) + 1
    lowest = order[np.concatenate([[0], changes])]
    highest = order[np.concatenate([changes - 1, [count - 1]])]
    return np.unique(np.concatenate([[0], lowest, highest, [count - 1]]))


def _stretches(days: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Number of each point's stretch, 0 and above, rising, at most `most` of them, shape (n,)."""
    _, first, day, sizes = np.unique(
        days, return_index=True, return_inverse=True, return_counts=True
    )
    if len(first) > most:
        return day // -(-len(first) // most)
    parts = most // len(first)
    place = np.arange(len(days)) - first[day]
    stretches: NDArray[np.int64] = day * parts + place * parts // sizes[day]
    return stretches
