"""What a run earned and risked, by the standard definitions.

P&L and equity are fractions of the capital at the start; nothing is compounded.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulation.daily import days_of
from simulation.drawdown import Fall, below_high_water, deepest, gate_drawdown
from simulation.run import Run
from simulation.times import local_text

__all__ = ["DAYS_PER_YEAR", "exposure", "metrics", "sharpe", "sortino", "turnover"]

DAYS_PER_YEAR: Final = 252
"""Trading days that a ratio is scaled to a year with, by convention."""

_SAME: Final = 1e-12
"""Of the sum of what was earned and lost: less than that is what rounding leaves of no variance."""


def sharpe(returns: NDArray[np.float64]) -> float | None:
    """Sharpe ratio per year: mean / standard deviation x sqrt(252), without a risk-free rate.

    W. F. Sharpe, "The Sharpe Ratio", 1994. The standard deviation is the sample's (n - 1).

    Args:
        returns: of each day, days without a trade included, shape (d,).

    Returns:
        None for fewer than two days, or where no day differs from another.

    >>> round(sharpe(np.array([0.01, -0.005, 0.002])), 4)
    4.9351
    """
    if len(returns) < 2:
        return None
    deviation = float(returns.std(ddof=1))
    if deviation <= _SAME * float(np.abs(returns).sum()):
        return None
    return float(returns.mean()) / deviation * sqrt(DAYS_PER_YEAR)


def sortino(returns: NDArray[np.float64]) -> float | None:
    """Sortino ratio per year: mean / sqrt(mean(min(return, 0)^2)) x sqrt(252), target 0.

    F. A. Sortino and L. N. Price, "Performance Measurement in a Downside Risk Framework", 1994.

    Args:
        returns: of each day, days without a trade included, shape (d,).

    Returns:
        None for fewer than two days, or without a day that lost.

    >>> round(sortino(np.array([0.01, -0.005, 0.002])), 4)
    12.8312
    """
    if len(returns) < 2:
        return None
    downside = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)))
    if downside <= _SAME * float(np.abs(returns).sum()):
        return None
    return float(returns.mean()) / downside * sqrt(DAYS_PER_YEAR)


def exposure(positions: NDArray[np.float64]) -> tuple[float, float]:
    """Share of bars after which a position was held, and mean |position|, 0 to 1 each.

    Args:
        positions: signed fractions of capital, shape (n,), n ≥ 1.

    >>> exposure(np.array([0.0, 0.1, -0.1, 0.0]))
    (0.5, 0.05)
    """
    return float(np.mean(positions != 0)), float(np.mean(np.abs(positions)))


def turnover(run: Run) -> float:
    """What was traded, entries and exits, as a multiple of capital.

    The sum over trades of size x (1 + exit price / entry price): the size is what the entry is
    worth, and the exit trades as many dollars at its own price.
    """
    return float(sum(each.size * (1 + each.exit_price / each.entry_price) for each in run.trades))


def metrics(run: Run) -> dict[str, Any]:
    """P&L, ratios, drawdowns, exposure, turnover and costs, JSON values.

    `pnl_percent` and all other P&L are fractions of capital, as in `/v1/risk/trade-result`.
    """
    daily = days_of(run).pnl
    pnl = float(run.equity[-1])
    held, size = exposure(run.positions)
    traded = turnover(run)
    costs = float(sum(trade.costs_percent for trade in run.trades))
    return {
        "pnl_percent": pnl,
        "pnl_usd": pnl * run.capital_usd,
        "sharpe": sharpe(daily),
        "sortino": sortino(daily),
        "max_drawdown": _fall(run, deepest(below_high_water(run.equity))),
        "max_gate_drawdown": _fall(run, deepest(gate_drawdown(run))),
        "winning_days": int(np.sum(daily > 0)),
        "losing_days": int(np.sum(daily < 0)),
        "best_day_percent": float(daily.max()),
        "worst_day_percent": float(daily.min()),
        "exposure": held,
        "mean_position": size,
        "turnover": traded,
        "turnover_per_day": traded / len(daily),
        "costs_percent": costs,
        "costs_usd": costs * run.capital_usd,
    }


def _fall(run: Run, fall: Fall) -> dict[str, Any]:
    def at(bar: int | None) -> str | None:
        return None if bar is None else local_text(int(run.times[bar]), run.zone)

    return {
        "depth": fall.depth,
        "peak_at": at(fall.peak),
        "trough_at": at(fall.trough),
        "recovered_at": at(fall.recovery),
    }
