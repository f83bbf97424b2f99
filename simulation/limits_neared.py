"""How near a run came to the limits of the risk gate."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulation.daily import date_text, days_of
from simulation.drawdown import bars_at, gate_drawdown
from simulation.run import Run
from simulation.trade_metrics import losing_streaks

__all__ = ["limits_neared"]


def limits_neared(run: Run) -> dict[str, dict[str, Any]]:
    """The worst that was seen of what each limit is about, by the limit's name, JSON values.

    `worst` is in the limit's own unit, `used` is worst / limit (1 is at the limit, more is beyond
    it, as a gap in the price makes it), `on` is the first date of the worst. `on` is None where
    there was nothing, `limit` and `used` where the run has no such limit.
    """
    days, drawdown = days_of(run), gate_drawdown(run)
    streaks = losing_streaks(trade.pnl_percent for trade in run.trades)
    longest = max(streaks, default=0)
    losing = int(np.argmin(days.worst))
    fallen = int(np.argmin(drawdown))
    busiest = int(np.argmax(days.trades))
    ended = bars_at(run, [run.trades[streaks.index(longest)].exited_at]) if longest else [0]
    return {
        "max_daily_loss": _neared(
            run, "max_daily_loss", float(days.worst[losing]), days.dates[losing]
        ),
        "max_drawdown": _neared(run, "max_drawdown", float(drawdown[fallen]), run.days[fallen]),
        "max_consecutive_losses": _neared(
            run, "max_consecutive_losses", longest, run.days[ended[0]]
        ),
        "max_trades_per_day": _neared(
            run, "max_trades_per_day", int(days.trades[busiest]), days.dates[busiest]
        ),
    }


def _neared(run: Run, name: str, worst: float, day: int) -> dict[str, Any]:
    limit = run.limits.get(name)
    return {
        "worst": worst,
        "limit": limit,
        "used": worst / limit if limit else None,
        "on": date_text(day) if worst else None,
    }
