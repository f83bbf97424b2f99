"""How far equity fell, and from when to when: marked to market, and as the risk gate judges it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import floor

import numpy as np
from numpy.typing import NDArray

from simulation.run import Run

__all__ = ["Fall", "bars_at", "below_high_water", "deepest", "gate_drawdown", "realised"]

_NOTHING = 0.5e-9
"""Of capital: half of the unit that the gate counts in."""


@dataclass(frozen=True, slots=True)
class Fall:
    """The deepest drawdown of a run.

    Attributes:
        depth: a fraction of capital, 0 or below.
        peak: the last bar at the peak that it fell from; where that is the start, before any bar
            was at it, the first bar. None where nothing fell, as for the next two.
        trough: the first bar at its depth.
        recovery: the first bar that is back at the peak; None also where none is.
    """

    depth: float
    peak: int | None = None
    trough: int | None = None
    recovery: int | None = None


def bars_at(run: Run, instants: Sequence[datetime]) -> NDArray[np.int64]:
    """The newest bar at each instant, aware; the first one before that, shape (m,).

    A position that is closed at the session's end, after the last bar that there was, belongs to
    that bar.
    """
    seconds = np.array([floor(instant.timestamp()) for instant in instants], dtype=np.int64)
    bars: NDArray[np.int64] = run.times.searchsorted(seconds, side="right") - 1
    return np.maximum(bars, 0)


def realised(run: Run) -> NDArray[np.float64]:
    """P&L of the trades that are closed, after each bar, a fraction of capital, shape (n,)."""
    closed = np.zeros(len(run.times))
    bars = bars_at(run, [trade.exited_at for trade in run.trades])
    np.add.at(closed, bars, [trade.pnl_percent for trade in run.trades])
    return np.cumsum(closed)


def below_high_water(
    equity: NDArray[np.float64], rising: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """How far equity is below a high-water mark that begins at 0; 0 or below, shape (n,).

    Args:
        equity: after each bar, a fraction of capital, shape (n,).
        rising: what the high-water mark rises on, shape (n,); by default equity itself.

    >>> below_high_water(np.array([0.0, 2.0, 1.0, 3.0])).tolist()
    [0.0, 0.0, -1.0, 0.0]
    """
    raises = equity if rising is None else rising
    high_water = np.maximum(np.maximum.accumulate(raises), 0.0)
    return np.minimum(equity - high_water, 0.0)


def gate_drawdown(run: Run) -> NDArray[np.float64]:
    """Drawdown as the risk gate judges it: `risk.state.RiskState.drawdown`, 0 or below, shape (n,).

    Realised and open P&L below the high-water mark, which rises on realised P&L alone.
    """
    return below_high_water(run.equity, realised(run))


def deepest(below: NDArray[np.float64]) -> Fall:
    """The deepest fall, the first one of several.

    Args:
        below: how far equity is below its high-water mark, 0 or below, shape (n,).

    >>> deepest(np.array([0.0, 0.0, -1.0, -3.0, -2.0, 0.0]))
    Fall(depth=-3.0, peak=1, trough=3, recovery=5)
    """
    trough = int(np.argmin(below)) if len(below) else 0
    if not len(below) or below[trough] > -_NOTHING:
        return Fall(0.0)
    at_peak = np.flatnonzero(below > -_NOTHING)
    before, after = at_peak[at_peak < trough], at_peak[at_peak > trough]
    return Fall(
        depth=float(below[trough]),
        peak=int(before[-1]) if len(before) else 0,
        trough=trough,
        recovery=int(after[0]) if len(after) else None,
    )
