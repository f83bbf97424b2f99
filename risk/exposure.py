"""What is held, what is on its way, and what that leaves for a signal.

An approved order may have been executed or not, until somebody says. So whatever is asked, the
worse of the two is assumed: an open order fills when there is a limit to keep, and an exit has
been executed when there is a position that must not be flipped.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from risk.fixed_point import to_nano
from risk.state import RiskState
from runners.signal import Signal

__all__ = ["Exposure", "exposure_of"]


class Exposure(NamedTuple):
    """The position as it is known, and what was approved beside it. All nano.

    Attributes:
        position: signed; None when nobody ever said.
        as_of: when it was held; None when it came with the request, or is not known.
        being_closed: what approved exits take off it, if they are executed.
        buying, selling: what approved entries add on each side, if they are executed.
        known: whether somebody said what is held, and no unreported entry of an earlier day may
            have changed it since.
    """

    position: int | None
    as_of: datetime | None
    being_closed: int
    buying: int
    selling: int
    known: bool = True

    @property
    def held(self) -> int:
        """The position; what is not known counts as flat."""
        return self.position or 0

    @property
    def left_to_close(self) -> int:
        """What an exit may still take off the position."""
        return max(0, abs(self.held) - self.being_closed)

    def reduces(self, signal: Signal) -> bool:
        """Whether a signal goes against what is held."""
        against = Signal.SELL if self.held > 0 else Signal.BUY
        return self.held != 0 and signal is against

    def room(self, signal: Signal, largest: float) -> int:
        """How much an entry may add before the largest position is reached, at the worst."""
        limit = to_nano(largest)
        if signal is Signal.SELL:
            return limit + self.held - self.selling
        return limit - self.held - self.buying


def exposure_of(state: RiskState, told: float | None = None) -> Exposure:
    """What is held and on its way.

    Args:
        state: rolled to the session date.
        told: the position that came with a request, which shows everything up to now; None for
            the one that was reported last.
    """
    buying = selling = 0
    for order in state.orders:
        if order.signal == Signal.BUY:
            buying += order.size
        else:
            selling += order.size
    if told is not None:
        return Exposure(to_nano(told), None, 0, buying, selling, known=True)
    known = state.position
    return Exposure(
        position=None if known is None else known.value,
        as_of=None if known is None else known.as_of,
        being_closed=sum(exit_.size for exit_ in state.reductions),
        buying=buying,
        selling=selling,
        known=known is not None and known.sure,
    )
