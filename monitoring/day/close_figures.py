"""What the events of a date add up to, as JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
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

__all__ = ["KEPT", "DecisionTally", "acts", "book_at_close", "trades"]

_VETOES: Final = (RiskStatus.STALE_DATA.value, RiskStatus.OUT_OF_DISTRIBUTION.value)
_SHOWN_VETOES: Final = 5
_MOST_VETOES: Final = 1000

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

KEPT: Final = ACTS | {EventKind.TRADE_RESULT}
"""Kinds that a report names each event of."""


class DecisionTally:
    """Decisions by signal and by status, what was approved, why the rest was not, and vetoes.

    Counts, and keeps no event: a day may have very many. Dry runs and batches are counted, and are
    in no other figure.
    """

    def __init__(self) -> None:
        self._kinds: Counter[EventKind] = Counter()
        self._dry_runs = self._entries = self._exits = 0
        self._signals: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._vetoes: Counter[str] = Counter()

    def add(self, event: Event) -> None:
        """Count an event of any kind."""
        self._kinds[event.kind] += 1
        if event.kind is EventKind.DECISION:
            self._decision(event.payload)

    def figures(self) -> dict[str, Any]:
        """What was counted, as JSON values."""
        decided = self._kinds[EventKind.DECISION]
        return {
            "total": decided - self._dry_runs,
            "dry_runs": self._dry_runs,
            "batches": self._kinds[EventKind.BATCH],
            "asked_again": self._kinds[EventKind.ORDER_REPLAYED],
            "by_signal": _sorted(self._signals),
            "by_status": _sorted(self._statuses),
            "approved_entries": self._entries,
            "approved_exits": self._exits,
            "refused": _sorted(self._refused),
            "vetoed": sum(self._statuses[status] for status in _VETOES),
            "vetoes": dict(list(_sorted(self._vetoes).items())[:_SHOWN_VETOES]),
        }

    def _decision(self, payload: Mapping[str, Any]) -> None:
        answer = payload["answer"]
        if payload["dry_run"]:
            self._dry_runs += 1
            return
        signal, status = answer["raw_signal"], answer["risk_status"]
        self._signals[signal] += 1
        self._statuses[status] += 1
        self._entries += answer["approved"] and not answer["reduces"]
        self._exits += answer["approved"] and answer["reduces"]
        if signal != Signal.HOLD.value and not answer["approved"]:
            self._refused[status] += 1
        if status in _VETOES and len(self._vetoes) < _MOST_VETOES:
            self._vetoes.update(answer["reasons"][:1])


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


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent first."""
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))
