"""A market that has been, as the service would have seen it: bar by bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errors import InvalidRequest
from features.bars import BAR_SECONDS
from features.evidence import Evidence

__all__ = ["History"]


@dataclass(frozen=True, eq=False)
class History:
    """Bars in order of time, and the vectors that decisions are made of.

    Attributes:
        starts: of the bars, seconds since 1970-01-01 UTC, shape (n,), rising.
        closes: shape (n,); NaN where no price is known: nothing can be filled there.
        rows: row of `matrix` that became known with the bar, -1 where none did, shape (n,).
        matrix: vectors, float32, shape (m, observation_dim).
        evidence: what each vector was made of, m of them; None where nobody knows.
        fill_state: the features of the book are 0 in `matrix`, to be filled in with a decision.
    """

    starts: NDArray[np.int64]
    closes: NDArray[np.float64]
    rows: NDArray[np.int64]
    matrix: NDArray[np.float32]
    evidence: Sequence[Evidence | None]
    fill_state: bool

    def __post_init__(self) -> None:
        if not len(self.starts):
            raise InvalidRequest("there is no bar to replay")

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def known_at(self) -> NDArray[np.int64]:
        """When each bar was complete, seconds since 1970-01-01 UTC, shape (n,)."""
        return self.starts + BAR_SECONDS
