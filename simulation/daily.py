"""A run day by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from features.bars import BAR_SECONDS
from simulation.drawdown import bars_at, gate_drawdown
from simulation.run import Run

__all__ = ["Days", "daily_table", "date_text", "days_of", "decision_bars"]

_EPOCH: Final = date(1970, 1, 1).toordinal()
_SECOND: Final = np.timedelta64(1, "s")


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Session days of a run, oldest first, d of them; P&L in fractions of capital.

    Attributes:
        dates: days since 1970-01-01, shape (d,).
        first: first bar of each, shape (d,).
        last: last bar of each, shape (d,).
        carried: equity after the last bar before, shape (d,).
        pnl: change of equity from there to the day's last bar, shape (d,).
        worst: lowest of that change at any bar of the day, at most 0, shape (d,).
        trades: closed on the day, shape (d,).
    """

    dates: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    carried: NDArray[np.float64]
    pnl: NDArray[np.float64]
    worst: NDArray[np.float64]
    trades: NDArray[np.int64]


def days_of(run: Run) -> Days:
    """P&L of each session day.

    `worst` is the day's P&L as the limit judges it: realised and open P&L since the day began.
    """
    dates, first = np.unique(run.days, return_index=True)
    last = np.append(first[1:], len(run.days)) - 1
    at_close = run.equity[last]
    carried = np.concatenate([[0.0], at_close[:-1]])
    lowest = np.minimum.reduceat(run.equity, first)
    exits = run.days[bars_at(run, [trade.exited_at for trade in run.trades])]
    return Days(
        dates=dates,
        first=first,
        last=last,
        carried=carried,
        pnl=at_close - carried,
        worst=np.minimum(lowest - carried, 0.0),
        trades=np.bincount(dates.searchsorted(exits), minlength=len(dates)),
    )


def decision_bars(run: Run) -> NDArray[np.int64]:
    """The bar that each decision was about, shape (m,)."""
    starts = np.asarray(run.decisions["bar_at"], dtype="datetime64[us]")
    seconds = (starts - np.datetime64(0, "us")) // _SECOND + BAR_SECONDS
    bars: NDArray[np.int64] = run.times.searchsorted(seconds.astype(np.int64))
    return np.minimum(bars, len(run.times) - 1)


def date_text(day: int) -> str:
    """Days since 1970-01-01 as a date.

    >>> date_text(20_514)
    '2026-03-02'
    """
    return date.fromordinal(_EPOCH + int(day)).isoformat()


def daily_table(run: Run) -> list[dict[str, Any]]:
    """One row for each session day, JSON values.

    `pnl_percent` is the change of equity over the day, `worst_pnl_percent` the lowest it was in
    it, at most 0; `equity` and `drawdown` (as the gate judges it) are those after the last bar,
    `lowest_equity` the lowest after any; all in fractions of capital. A trade belongs to the day
    that it was closed on. `kept_out` names what kept entries out at some bar of the day.
    """
    days = days_of(run)
    day_of_decision = days.dates.searchsorted(run.days[decision_bars(run)])
    approved = np.asarray(run.decisions["approved"], dtype=bool)
    exits = bars_at(run, [trade.exited_at for trade in run.trades])
    day_of_trade = days.dates.searchsorted(run.days[exits])
    won = np.array([trade.pnl_percent > 0 for trade in run.trades], dtype=bool)
    count = len(days.dates)
    columns: dict[str, Any] = {
        "date": [date_text(day) for day in days.dates.tolist()],
        "decisions": np.bincount(day_of_decision, minlength=count).tolist(),
        "approved": np.bincount(day_of_decision[approved], minlength=count).tolist(),
        "trades": days.trades.tolist(),
        "wins": np.bincount(day_of_trade[won], minlength=count).tolist(),
        "pnl_percent": days.pnl.tolist(),
        "pnl_usd": (days.pnl * run.capital_usd).tolist(),
        "worst_pnl_percent": days.worst.tolist(),
        "equity": run.equity[days.last].tolist(),
        "lowest_equity": np.minimum.reduceat(run.equity, days.first).tolist(),
        "drawdown": gate_drawdown(run)[days.last].tolist(),
        "kept_out": _kept_out(run, days),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _kept_out(run: Run, days: Days) -> list[list[str]]:
    """What stood on each day, by name; what ended with the day's first bar did not."""
    opened = [datetime.fromtimestamp(at, UTC) for at in run.times[days.first].tolist()]
    closed = [datetime.fromtimestamp(at, UTC) for at in run.times[days.last].tolist()]
    return [
        sorted(
            {
                each.kind
                for each in run.episodes
                if each.since <= closes and (each.until is None or each.until > opens)
            }
        )
        for opens, closes in zip(opened, closed, strict=True)
    ]
