"""Runs made of what their trades earned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulation.run import Run
from simulation.trades import Trade
from tests.simulation.runs import CAPITAL, DAYS, a_quiet_run, a_run, day_number, times_of

_ANY: Final = a_run().trades[0]


def a_run_of(daily: Sequence[Sequence[float]], **changes: Any) -> Run:
    """A run whose trades earn these fractions of capital, day by day, one after another.

    Each trade is held from one bar to the next, so that equity moves on its exit alone.
    """
    days = [DAYS[0] + timedelta(days=index) for index in range(len(daily))]
    bars = max([2, *(2 * len(earned) + 1 for earned in daily)])
    times = np.concatenate([times_of(day, bars) for day in days])
    equity, positions = np.zeros(len(times)), np.zeros(len(times))
    trades = []
    for day, earned in enumerate(daily):
        for place, pnl in enumerate(earned):
            entry = day * bars + 2 * place
            trades.append(_earning(pnl, entry, times))
            positions[entry] = 0.1
            equity[entry + 1] += pnl
    made: dict[str, Any] = {
        "times": times,
        "days": np.repeat([day_number(day) for day in days], bars),
        "closes": np.full(len(times), 4_000.0),
        "equity": np.cumsum(equity),
        "positions": positions,
        "trades": tuple(trades),
    }
    return a_quiet_run(**{**made, **changes})


def _earning(pnl: float, entry: int, times: NDArray[np.int64]) -> Trade:
    entered, exited = (datetime.fromtimestamp(int(at), UTC) for at in times[entry : entry + 2])
    return replace(
        _ANY,
        trade_id=f"trade-{entry}",
        entered_at=entered,
        exited_at=exited,
        gross_percent=pnl,
        pnl_percent=pnl,
        pnl_usd=pnl * CAPITAL,
    )
