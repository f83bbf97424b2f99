"""The fill model: what an order costs.

An order that is approved after one bar is filled at the close of the next one. Who buys pays half
the spread above the close, who sells gets half of it below; the commission comes off each side.

    price      = close x (1 + side x spread / 2)              side: 1 buys, -1 sells
    P&L        = size x (direction x (exit / entry - 1) - commission x (1 + exit / entry))

`size` is a fraction of the capital at the start, and so is the P&L; spread and commission are
fractions of the price (one basis point is 0.0001). There is no slippage beyond the spread, no
partial fill and no financing of a position: it never outlives a session.
"""

from __future__ import annotations

from dataclasses import dataclass

from errors import InvalidRequest

__all__ = ["Costs"]

_BASIS_POINT = 1e-4
_MOST = 1_000.0


@dataclass(frozen=True, slots=True)
class Costs:
    """What a fill costs.

    Attributes:
        spread_bp: between bid and ask, basis points of the price, 0 to 1,000.
        commission_bp: of each side of a trade, basis points of what is traded, 0 to 1,000.

    Raises:
        InvalidRequest: a cost is out of its range.

    >>> costs = Costs(spread_bp=2.0, commission_bp=0.0)
    >>> round(costs.price(4_000.0, side=1), 6), round(costs.price(4_000.0, side=-1), 6)
    (4000.4, 3999.6)
    """

    spread_bp: float = 2.0
    commission_bp: float = 0.5

    def __post_init__(self) -> None:
        for name in ("spread_bp", "commission_bp"):
            value = getattr(self, name)
            if not 0 <= value <= _MOST:
                raise InvalidRequest(
                    f"{name} is {value:g}; it must be 0 to {_MOST:g} basis points (1 is 0.01%)"
                )

    def price(self, close: float, *, side: int) -> float:
        """What is paid (side 1) or got (side -1) for a US dollar at a close."""
        return close * (1 + side * self.spread_bp * _BASIS_POINT / 2)

    def pnl(self, entry: float, exit_: float, *, direction: int, size: float) -> float:
        """P&L of a closed trade, a fraction of capital.

        Args:
            entry: price with half the spread in it.
            exit_: price likewise.
            direction: 1 long, -1 short.
            size: fraction of capital, above 0.
        """
        moved = exit_ / entry
        return size * (direction * (moved - 1) - self.commission_bp * _BASIS_POINT * (1 + moved))

    @staticmethod
    def mark(entry: float, close: float, *, direction: int, size: float) -> float:
        """Open P&L at a close, a fraction of capital; the costs of its exit are not in it."""
        return size * direction * (close / entry - 1)
