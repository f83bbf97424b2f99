"""A small run that holds a little of everything, made by hand and always the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from config.settings import RiskLimits
from risk.verdict import RiskStatus
from simulation.fills import Costs
from simulation.run import Episode, Run
from simulation.trades import ExitReason, Trade
from tests.simulation.decided import LATENCY_US, a_decision, columns_of

BARS_PER_DAY: Final = 60
DAYS: Final = (date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4))
CAPITAL: Final = 100_000.0
COSTS: Final = Costs(spread_bp=2.0, commission_bp=0.5)

_BAR: Final = 300
_OPENS: Final = timedelta(hours=13)
"""08:00 in Bogotá, after 00:00 UTC."""


@dataclass(frozen=True)
class Planned:
    """A trade to be: bars count from 0 over all days."""

    entry: int
    exit: int
    direction: int
    size: float
    confidence: float
    reason: ExitReason = ExitReason.SIGNAL


PLANNED: Final = (
    Planned(3, 9, 1, 0.10, 0.85),
    Planned(12, 15, -1, 0.08, 0.64),
    Planned(20, 31, 1, 0.10, 0.91),
    Planned(40, 59, -1, 0.09, 0.72, ExitReason.SESSION_END),
    Planned(64, 70, 1, 0.07, 0.58),
    Planned(74, 77, -1, 0.10, 0.80),
    Planned(80, 88, 1, 0.06, 0.67),
    Planned(124, 137, -1, 0.10, 0.95),
    Planned(150, 179, 1, 0.08, 0.77, ExitReason.SESSION_END),
)

_REFUSALS: Final = tuple(
    status for status in RiskStatus if status not in (RiskStatus.APPROVED, RiskStatus.HOLD_SIGNAL)
)


def a_run(**changes: Any) -> Run:
    """Three days of 60 bars and nine trades; every status, a breaker episode, an expired approval.

    Args:
        changes: attributes of the run that are to be others.
    """
    times, closes = _times(), _closes()
    trades = tuple(_trade(planned, times, closes) for planned in PLANNED)
    run = Run(
        times=times,
        days=np.repeat([day_number(day) for day in DAYS], BARS_PER_DAY),
        closes=closes,
        equity=_equity(trades, closes),
        positions=_positions(),
        decisions=_decisions(times, closes),
        trades=trades,
        episodes=(
            Episode("consecutive_losses", _at(times, 88), _at(times, 100)),
            Episode("daily_loss", _at(times, 105), _at(times, 120)),
            Episode("drawdown", _at(times, 170), None),
        ),
        expired=1,
        not_taken=2,
        ledger_head="5e" * 32,
        events=400,
        description={"bars_file": "bars.csv", "bars": len(times), "spread_bp": COSTS.spread_bp},
        limits=RiskLimits().recorded(),
        capital_usd=CAPITAL,
        zone="America/Bogota",
    )
    return replace(run, **changes)


def a_quiet_run(**changes: Any) -> Run:
    """The same bars without a trade and without a decision."""
    nothing = np.zeros(BARS_PER_DAY * len(DAYS))
    quiet: dict[str, Any] = {
        "equity": nothing,
        "positions": nothing,
        "decisions": columns_of([]),
        "trades": (),
        "episodes": (),
        "expired": 0,
        "not_taken": 0,
    }
    return a_run(**{**quiet, **changes})


def _times() -> NDArray[np.int64]:
    return np.concatenate([times_of(day, BARS_PER_DAY) for day in DAYS])


def times_of(day: date, count: int) -> NDArray[np.int64]:
    opens = datetime(day.year, day.month, day.day, tzinfo=UTC) + _OPENS
    return int(opens.timestamp()) + _BAR * np.arange(1, count + 1)


def _closes() -> NDArray[np.float64]:
    bar = np.arange(BARS_PER_DAY * len(DAYS))
    waves: NDArray[np.float64] = 18 * np.sin(bar / 5) + 9 * np.sin(bar / 1.7)
    return 4_000 + 25 * np.cos(bar / 31) + waves


def day_number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _at(times: NDArray[np.int64], bar: int) -> datetime:
    return datetime.fromtimestamp(int(times[bar]), UTC)


def _trade(planned: Planned, times: NDArray[np.int64], closes: NDArray[np.float64]) -> Trade:
    entry_close, exit_close = float(closes[planned.entry]), float(closes[planned.exit])
    side, size = planned.direction, planned.size
    entry, exit_ = COSTS.price(entry_close, side=side), COSTS.price(exit_close, side=-side)
    pnl = COSTS.pnl(entry, exit_, direction=side, size=size)
    order_id = f"bar-{_at(times, planned.entry - 1):%Y%m%dT%H%M%SZ}"
    return Trade(
        trade_id=f"trade-{order_id}",
        order_id=order_id,
        decision_id=f"decision-{times[planned.entry - 1]}",
        direction=side,
        size=size,
        confidence=planned.confidence,
        decided_at=_at(times, planned.entry - 1) + timedelta(microseconds=LATENCY_US),
        entered_at=_at(times, planned.entry),
        entry_close=entry_close,
        entry_price=entry,
        exited_at=_at(times, planned.exit),
        exit_close=exit_close,
        exit_price=exit_,
        exit_reason=planned.reason,
        gross_percent=COSTS.mark(entry_close, exit_close, direction=side, size=size),
        pnl_percent=pnl,
        pnl_usd=pnl * CAPITAL,
    )


def _positions() -> NDArray[np.float64]:
    held = np.zeros(BARS_PER_DAY * len(DAYS))
    for planned in PLANNED:
        held[planned.entry : planned.exit] = planned.direction * planned.size
    return held


def _equity(trades: Sequence[Trade], closes: NDArray[np.float64]) -> NDArray[np.float64]:
    equity = np.zeros(len(closes))
    for planned, trade in zip(PLANNED, trades, strict=True):
        for bar in range(planned.entry, planned.exit):
            equity[bar] += COSTS.mark(
                trade.entry_price,
                float(closes[bar]),
                direction=trade.direction,
                size=trade.size,
            )
        equity[planned.exit :] += trade.pnl_percent
    return equity


def _decisions(times: NDArray[np.int64], closes: NDArray[np.float64]) -> dict[str, Any]:
    """One for each bar: HOLD, but for entries, exits, refusals, and approvals that came to nothing.

    The approval at bar 118, the last but one of the second day, expired; those at bars 4 and 65
    were released.
    """
    approved = {planned.entry - 1: _approval(planned, exits=False) for planned in PLANNED}
    approved |= {
        planned.exit - 1: _approval(planned, exits=True)
        for planned in PLANNED
        if planned.reason is ExitReason.SIGNAL
    }
    approved |= {
        bar: _approval(Planned(bar, bar, 1, 0.05, 0.7), exits=False) for bar in (4, 65, 118)
    }
    held = _positions()
    rows = []
    for bar, (time, close) in enumerate(zip(times.tolist(), closes.tolist(), strict=True)):
        row = approved.get(bar) or _refusal(bar)
        rows.append(a_decision(time, close, position=held[bar], **row))
    return columns_of(rows)


def _approval(planned: Planned, *, exits: bool) -> dict[str, Any]:
    buys = (planned.direction > 0) != exits
    signal = "BUY" if buys else "SELL"
    return {
        "raw_signal": signal,
        "signal": signal,
        "confidence": planned.confidence,
        "risk_status": RiskStatus.APPROVED.value,
        "approved": True,
        "reduces": exits,
        "size": planned.size,
        "reasons": "",
    }


def _refusal(bar: int) -> dict[str, Any]:
    if bar % 3:
        return {}
    status = _REFUSALS[bar // 3 % len(_REFUSALS)].value
    confidence = 0.5 + (bar * 7 % 45) / 100
    return {
        "raw_signal": "BUY" if bar % 2 else "SELL",
        "confidence": 0.4 if status == "LOW_CONFIDENCE" else confidence,
        "risk_status": status,
        "reasons": f"refused: {status.lower().replace('_', ' ')}",
    }
