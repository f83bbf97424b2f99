"""Five-minute bars: the one input that every feature of the market is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from errors import InvalidRequest

__all__ = ["BAR_SECONDS", "GREATEST_PRICE", "LEAST_PRICE", "BarSeries", "utc_text"]

BAR_SECONDS = 300
"""Length of a bar. A bar that starts at t is known at t + 300 s."""

LEAST_PRICE, GREATEST_PRICE = 1e-6, 1e12
"""Prices beyond these are refused: no quote, and their ratios would leave float32."""


@dataclass(frozen=True, eq=False)
class BarSeries:
    """Closes of five-minute bars, oldest first.

    Gaps are allowed and not filled: features count bars, not minutes.

    Attributes:
        starts: starts of the bars, seconds since 1970-01-01 UTC, shape (n,), int64.
        closes: closing prices, shape (n,), float64.

    Raises:
        InvalidRequest: shapes differ, bars are out of order or closer than five minutes, or a
            close is not a price between `LEAST_PRICE` and `GREATEST_PRICE`.
    """

    starts: NDArray[np.int64]
    closes: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts", np.ascontiguousarray(self.starts, dtype=np.int64))
        object.__setattr__(self, "closes", np.ascontiguousarray(self.closes, dtype=np.float64))
        if self.starts.ndim != 1 or self.starts.shape != self.closes.shape:
            raise InvalidRequest(
                f"bars need one start and one close each; got starts of shape {self.starts.shape} "
                f"and closes of shape {self.closes.shape}"
            )
        # Written so that NaN fails it as well.
        priced = (self.closes >= LEAST_PRICE) & (self.closes <= GREATEST_PRICE)
        if not priced.all():
            first = int(np.argmin(priced))
            raise InvalidRequest(
                f"the close of the bar at {utc_text(self.starts[first])} is {self.closes[first]}; "
                "a close must be a positive, finite price"
            )
        apart = np.diff(self.starts) >= BAR_SECONDS
        if not apart.all():
            second = int(np.argmin(apart)) + 1
            raise InvalidRequest(
                f"the bar at {utc_text(self.starts[second])} follows the one at "
                f"{utc_text(self.starts[second - 1])}; bars must be in order of time, each once, "
                "five minutes or more apart"
            )

    def __len__(self) -> int:
        return len(self.starts)


def utc_text(instant: int | np.int64) -> str:
    """Write seconds since 1970-01-01 UTC as ISO 8601.

    >>> utc_text(1577970000)
    '2020-01-02T13:00:00Z'
    """
    return datetime.fromtimestamp(int(instant), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
