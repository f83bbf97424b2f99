"""How far each feature of the closes lies from what the others say about it.

Features of one price path are close to linear in each other once returns are divided by
volatility. With K the inverse of their correlation matrix, e = K z / diag(K) is each feature's
residual given all others. A feature that does not belong with the rest stands out here while it
is well within its own range.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.known_ranges import extremes_by_day

__all__ = ["Relations", "fit_relations", "in_order"]

Rows = NDArray[np.float64]

SCALE: Final = "volatility_1d"
_DIVIDED: Final = ("log_return_", "macd", "sma_ratio_", "ema_ratio_", "session_r")
_IN_LOGS: Final = ("volatility_30m", "volatility_1h", "volatility_4h", "bollinger_width_20")
_AS_THEY_ARE: Final = (
    "rsi_",
    "bollinger_z",
    "stochastic_",
    "z_score_60",
    "trend_t",
    "volatility_ratio",
)

RIDGE: Final = 1e-4
"""Added to the diagonal of the correlation matrix: identities make it singular otherwise."""

FARTHEST: Final = 8.0
"""Standard deviations beyond which a feature counts as that far: one fault must not blur all."""

BLOCKS: Final = 5
"""Blocks of days; each is judged by relations that were fitted on the others."""

LIMIT_MARGIN: Final = 1.25
"""Limits, over the extremes (`extremes_by_day`) of the blocks that were left out."""

LEAST: Final = 1e-6
"""The logarithm of less is not taken, and no limit is less."""

_CHUNK: Final = 256


@dataclass(frozen=True, eq=False)
class Relations:
    """What the others say about each of k features; arrays are read-only.

    Attributes:
        names: the features as `in_order` has them, `volatility_1d` first.
        floor: least value before a logarithm is taken, shape (k,); 0 for the others.
        centre: median of each feature after its transformation, shape (k,).
        spread: its standard deviation, shape (k,), above 0.
        weights: rows of K / diag(K), shape (k, k).
        limits: greatest residual on either side, in standard deviations, shape (k,).
    """

    names: tuple[str, ...]
    floor: Rows
    centre: Rows
    spread: Rows
    weights: Rows
    limits: Rows

    def __post_init__(self) -> None:
        for array in (self.floor, self.centre, self.spread, self.weights, self.limits):
            array.setflags(write=False)

    def scores(self, values: Rows) -> Rows:
        """Residuals over their limits: beyond 1 or -1 is outside.

        Args:
            values: the features in the order of `names`, shape (n, k).

        Returns:
            Shape (n, k); a row is the same to the bit however many there are.
        """
        return self.residuals(self.standardised(values)) / self.limits

    def scores_of(self, row: Rows) -> list[float]:
        """`scores` of one vector, shape (k,), to the bit: every decision waits for them."""
        logarithms, divided = self._groups
        z = row.copy()
        z[1:divided] /= max(row.item(0), self.floor.item(0))
        in_logs = z[:logarithms]
        np.maximum(in_logs, self.floor[:logarithms], out=in_logs)
        np.log(in_logs, out=in_logs)
        z -= self.centre
        z /= self.spread
        np.maximum(z, -FARTHEST, out=z)
        np.minimum(z, FARTHEST, out=z)
        scores: Rows = np.add.reduce(self.weights * z, axis=1)
        scores /= self.limits
        found: list[float] = scores.tolist()
        return found

    def standardised(self, values: Rows) -> Rows:
        """Features in standard deviations from their centre, within ±`FARTHEST`."""
        z = (self.transformed(values) - self.centre) / self.spread
        return np.minimum(np.maximum(z, -FARTHEST), FARTHEST)

    def residuals(self, z: Rows) -> Rows:
        """Residuals in standard deviations, shape (n, k)."""
        # Not a matrix product: its rounding would depend on the number of rows.
        if len(z) <= _CHUNK:
            total: Rows = (z[:, np.newaxis, :] * self.weights).sum(axis=-1)
            return total
        return np.concatenate(
            [self.residuals(z[begin : begin + _CHUNK]) for begin in range(0, len(z), _CHUNK)]
        )

    def transformed(self, values: Rows) -> Rows:
        """Returns over volatility, and logarithms of volatilities, shape (n, k)."""
        logarithms, divided = self._groups
        result = values.copy()
        result[:, 1:divided] /= np.maximum(values[:, :1], self.floor[0])
        in_logs = result[:, :logarithms]
        np.log(np.maximum(in_logs, self.floor[:logarithms]), out=in_logs)
        return result

    def suspect(self, scores: Rows) -> int:
        """Which single feature is most likely to be wrong, of those beyond their limits.

        Were it where the others put it, the greatest score would be the least.

        Args:
            scores: of one vector, shape (k,), one of them beyond 1 or -1.
        """
        residuals = scores * self.limits
        corrected = (residuals - self.weights.T * residuals[:, np.newaxis]) / self.limits
        left = np.where(np.abs(scores) > 1.0, np.abs(corrected).max(axis=1), np.inf)
        return int(left.argmin())

    def allowed(self, row: Rows, column: int) -> tuple[float, float]:
        """Between which values the others want one feature, in its own unit.

        Args:
            row: the features in the order of `names`, shape (k,).
            column: which feature.
        """
        z = self.standardised(row[np.newaxis])
        expected = z[0, column] - self.residuals(z)[0, column]
        ends = expected + np.array([-1.0, 1.0]) * self.limits[column]
        ends = self.centre[column] + ends * self.spread[column]
        logarithms, divided = self._groups
        if column < logarithms:
            ends = np.exp(ends)
        if 0 < column < divided:
            ends = ends * max(row[0], self.floor[0])
        return float(ends[0]), float(ends[1])

    @cached_property
    def _groups(self) -> tuple[int, int]:
        """How many are taken as logarithms; how many are that, or divided by volatility."""
        groups = [_group(name) for name in self.names]
        return groups.count(0) + groups.count(1), sum(group < 3 for group in groups)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The features that relations are about, in their order: volatility_1d is the first one."""
    return tuple(sorted((name for name in names if _group(name) < 4), key=_group))


def _group(name: str) -> int:
    """0 the divisor, 1 divided and in logarithms, 2 divided, 3 as it is, 4 not related."""
    if name == SCALE:
        return 0
    if name in _IN_LOGS:
        return 1
    if name.startswith(_DIVIDED):
        return 2
    return 3 if name.startswith(_AS_THEY_ARE) else 4


def fit_relations(columns: Mapping[str, Rows], days: NDArray[np.int64]) -> Relations | None:
    """Fit relations and their limits on the vectors of a reference.

    Args:
        columns: feature name → values, shape (n,), finite.
        days: the day of each vector, in order, shape (n,).

    Returns:
        The relations among the features that vary, whichever block is left out; None when
            these are fewer than two.
    """
    distinct = np.unique(days)
    blocks = np.searchsorted(distinct, days) * BLOCKS // len(distinct)
    others = [blocks != block for block in range(BLOCKS)]
    names = in_order(
        name
        for name, values in columns.items()
        if all(np.ptp(values[chosen]) > 0 for chosen in others)
    )
    if SCALE not in names or len(names) < 2:
        return None
    matrix = np.stack([columns[name] for name in names], axis=1)
    left_out = np.empty_like(matrix)
    for chosen in others:
        fitted = _fit(names, matrix[chosen])
        left_out[~chosen] = fitted.residuals(fitted.standardised(matrix[~chosen]))
    limits = LIMIT_MARGIN * extremes_by_day(np.abs(left_out), days)[1]
    return _fit(names, matrix, np.maximum(limits, LEAST))


def _fit(names: Sequence[str], matrix: Rows, limits: Rows | None = None) -> Relations:
    """Relations of vectors of shape (n, k); without limits these are 1."""
    floor = _floors(names, matrix)
    plain = Relations(
        *(tuple(names), floor, np.zeros(len(names)), np.ones(len(names))),
        *(np.eye(len(names)), np.ones(len(names))),
    )
    centre, spread = _centred(plain.transformed(matrix))
    z = replace(plain, centre=centre, spread=spread).standardised(matrix)
    inverse = np.linalg.inv(np.corrcoef(z, rowvar=False) + RIDGE * np.eye(len(names)))
    return Relations(
        names=tuple(names),
        floor=floor,
        centre=centre,
        spread=spread,
        weights=inverse / np.diag(inverse)[:, np.newaxis],
        limits=plain.limits if limits is None else limits,
    )


def _floors(names: Sequence[str], matrix: Rows) -> Rows:
    """The least values that vectors of an ordinary day reach, where logarithms are taken."""
    floor = np.zeros(len(names))
    floor[0] = max(float(np.quantile(matrix[:, 0], 0.001)), LEAST)
    volatility = np.maximum(matrix[:, 0], floor[0])
    for column, name in enumerate(names):
        if name in _IN_LOGS:
            ratios = matrix[:, column] / volatility
            floor[column] = max(float(np.quantile(ratios, 0.001)), LEAST)
    return floor


def _centred(values: Rows) -> tuple[Rows, Rows]:
    """Means and standard deviations without the farthest values, shape (k,) each."""
    low, middle, high = np.quantile(values, [0.16, 0.5, 0.84], axis=0)
    spread = (high - low) / 2.0
    spread = np.where(spread > 0, spread, values.std(axis=0))
    z = np.clip((values - middle) / spread, -FARTHEST, FARTHEST)
    return middle + spread * z.mean(axis=0), spread * z.std(axis=0)
