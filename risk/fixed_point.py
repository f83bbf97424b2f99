"""Profit and loss as whole numbers.

Losses that add up to -2.00% must trip a limit of -2.00% exactly there. Sums of binary floats
miss it in one split out of five, so fractions of capital are held as integers of 10⁻⁹ and
US dollars as integers of 10⁻⁶.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

__all__ = ["from_micro", "from_nano", "to_micro", "to_nano"]

_NANO = 9
_MICRO = 6


def to_nano(fraction: float) -> int:
    """A fraction of capital as an integer of 10⁻⁹, by its shortest decimal form.

    >>> to_nano(-0.02)
    -20000000
    >>> sum(to_nano(x) for x in (-0.007, -0.006, -0.007)) == to_nano(-0.02)
    True
    """
    return _scaled(fraction, _NANO)


def from_nano(value: int) -> float:
    """The nearest float to an integer of 10⁻⁹.

    >>> from_nano(-20000000)
    -0.02
    """
    return value / 1_000_000_000


def to_micro(dollars: float) -> int:
    """US dollars as an integer of 10⁻⁶.

    >>> to_micro(-120.5)
    -120500000
    """
    return _scaled(dollars, _MICRO)


def from_micro(value: int) -> float:
    """The nearest float to an integer of 10⁻⁶."""
    return value / 1_000_000


@lru_cache(maxsize=1024)
def _scaled(value: float, digits: int) -> int:
    # repr() is the shortest text that reads back as this float, i.e. what the caller wrote.
    exact = Decimal(repr(float(value))).scaleb(digits)
    return int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))
