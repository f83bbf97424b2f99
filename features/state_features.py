"""Features of the book instead of the market: what a policy that sees its own position reads.

They are filled in at each decision, from the request, the ledger and the clock. In a matrix that is
built offline, and wherever a vector is kept for later, they are 0: vetoes and parity are about the
market's features alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.schema import Feature, Schema

__all__ = ["STATE_FEATURES", "BookValues", "filled", "without_state"]

STATE_FEATURES: Final = tuple(
    Feature(name, formula, unit, 1, "state")
    for name, formula, unit in (
        (
            "position",
            "signed position held, as a fraction of capital: of the request, else of the newest "
            "report; 0 when nobody has said",
            "fraction",
        ),
        ("unrealized_pnl", "P&L of the open book: the newest mark, as a fraction", "fraction"),
        ("minutes_left", "minutes until the end of the session; 0 outside of it", "minutes"),
    )
)
"""What a schema may name beside the features of the market."""


@dataclass(frozen=True, slots=True)
class BookValues:
    """Where the book stands at a decision; a field for each of `STATE_FEATURES`."""

    position: float
    unrealized_pnl: float
    minutes_left: float


def filled(vector: NDArray[np.float32], schema: Schema, values: BookValues) -> NDArray[np.float32]:
    """A copy of a vector, shape (number of features,), with the features of the book in it."""
    copy = vector.copy()
    for column in schema.state_columns:
        copy[column] = getattr(values, schema.names[column])
    return copy


def without_state(matrix: NDArray[np.float32], schema: Schema) -> NDArray[np.float32]:
    """Vectors, shape (…, number of features), with 0 for the features of the book."""
    if not schema.state_columns:
        return matrix
    copy = matrix.copy()
    copy[..., list(schema.state_columns)] = 0.0
    return copy
