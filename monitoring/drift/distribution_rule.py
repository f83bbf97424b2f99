"""Which features are farther from the reference than past sessions strayed.

For each feature two distances of the session so far: its mean from the median of past means, and
its whole distribution from that of the past (the first Wasserstein distance between quantiles).
Past sessions, up to the same time of day, have such distances too; a feature has drifted when
one of its own is more than `MARGIN` times the largest of theirs. An hour of autocorrelated
rows is far from thirty days of them by any test that takes rows as independent; it is seldom
farther than every past one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from monitoring.drift.finding import Finding, Kind

__all__ = ["LEAST_WINDOWS", "distribution_findings"]

MARGIN: Final = 3.0
LEAST_WINDOWS: Final = 15
"""Fewer past sessions give no limits."""

_LEAST_ROWS: Final = 6
_QUANTILES: Final = 50
_FARTHEST: Final = 1e6

Rows = NDArray[np.float64]


def distribution_findings(today: Rows, past: Sequence[Rows], names: Sequence[str]) -> list[Finding]:
    """Features that have drifted.

    Args:
        today: the session so far, shape (n, m).
        past: past sessions up to the same time of day, each of shape (any, m).
        names: of the columns, m of them.
    """
    past = [window for window in past if len(window) >= _LEAST_ROWS]
    if len(today) < _LEAST_ROWS or len(past) < LEAST_WINDOWS:
        return []
    of_mean = _of_means(today, past)
    of_shape = _of_quantiles(today, past)
    scores = np.maximum(of_mean, of_shape) / MARGIN
    middle = np.median([window.mean(axis=0) for window in past], axis=0)
    return [
        Finding(
            Kind.DRIFTED,
            name,
            float(scores[column]),
            f"its mean is {today[:, column].mean():.6g}, usually {middle[column]:.6g}; of "
            f"{len(past)} sessions none strayed 1/{MARGIN:g} as far",
        )
        for column, name in enumerate(names)
        if scores[column] > 1.0
    ]


def _of_means(today: Rows, past: Sequence[Rows]) -> Rows:
    means = np.array([window.mean(axis=0) for window in past])
    middle = np.median(means, axis=0)
    return _over(np.abs(today.mean(axis=0) - middle), np.abs(means - middle).max(axis=0), middle)


def _of_quantiles(today: Rows, past: Sequence[Rows]) -> Rows:
    quantiles = np.array([_quantiles(window) for window in past])
    reference = quantiles.mean(axis=0)
    distances = np.abs(quantiles - reference).mean(axis=1)
    distance = np.abs(_quantiles(today) - reference).mean(axis=0)
    return _over(distance, distances.max(axis=0), np.abs(reference).max(axis=0))


def _quantiles(rows: Rows) -> Rows:
    """The value at evenly spaced ranks, shape (`_QUANTILES`, m)."""
    ranks = ((np.arange(_QUANTILES) + 0.5) / _QUANTILES * len(rows)).astype(np.int64)
    return np.sort(rows, axis=0)[ranks]


def _over(distance: Rows, largest: Rows, size: Rows) -> Rows:
    """Distance over the largest of the past; what float32 rounds away is no distance."""
    rounding = 1e-6 * np.abs(size) + 1e-12
    return np.minimum(distance / np.maximum(largest, rounding), _FARTHEST)
