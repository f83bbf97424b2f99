"""A share of what was counted, with its uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Share"]


@dataclass(frozen=True)
class Share:
    """So many of so many.

    >>> str(Share(99, 100))
    '99.00% [94.55, 99.82] of 100'
    """

    hits: int = 0
    of: int = 0

    def __add__(self, other: Share) -> Share:
        return Share(self.hits + other.hits, self.of + other.of)

    def __str__(self) -> str:
        if self.of == 0:
            return "none"
        low, high = self.interval
        return f"{self.value:.2%} [{100 * low:.2f}, {100 * high:.2f}] of {self.of:,}"

    @property
    def value(self) -> float:
        """As a fraction."""
        return self.hits / self.of if self.of else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval at 95% (E. B. Wilson 1927)."""
        z = 1.959964
        middle = self.value + z * z / (2 * self.of)
        spread = self.value * (1 - self.value) / self.of + (z / (2 * self.of)) ** 2
        half = z * math.sqrt(spread)
        scale = 1 + z * z / self.of
        return max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0)
