"""Which macro series there are, and what their true values look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from errors import InvalidRequest

__all__ = ["MACRO_SERIES", "MacroSpec", "spec_of"]

_LEAST, _GREATEST = 1e-6, 1e12
"""Sizes beyond these are refused, confirmed or not: features of them would be no numbers."""


@dataclass(frozen=True, slots=True)
class MacroSpec:
    """One macro series and its limits.

    Attributes:
        name: as files and requests call it.
        unit: of its values.
        meaning: what it is.
        positive: whether only a positive value makes sense.
        stale_after_days: days between a value's date and the bar's local date beyond which it is
            too old to use.
        low, high: a value beyond these is believed only when it is confirmed.
        largest_step: what two values up to a week apart stay below when both are true: a factor
            where values are positive, else a difference in the unit.
    """

    name: str
    unit: str
    meaning: str
    positive: bool
    stale_after_days: int
    low: float
    high: float
    largest_step: float

    @property
    def wanted(self) -> str:
        """What a value must be at all, in words."""
        if self.positive:
            return f"positive and finite, {_LEAST:g} to {_GREATEST:g}"
        return f"finite, {-_GREATEST:g} to {_GREATEST:g}"

    def accepts(self, value: float) -> bool:
        """Whether this can be a value of the series at all."""
        return (_LEAST if self.positive else -_GREATEST) <= value <= _GREATEST

    def plausible(self, value: float) -> bool:
        """Whether the value lies where true ones do."""
        return self.low <= value <= self.high


MACRO_SERIES: Final = (
    MacroSpec(
        name="dxy",
        unit="points",
        meaning="US dollar index",
        positive=True,
        stale_after_days=7,
        low=50.0,
        high=200.0,
        largest_step=3.0,
    ),
    MacroSpec(
        name="vix",
        unit="points",
        meaning="implied volatility of the S&P 500",
        positive=True,
        stale_after_days=7,
        low=4.0,
        high=200.0,
        largest_step=3.0,
    ),
    MacroSpec(
        name="embi_col",
        unit="bp",
        meaning="EMBI spread of Colombia",
        positive=True,
        stale_after_days=6,
        low=50.0,
        high=2000.0,
        largest_step=3.0,
    ),
    MacroSpec(
        name="brent",
        unit="USD per barrel",
        meaning="Brent crude oil",
        positive=True,
        stale_after_days=8,
        low=5.0,
        high=300.0,
        largest_step=3.0,
    ),
    MacroSpec(
        name="ust10y",
        unit="%",
        meaning="ten-year US Treasury yield",
        positive=False,
        stale_after_days=7,
        low=0.2,
        high=15.0,
        largest_step=0.75,
    ),
    MacroSpec(
        name="col10y",
        unit="%",
        meaning="ten-year Colombian yield",
        positive=False,
        stale_after_days=9,
        low=1.0,
        high=50.0,
        largest_step=3.0,
    ),
    MacroSpec(
        name="usdmxn",
        unit="MXN per USD",
        meaning="US dollar in Mexican pesos",
        positive=True,
        stale_after_days=6,
        low=5.0,
        high=60.0,
        largest_step=3.0,
    ),
)
"""The macro series, in the order of files, with limits measured on June 2019 to June 2025.

- stale_after_days: the oldest value that a weekday met (3 to 6 days), and 3 days more.
- low, high: at least 1.7 times beyond every value there was, and less than 100 times apart, so that
  two digits lost or gained always show, even on a value without neighbours.
- largest_step: above every change within seven days, a crisis included (factor 2.52 in vix; 0.59
  and 2.57 points in ust10y and col10y); from one value to the next the largest were a factor of
  1.74 and 0.33 and 1.08 points.
"""

_SPECS: Final = {spec.name: spec for spec in MACRO_SERIES}


def spec_of(name: str) -> MacroSpec:
    """The series of this name.

    Raises:
        InvalidRequest: there is none.
    """
    if name not in _SPECS:
        raise InvalidRequest(f"there is no macro series {name!r}; there are {', '.join(_SPECS)}")
    return _SPECS[name]
