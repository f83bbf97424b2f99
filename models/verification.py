"""How far an exported file is from the policy that it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import ModelMismatch

__all__ = ["TOLERANCE", "VerificationReport", "compare", "probe_observations"]

TOLERANCE = 1e-5
"""Largest difference between the file and the policy that still counts as the same."""


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """How far an ONNX file is from the policy that it was made of.

    Args:
        rows: observations compared.
        largest_difference: over all rows and outputs; absolute up to a value of 1, relative to
            the policy's own value beyond (a Q-value of 10,000 in float32 has no 1e-5).
        output: the output where it was found.
        row: the row where it was found.
        observation: the vector of that row.
        tolerance: the largest difference allowed.
    """

    rows: int
    largest_difference: float
    output: str
    row: int
    observation: NDArray[np.float32]
    tolerance: float = TOLERANCE

    @property
    def passed(self) -> bool:
        """Whether the file says what the policy says. False when the difference is NaN."""
        return self.largest_difference <= self.tolerance

    def __str__(self) -> str:
        return (
            f"largest difference {self.largest_difference:.3g} over {self.rows} observations "
            f"(allowed {self.tolerance:.0e}), in output {self.output!r} at row {self.row}, "
            f"observation {np.array2string(self.observation, precision=4, threshold=6)}"
        )


def compare(
    expected: Mapping[str, NDArray[np.float32]],
    found: Mapping[str, NDArray[Any]],
    observations: NDArray[np.float32],
) -> VerificationReport:
    """Find where two sets of outputs differ most.

    Args:
        expected: the policy's own outputs, name to (n, k).
        found: the file's outputs under the same names.
        observations: (n, observation_dim) that both were computed from.

    Raises:
        ModelMismatch: an output has another shape.
    """
    worst = (-1.0, "", 0)
    for name, values in expected.items():
        if found[name].shape != values.shape:
            raise ModelMismatch(
                f"output {name!r} has shape {found[name].shape}; the policy gives {values.shape}"
            )
        exact = values.astype(np.float64)
        difference = np.abs(found[name] - exact) / np.maximum(1.0, np.abs(exact))
        by_row = np.where(np.isfinite(difference), difference, np.inf).max(axis=1)
        row = int(by_row.argmax())
        worst = max(worst, (float(by_row[row]), name, row))
    largest, output, row = worst
    return VerificationReport(
        rows=len(observations),
        largest_difference=largest,
        output=output,
        row=row,
        observation=observations[row],
    )


def probe_observations(
    observation_dim: int,
    *,
    rows: int,
    seed: int,
    mean: NDArray[np.float64] | None = None,
    scale: NDArray[np.float64] | None = None,
    limit: float = 10.0,
) -> NDArray[np.float32]:
    """Observations that find a wrong export: edges first, then random ones.

    Edges are zeros, the mean, both clip limits (on them, just inside, just outside), values far
    beyond them, all negative, and one single large feature at a time.

    Args:
        observation_dim: length of a row.
        rows: how many rows; at least the edges are always there.
        seed: of the random rows.
        mean: of each feature in training; zeros when not known.
        scale: deviation of each feature in training; ones when not known.
        limit: where the normalisation clips, in deviations.

    Returns:
        (rows, observation_dim) float32.

    >>> probe_observations(4, rows=1000, seed=0).shape
    (1000, 4)
    """
    mean = np.zeros(observation_dim) if mean is None else mean
    scale = np.ones(observation_dim) if scale is None else scale
    steps = [0.0, 1.0, limit, 0.999 * limit, 1.001 * limit, 10 * limit, 100 * limit]
    edges = [mean + sign * step * scale for step in steps for sign in (-1.0, 1.0)]
    edges += [np.zeros(observation_dim), -np.abs(mean) - scale]
    edges += list(mean + limit * scale * np.eye(observation_dim))
    edges += list(mean - limit * scale * np.eye(observation_dim))
    count = max(rows - len(edges), 0)
    random = np.random.default_rng(seed)
    deviations = random.normal(size=(count, observation_dim)) * random.choice(
        [0.1, 1.0, limit / 2], size=(count, 1)
    )
    return np.vstack([*edges, mean + scale * deviations]).astype(np.float32)
