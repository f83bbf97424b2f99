"""An order router as simple as can be: it does what the service says, one position at a time.

It asks for a decision on every bar, with an order id, as a live router does, and reports what
became of it:

- An approved entry is filled at the close of the next bar of the session. A position that is
  filled is reported, and marked at every close.
- An approved exit is filled likewise, and its trade reported with the position that is left: none.
- An approval that comes while a position is held, or another order waits, is released as
  `cancelled`: there is one position at a time.
- At the session's end whatever is held is closed at the last close that is known. An order that
  could be filled only then, or has no price to be filled at, is released as `expired`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

from errors import InvalidRequest
from risk.calendar import SessionCalendar
from simulation.book import BarSeen, Service, TradeReport
from simulation.fills import Costs
from simulation.history import History
from simulation.trades import ExitReason, Trade

__all__ = ["Router", "Rules", "Step"]

_LONGEST_LATENCY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Rules:
    """How the router trades.

    Attributes:
        costs: of every fill.
        capital_usd: at the start; sizes and P&L are fractions of it throughout.
        latency: from the moment that a bar is known to its decision, 0 to 5 minutes.
        marks: report the open P&L at every close, as a desk that uses `/v1/risk/mark` does.

    Raises:
        InvalidRequest: the latency is out of its range.
    """

    costs: Costs
    capital_usd: float
    latency: timedelta = timedelta(milliseconds=500)
    marks: bool = False

    def __post_init__(self) -> None:
        if not timedelta(0) <= self.latency < _LONGEST_LATENCY:
            raise InvalidRequest(
                f"the decision latency is {self.latency.total_seconds() * 1000:g} ms; it must be "
                "0 or more, and less than a bar (300000)"
            )


@dataclass(frozen=True, slots=True)
class Step:
    """One bar, after everything that happened at it.

    Attributes:
        index: of the bar.
        answer: to its decision; None where there was no vector.
        position_then: signed fraction of capital that was held when it was decided.
        equity: realised and open P&L at the close, a fraction of capital.
        position: that is held after it.
    """

    index: int
    answer: dict[str, Any] | None
    position_then: float
    equity: float
    position: float


@dataclass(frozen=True, slots=True)
class _Order:
    """An approval that waits for the next bar."""

    order_id: str
    decision_id: str
    direction: int
    size: float
    confidence: float
    decided_at: datetime
    reduces: bool


@dataclass(frozen=True, slots=True)
class _Position:
    """What is held."""

    order: _Order
    entered_at: datetime
    close: float
    price: float


class Router:
    """Trades on a history through a service, bar by bar.

    Args:
        service: that decides.
        calendar: when sessions end.
        rules: how it trades.

    Attributes:
        trades: closed ones, oldest first.
        expired: approvals that were not filled in time.
        not_taken: approvals that were released since a position was held already.
    """

    def __init__(self, service: Service, calendar: SessionCalendar, rules: Rules) -> None:
        self._service, self._calendar, self._rules = service, calendar, rules
        self.trades: list[Trade] = []
        self.expired = 0
        self.not_taken = 0
        self._order: _Order | None = None
        self._position: _Position | None = None
        self._ends_at: datetime | None = None
        self._close = float("nan")
        self._realised = 0.0
        self._unrealized = 0.0

    def run(
        self, history: History, progress: Callable[[int], object] | None = None
    ) -> Iterator[Step]:
        """Take every bar in turn.

        Args:
            history: to trade on.
            progress: called with the number of bars done since the last call.
        """
        known_at = [datetime.fromtimestamp(known, UTC) for known in history.known_at.tolist()]
        following = (*known_at[1:], None)
        for index, (close, row) in enumerate(
            zip(history.closes.tolist(), history.rows.tolist(), strict=True)
        ):
            at, after = known_at[index], following[index]
            self._trade(at, close)
            held, answer = self._held, None
            if row >= 0:
                start = int(history.starts[index])
                vector, evidence = history.matrix[row], history.evidence[row]
                bar = BarSeen(start, close, at, vector, evidence, history.fill_state)
                answer = self._decide(bar)
            if self._ends_at is not None and (after is None or after > self._ends_at):
                self._end_session()
            yield Step(index, answer, held, self._realised + self._unrealized, self._held)
            if progress is not None:
                progress(1)

    @property
    def _held(self) -> float:
        held = self._position
        return 0.0 if held is None else held.order.direction * held.order.size

    def _trade(self, at: datetime, close: float) -> None:
        """What is due at the close of a bar of the session: a fill, the session's end, a mark."""
        ends = self._ends_at is not None and at >= self._ends_at
        if isfinite(close):
            self._close = close
        order = self._order
        if order is not None:
            self._order = None
            if not isfinite(close) or (ends and not order.reduces):
                self._expire(order, at)
            elif order.reduces:
                self._close_out(at, ExitReason.SIGNAL)
            else:
                self._open(order, at, close)
        if ends:
            self._end_session()
        elif self._position is not None and isfinite(close):
            self._mark(at)

    def _decide(self, bar: BarSeen) -> dict[str, Any]:
        now = bar.known_at + self._rules.latency
        order_id = f"bar-{bar.known_at:%Y%m%dT%H%M%SZ}"
        answer = self._service.decide(bar, order_id, now)
        if answer["approved"]:
            self._take(answer, order_id, now)
        return answer

    def _take(self, answer: dict[str, Any], order_id: str, now: datetime) -> None:
        reduces = answer["reduces"]
        if self._order is not None or reduces != (self._position is not None):
            self._service.release(order_id, "cancelled", now)
            self.not_taken += 1
            return
        self._order = _Order(
            order_id=order_id,
            decision_id=answer["decision_id"],
            direction=1 if answer["signal"] == "BUY" else -1,
            size=answer["position_recommendation"]["position_size_percent"],
            confidence=answer["confidence"],
            decided_at=now,
            reduces=reduces,
        )
        ends_at = self._calendar.status(now).ends_at
        # What was approved after the end, of a calendar of another opinion, ends at once.
        self._ends_at = now if ends_at is None else max(ends_at.astimezone(UTC), now)

    def _open(self, order: _Order, at: datetime, close: float) -> None:
        price = self._rules.costs.price(close, side=order.direction)
        self._position = _Position(order, at, close, price)
        self._service.report_position(self._held, at, at)

    def _mark(self, at: datetime) -> None:
        held = self._position
        if held is None:
            return
        order = held.order
        self._unrealized = self._rules.costs.mark(
            held.price, self._close, direction=order.direction, size=order.size
        )
        if self._rules.marks:
            self._service.report_mark(self._unrealized, at, at)

    def _close_out(self, at: datetime, reason: ExitReason) -> None:
        held = self._position
        if held is None:
            return
        trade = self._closed(held, at, reason)
        self.trades.append(trade)
        self._realised += trade.pnl_percent
        self._position, self._unrealized = None, 0.0
        self._service.report_result(
            TradeReport(trade.trade_id, trade.order_id, trade.pnl_usd, trade.pnl_percent, at), at
        )

    def _closed(self, held: _Position, at: datetime, reason: ExitReason) -> Trade:
        order, costs, close = held.order, self._rules.costs, self._close
        price = costs.price(close, side=-order.direction)
        pnl = costs.pnl(held.price, price, direction=order.direction, size=order.size)
        return Trade(
            trade_id=f"trade-{order.order_id}",
            order_id=order.order_id,
            decision_id=order.decision_id,
            direction=order.direction,
            size=order.size,
            confidence=order.confidence,
            decided_at=order.decided_at,
            entered_at=held.entered_at,
            entry_close=held.close,
            entry_price=held.price,
            exited_at=at,
            exit_close=close,
            exit_price=price,
            exit_reason=reason,
            gross_percent=costs.mark(held.close, close, direction=order.direction, size=order.size),
            pnl_percent=pnl,
            pnl_usd=pnl * self._rules.capital_usd,
        )

    def _expire(self, order: _Order, at: datetime) -> None:
        self._service.release(order.order_id, "expired", at)
        self.expired += 1

    def _end_session(self) -> None:
        """Nothing outlives a session: what waits expires, what is held is closed."""
        ends_at = self._ends_at
        if ends_at is None:
            return
        if self._order is not None:
            order, self._order = self._order, None
            self._expire(order, ends_at)
        self._close_out(ends_at, ExitReason.SESSION_END)
        self._ends_at = None
