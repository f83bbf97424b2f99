"""SELL, HOLD, BUY: the one action order of this product."""

from enum import StrEnum

__all__ = ["ACTIONS", "Signal"]


class Signal(StrEnum):
    """What a model, or the ensemble of them, says about the market."""

    SELL = "SELL"
    HOLD = "HOLD"
    BUY = "BUY"


ACTIONS: tuple[Signal, Signal, Signal] = (Signal.SELL, Signal.HOLD, Signal.BUY)
"""Column order of every probability array in this product."""
