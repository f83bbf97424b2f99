"""What the events of a date add up to, as JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from risk.breaker import breaker_state
from risk.events import Event, EventKind, timestamp
from risk.explanation import in_a_line
from risk.exposure import exposure_of
from risk.fixed_point import from_micro, from_nano
from risk.state import OpenOrder, RiskState
from risk.verdict import RiskStatus
from runners.signal import Signal

__all__ = ["acts", "book_at_close", "decision_figures", "trades"]

_VETOES: Final = (RiskStatus.STALE_DATA.value, RiskStatus.OUT_OF_DISTRIBUTION.value)
_SHOWN_VETOES: Final = 5

ACTS: Final = frozenset(EventKind) - {
    EventKind.DECISION,
    EventKind.BATCH,
    EventKind.ORDER_REPLAYED,
    EventKind.ORDER_CLOSED,
    EventKind.TRADE_RESULT,
    EventKind.POSITION,
    EventKind.MARK,
}
"""Kinds that are told one by one, with who did it."""


def decision_figures(events: Sequence[Event]) -> dict[str, Any]:
    """Decisions by signal and by status, what was approved, why the rest was not, and vetoes.

    Dry runs and batches are counted, and are in no other figure.
    """
    decided = [event.payload for event in events if event.kind is EventKind.DECISION]
    live = [payload["answer"] for payload in decided if not payload["dry_run"]]
    approved = [answer for answer in live if answer["approved"]]
    traded = [answer for answer in live if answer["raw_signal"] != Signal.HOLD.value]
    vetoed = [answer for answer in live if answer["risk_status"] in _VETOES]
    return {
        "total": len(live),
        "dry_runs": len(decided) - len(live),
        "batches": _count(events, EventKind.BATCH),
        "asked_again": _count(events, EventKind.ORDER_REPLAYED),
        "by_signal": _counted(answer["raw_signal"] for answer in live),
        "by_status": _counted(answer["risk_status"] for answer in live),
        "approved_entries": sum(not answer["reduces"] for answer in approved),
        "approved_exits": sum(answer["reduces"] for answer in approved),
        "refused": _counted(answer["risk_status"] for answer in traded if not answer["approved"]),
        "vetoed": len(vetoed),
        "vetoes": _counted(
            (reason for answer in vetoed for reason in answer["reasons"][:1]), most=_SHOWN_VETOES
        ),
    }


def trades(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Closed trades, oldest first."""
    return [
        {
            "trade_id": event.payload["trade_id"],
            "order_id": event.payload["order_id"],
            "at": timestamp(event.at),
            "pnl_usd": event.payload["pnl"],
            "pnl_percent": from_nano(event.payload["pnl_nano"]),
            "reported_by": event.actor,
        }
        for event in events
        if event.kind is EventKind.TRADE_RESULT
    ]


def acts(events: Iterable[Event]) -> list[dict[str, Any]]:
    """What was done to the book beside trading, by whom, oldest first."""
    return [
        {
            "at": timestamp(event.at),
            "kind": event.kind.value,
            "by": event.actor,
            "words": in_a_line(event),
            "record": event.sequence,
        }
        for event in events
        if event.kind in ACTS
    ]


def book_at_close(state: RiskState, at: datetime) -> dict[str, Any]:
    """What the day came to.

    Args:
        state: rolled to the date.
        at: the end of it, or now; aware.
    """
    today, exposure = state.today, exposure_of(state)
    return {
        "pnl_percent": from_nano(state.daily_pnl),
        "pnl_usd": from_micro(today.pnl_usd),
        "realized_percent": from_nano(today.realised),
        "unrealized_percent": from_nano(state.mark),
        "results": today.results,
        "wins": today.wins,
        "losses": today.losses,
        "losses_in_a_row": state.loss_streak,
        "resets": today.resets,
        "equity": from_nano(state.equity),
        "drawdown": from_nano(state.drawdown),
        "high_water_mark": from_nano(state.high_water_mark),
        "breaker": breaker_state(state, at).value,
        "breaker_causes": [cause.kind.value for cause in state.causes],
        "operator": state.operator.mode.value,
        "position": None if exposure.position is None else from_nano(exposure.position),
        "position_as_of": None if exposure.as_of is None else timestamp(exposure.as_of),
        "open_orders": [_order(order) for order in state.orders],
    }


def _order(order: OpenOrder) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "signal": order.signal,
        "size_percent": from_nano(order.size),
        "approved_at": timestamp(order.at),
        "valid_until": timestamp(order.valid_until),
    }


def _count(events: Iterable[Event], kind: EventKind) -> int:
    return sum(event.kind is kind for event in events)


def _counted(words: Iterable[str], most: int | None = None) -> dict[str, int]:
    return dict(Counter(words).most_common(most))
