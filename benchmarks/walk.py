"""Walks a ledger and holds every approval against the limits of that very instant.

What counts (results, open orders, halts) is counted here from the events alone, apart from the
fold that the service uses; then the two are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import orjson

from config.settings import RiskLimits
from risk.breaker import open_causes
from risk.fixed_point import to_nano
from risk.fold import roll
from risk.ledger.protocol import Head, Record
from risk.state import RiskState
from risk.verification import Examiner

__all__ = ["Counts", "Walk"]

_STRICTNESS = {"ACTIVE": 0, "REDUCING": 1, "HALTED": 2}


@dataclass
class Counts:
    """What the events add up to, by the plainest count there is."""

    day: date | None = None
    results: int = 0
    equity: int = 0
    mode: str = "ACTIVE"
    orders: dict[str, tuple[str, int]] = field(default_factory=dict)

    def begin(self, day: date) -> None:
        """A later date clears the day."""
        if self.day is None or day > self.day:
            self.day, self.results, self.orders = day, 0, {}

    def add(self, kind: str, payload: Mapping[str, Any], day: date) -> None:
        """Count one event."""
        if kind == "decision" and payload["order"] is not None:
            order = payload["order"]
            if not order["reduces"]:
                self.orders[order["order_id"]] = order["signal"], order["size_nano"]
        elif kind == "order_closed":
            self.orders.pop(payload["order_id"], None)
        elif kind == "trade_result":
            self.results += 1
            self.equity += payload["pnl_nano"]
        elif kind == "reset":
            self.results = 0
            if payload["scope"] == "all":
                self.day = day
        elif kind in {"operator_halted", "reconciled"}:
            mode = payload.get("mode", "HALTED")
            self.mode = max(self.mode, mode, key=_STRICTNESS.__getitem__)
        elif kind == "operator_resumed":
            self.mode = payload["mode"]


class Walk:
    """Judges the events of one ledger in order; goes on where it stopped.

    Args:
        limits: that every approval had to keep.

    Attributes:
        violations: what should never be, in words; the first one first.
        kinds: events by kind.
        approvals: approved decisions.
        repeats: answers to repeated requests, by order id.
    """

    def __init__(self, limits: RiskLimits) -> None:
        self._limits = limits
        self._examiner = Examiner()
        self._counts = Counts()
        self._bound: dict[str, int] = {}
        self._ids: set[str] = set()
        self.violations: list[str] = []
        self.kinds: Counter[str] = Counter()
        self.approvals = 0
        self.repeats: Counter[str] = Counter()

    @property
    def head(self) -> Head:
        """Where it stands: the last event, and the state that the events add up to."""
        return self._examiner.head

    def on(self, records: Iterable[Record]) -> None:
        """Walk on; these are the records after the last one."""
        before = self.head.state
        for record in self._examiner.passed(records):
            self._judge(record, before)
            before = self.head.state
        if self._examiner.flaw is not None:
            self.violations.append(f"the chain does not verify: {self._examiner.flaw}")

    def agrees_with(self, head: Head) -> None:
        """Hold what the events add up to against what the ledger says, at the same event."""
        own, counts = self.head, self._counts
        if (own.sequence, own.hash) != (head.sequence, head.hash):
            self._violated(f"the head says {head.hash[:12]}, the events {own.hash[:12]}")
        if own.state != head.state:
            self._violated("the stored state is not what the events add up to")
        if counts.day is None:
            return
        state = roll(head.state, counts.day)
        told = (state.today.results, state.equity, state.operator.mode.value)
        if told != (counts.results, counts.equity, counts.mode):
            self._violated(
                f"the state says {told}, but by count it is "
                f"{(counts.results, counts.equity, counts.mode)} (results, equity, mode)"
            )
        if {order.order_id for order in state.orders} != set(counts.orders):
            self._violated("the open orders in the state are not those on record")

    def _judge(self, record: Record, before: RiskState) -> None:
        content = orjson.loads(record.body)
        kind, payload, day = content["kind"], content["payload"], content["day"]
        self.kinds[kind] += 1
        self._bind(record)
        self._counts.begin(date.fromisoformat(day))
        if kind == "decision" and payload["answer"]["approved"]:
            self.approvals += 1
            self._judge_approval(content, roll(before, date.fromisoformat(day)))
        elif kind == "order_replayed":
            self.repeats[payload["order_id"]] += 1
        self._counts.add(kind, payload, date.fromisoformat(day))

    def _bind(self, record: Record) -> None:
        """One event for each id and for each key: order, trade, outcome."""
        if record.event_id in self._ids:
            self._violated(f"record {record.sequence} doubles the id {record.event_id}")
        self._ids.add(record.event_id)
        if record.key is not None:
            other = self._bound.setdefault(record.key, record.sequence)
            if other != record.sequence:
                self._violated(f"records {other} and {record.sequence} both are {record.key}")

    def _judge_approval(self, content: Mapping[str, Any], before: RiskState) -> None:
        payload = content["payload"]
        if self._counts.mode == "HALTED":
            self._refused(content, "the book was halted")
        if not payload["answer"]["reduces"]:
            self._judge_entry(content, before)
        elif payload["position"] is None:
            self._judge_exit(content, before)

    def _judge_entry(self, content: Mapping[str, Any], before: RiskState) -> None:
        counts, limits, answer = self._counts, self._limits, content["payload"]["answer"]
        if counts.mode != "ACTIVE":
            self._refused(content, f"the book was {counts.mode}")
        used = counts.results + len(counts.orders)
        if used >= limits.max_trades_per_day:
            self._refused(content, f"{used} trades of {limits.max_trades_per_day} were used up")
        if len(counts.orders) >= limits.max_unresolved_orders:
            self._refused(content, f"{len(counts.orders)} orders were unresolved")
        if open_causes(before, datetime.fromisoformat(content["at"])):
            self._refused(content, "the breaker was open")
        if before.causes and not answer["probe"]:
            self._refused(content, "the breaker was half-open, and this is no probe")
        if any(cause.probe for cause in before.causes):
            self._refused(content, "the breaker's probe had no outcome yet")
        if before.daily_pnl <= to_nano(limits.max_daily_loss):
            self._refused(content, f"the day stood at {before.daily_pnl} nano")
        if before.drawdown <= to_nano(limits.max_drawdown):
            self._refused(content, f"the drawdown was {before.drawdown} nano")
        self._judge_size(content, before)

    def _judge_size(self, content: Mapping[str, Any], before: RiskState) -> None:
        """|position + open orders| on the side of the signal, with this one."""
        payload = content["payload"]
        told, known = payload["position"], before.position
        held = to_nano(told) if told is not None else 0 if known is None else known.value
        answer = payload["answer"]
        size = to_nano(answer["position_recommendation"]["position_size_percent"])
        side = answer["signal"]
        waiting = sum(size for signal, size in self._counts.orders.values() if signal == side)
        reached = (held if side == "BUY" else -held) + waiting + size
        if reached > to_nano(self._limits.max_position_size):
            self._refused(content, f"a {side} of {size} took the position to {reached} nano")

    def _judge_exit(self, content: Mapping[str, Any], before: RiskState) -> None:
        held = 0 if before.position is None else before.position.value
        left = abs(held) - sum(exit_.size for exit_ in before.reductions)
        answer = content["payload"]["answer"]
        size = to_nano(answer["position_recommendation"]["position_size_percent"])
        if size > left or (answer["signal"] == "SELL") != (held > 0):
            self._refused(content, f"an exit of {size} nano, but {left} of {held} were left")

    def _refused(self, content: Mapping[str, Any], why: str) -> None:
        self._violated(f"record {content['sequence']} is an approval, but {why}")

    def _violated(self, what: str) -> None:
        self.violations.append(what)
