"""How the book stands, as gauges: the numbers of `/v1/risk/summary`, by the same code.

While the ledger cannot be read none of them is told but that: a number of yesterday would look
like one of now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from monitoring.gauges import Gauge, Reading
from risk.breaker import BreakerState
from risk.ledger.protocol import Head
from risk.state import CauseKind, OperatorMode
from risk.summary import Summary

__all__ = ["BOOK_GAUGES", "READABLE", "book_readings"]

READABLE: Final = Gauge("usdcop_ledger_readable", "1 when the ledger can be read, else 0")
SEQUENCE: Final = Gauge("usdcop_ledger_sequence", "Number of the newest event on record")
TRADING_STATUS: Final = Gauge(
    "usdcop_trading_status",
    "1 for what an entry would be answered now: ACTIVE, or the status that refuses it",
    ("status",),
)
WOULD_PASS: Final = Gauge(
    "usdcop_would_pass", "1 when a confident BUY, SELL or EXIT would pass the gate now", ("side",)
)
SESSION_OPEN: Final = Gauge("usdcop_session_open", "1 while the session is open")
LIMIT: Final = Gauge(
    "usdcop_limit", "Each limit in force: a fraction of capital, or a count", ("limit",)
)
LIMIT_USED: Final = Gauge("usdcop_limit_used_ratio", "Share of each limit in use", ("limit",))
DAILY_PNL: Final = Gauge("usdcop_daily_pnl_ratio", "P&L of the day, fraction of capital")
DRAWDOWN: Final = Gauge("usdcop_drawdown_ratio", "Drawdown, fraction of capital, 0 or negative")
MARK: Final = Gauge("usdcop_mark_ratio", "Open P&L as last reported, fraction of capital")
POSITION: Final = Gauge(
    "usdcop_position_ratio", "Position as last reported, signed fraction of capital"
)
POSITION_KNOWN: Final = Gauge("usdcop_position_known", "1 when the position is known for certain")
TRADES: Final = Gauge("usdcop_trades_today", "Results of the day and open orders")
ORDERS: Final = Gauge("usdcop_open_orders", "Approved entries without an outcome")
LOSSES: Final = Gauge("usdcop_consecutive_losses", "Losses in a row")
BREAKER: Final = Gauge("usdcop_breaker_state", "0 closed, 1 half-open, 2 open")
CAUSE: Final = Gauge(
    "usdcop_breaker_cause", "1 for each cause that the breaker holds, paused or open", ("cause",)
)
OPERATOR: Final = Gauge("usdcop_operator_mode", "0 ACTIVE, 1 REDUCING, 2 HALTED")
HALT_FILE: Final = Gauge("usdcop_halt_file", "1 while the halt file is there")
AGREES: Final = Gauge(
    "usdcop_configuration_agrees", "1 when this service runs with the limits and models on record"
)
DRIFT_ALARM: Final = Gauge("usdcop_drift_alarm", "1 from a drift alarm to the next clean check")
DRIFT_KNOWN: Final = Gauge(
    "usdcop_drift_alarm_acknowledged", "1 when somebody has acknowledged the alarm that stands"
)

BOOK_GAUGES: Final = (
    READABLE, SEQUENCE, TRADING_STATUS, WOULD_PASS, SESSION_OPEN, LIMIT, LIMIT_USED, DAILY_PNL,
    DRAWDOWN, MARK, POSITION, POSITION_KNOWN, TRADES, ORDERS, LOSSES, BREAKER, CAUSE, OPERATOR,
    HALT_FILE, AGREES, DRIFT_ALARM, DRIFT_KNOWN,
)  # fmt: skip

_BREAKER: Final = (BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN)
_SETTINGS: Final = {
    "daily_loss": "max_daily_loss",
    "drawdown": "max_drawdown",
    "consecutive_losses": "max_consecutive_losses",
    "trades": "max_trades_per_day",
    "unresolved_orders": "max_unresolved_orders",
    "position": "max_position_size",
}
"""Limits by the names that their use has, and what the settings call them."""


def book_readings(head: Head, summary: Summary) -> Iterator[Reading]:
    """All that stands in the book.

    Args:
        head: of the ledger, which could be read.
        summary: of its state.
    """
    told = summary.to_json()
    yield READABLE.reads(1)
    yield SEQUENCE.reads(head.sequence)
    yield TRADING_STATUS.reads(1, told["trading_status"])
    for side, verdict in told["would_pass"].items():
        yield WOULD_PASS.reads(verdict["passes"], side)
    yield SESSION_OPEN.reads(told["calendar"]["open"])
    for limit, used in told["risk_utilization"].items():
        yield LIMIT.reads(told["limits"][_SETTINGS[limit]], limit)
        yield LIMIT_USED.reads(used, limit)
    yield from _day(told["daily_stats"])
    yield from _position(told["position"])
    yield from _stops(told)


def _day(day: Mapping[str, Any]) -> Iterator[Reading]:
    yield DAILY_PNL.reads(day["pnl_percent"])
    yield DRAWDOWN.reads(day["drawdown"])
    yield MARK.reads(day["unrealized_pnl_percent"])
    yield TRADES.reads(day["trades_today"])
    yield ORDERS.reads(day["open_orders"])
    yield LOSSES.reads(day["consecutive_losses"])


def _position(position: Mapping[str, Any]) -> Iterator[Reading]:
    yield POSITION_KNOWN.reads(position["known"])
    if position["position"] is not None:
        yield POSITION.reads(position["position"])


def _stops(told: Mapping[str, Any]) -> Iterator[Reading]:
    breaker, operator, drift = told["breaker"], told["operator"], told["drift"]
    yield BREAKER.reads(_BREAKER.index(BreakerState(breaker["state"])))
    held = {cause["cause"] for cause in breaker["causes"]}
    for kind in CauseKind:
        yield CAUSE.reads(kind.value in held, kind.value)
    yield OPERATOR.reads(OperatorMode(operator["mode"]).strictness)
    yield HALT_FILE.reads(operator["halt_file"])
    yield AGREES.reads(told["configuration"]["agree"])
    yield DRIFT_ALARM.reads(drift["active"])
    yield DRIFT_KNOWN.reads(drift["acknowledged_at"] is not None)
