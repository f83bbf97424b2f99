"""What the closed trades of a run came to.

A trade with a P&L of zero is neither won nor lost, as for the risk gate. P&L is with costs, in
fractions of capital.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from simulation.drawdown import bars_at
from simulation.run import Run
from simulation.trades import ExitReason, Trade

__all__ = ["hit_rate", "losing_streaks", "profit_factor", "trade_metrics"]


def hit_rate(pnl: Sequence[float]) -> float | None:
    """Won trades as a share of those that won or lost, 0 to 1; None without one.

    >>> hit_rate([0.01, -0.02, 0.0, 0.03])
    0.6666666666666666
    """
    decided = sum(each != 0 for each in pnl)
    return sum(each > 0 for each in pnl) / decided if decided else None


def profit_factor(pnl: Sequence[float]) -> float | None:
    """Sum of what was won / sum of what was lost, 0 or above; None without a loss.

    >>> profit_factor([0.03, -0.02, 0.0, 0.01])
    2.0
    """
    lost = -sum(each for each in pnl if each < 0)
    return sum(each for each in pnl if each > 0) / lost if lost else None


def losing_streaks(pnl: Iterable[float]) -> list[int]:
    """Losses in a row after each trade, across days; a P&L of zero neither adds nor ends one.

    >>> losing_streaks([-1.0, -1.0, 0.0, -1.0, 2.0, -1.0])
    [1, 2, 2, 3, 0, 1]
    """
    streaks = accumulate(
        pnl, lambda streak, each: streak + 1 if each < 0 else 0 if each > 0 else streak, initial=0
    )
    return list(streaks)[1:]


def trade_metrics(run: Run) -> dict[str, Any]:
    """Counts, hit rate, profit factor, expectancy, holding times and parts, JSON values."""
    days = len(np.unique(run.days))
    entered = bars_at(run, [trade.entered_at for trade in run.trades])
    exited = bars_at(run, [trade.exited_at for trade in run.trades])
    minutes = [(each.exited_at - each.entered_at).total_seconds() / 60 for each in run.trades]
    return {
        **_came_to(run.trades, run.capital_usd),
        "per_day": len(run.trades) / days,
        "longest_losing_streak": max(
            losing_streaks(trade.pnl_percent for trade in run.trades), default=0
        ),
        "mean_holding_bars": _mean((exited - entered).tolist()),
        "mean_holding_minutes": _mean(minutes),
        "by_exit_reason": {
            reason.value: _came_to(
                [trade for trade in run.trades if trade.exit_reason is reason], run.capital_usd
            )
            for reason in ExitReason
        },
        "by_direction": {
            name: _came_to(
                [trade for trade in run.trades if trade.direction == side], run.capital_usd
            )
            for name, side in (("long", 1), ("short", -1))
        },
    }


def _came_to(trades: Sequence[Trade], capital_usd: float) -> dict[str, Any]:
    pnl = [trade.pnl_percent for trade in trades]
    won, lost = [each for each in pnl if each > 0], [each for each in pnl if each < 0]
    expected = _mean(pnl)
    return {
        "count": len(pnl),
        "wins": len(won),
        "losses": len(lost),
        "hit_rate": hit_rate(pnl),
        "pnl_percent": float(sum(pnl)),
        "pnl_usd": float(sum(pnl)) * capital_usd,
        "profit_factor": profit_factor(pnl),
        "expectancy_percent": expected,
        "expectancy_usd": None if expected is None else expected * capital_usd,
        "average_win_percent": _mean(won),
        "average_loss_percent": _mean(lost),
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(sum(values)) / len(values) if values else None
