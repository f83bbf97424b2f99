"""Closed trades: what is believed of a report, and what follows from it.

A result is accepted at any hour and in any state, since it tells what has happened already.
The limits are judged in the same append, so the breaker trips on the trade that breaches.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import Any

from errors import Conflict, InvalidRequest, KeyTaken, StateMoved
from risk.acts import Act, after
from risk.breaker import Trip, breaches, streak_trip
from risk.events import Draft, Event, EventKind, timestamp
from risk.fixed_point import to_micro, to_nano
from risk.fold import fold, roll
from risk.ledger.retry import on_newest_state
from risk.orders import closing_draft
from risk.state import CauseKind, RiskState

__all__ = ["Recorded", "TradeResult", "record_trade_result"]

_UNUSUAL = 0.2
_REPORTED = (
    "pnl",
    "pnl_percent",
    "unrealized_pnl_percent",
    "closed_at",
    "order_id",
    "position_nano",
)


@dataclass(frozen=True, slots=True)
class TradeResult:
    """A report that a trade was closed.

    Attributes:
        trade_id: the caller's name for it; makes the report safe to send again.
        pnl: profit or loss in US dollars.
        pnl_percent: the same as a fraction of capital; 0.005 is 0.5%.
        is_win: if given, must agree with the sign.
        order_id: of the approved entry that it is the result of, if it had one.
        closed_at: when, aware; None when the caller did not say: then it is now.
        position: what is held since, signed fraction of capital; None when the caller did not say.
        unrealized_pnl_percent: P&L of what is still open, as a fraction; replaces the mark, unless
            the mark is of a time after `closed_at`.
        confirm: the caller means a fraction beyond 20% as it stands.

    Raises:
        InvalidRequest: the parts contradict each other, or look like a wrong unit.
    """

    trade_id: str
    pnl: float
    pnl_percent: float
    is_win: bool | None = None
    order_id: str | None = None
    closed_at: datetime | None = None
    position: float | None = None
    unrealized_pnl_percent: float = 0.0
    confirm: bool = False

    def __post_init__(self) -> None:
        for name in ("pnl_percent", "unrealized_pnl_percent"):
            value = getattr(self, name)
            if abs(value) > _UNUSUAL and not self.confirm:
                raise InvalidRequest(
                    f"{name} is {value:g}, which is {value:.0%} of capital; it is a fraction: "
                    "0.005 is 0.5%. Send `confirm: true` if it is meant as it stands"
                )
        if _sign(self.pnl) != _sign(self.pnl_percent):
            raise InvalidRequest(
                f"pnl {self.pnl:g} and pnl_percent {self.pnl_percent:g} must have the same sign"
            )
        if self.is_win is not None and self.is_win != (self.pnl > 0):
            raise InvalidRequest(
                f"is_win is {str(self.is_win).lower()}, but pnl is {self.pnl:g}; "
                "a win has a pnl above 0"
            )

    @property
    def key(self) -> str:
        """What makes a second report of the same trade recognisable."""
        return f"trade:{self.trade_id}"

    def payload(self, now: datetime) -> dict[str, Any]:
        """What goes on record; equal reports have equal payloads, but for `as_of`."""
        as_of = now if self.closed_at is None else min(self.closed_at, now)
        return {
            "trade_id": self.trade_id,
            "order_id": self.order_id,
            "pnl": self.pnl,
            "pnl_percent": self.pnl_percent,
            "unrealized_pnl_percent": self.unrealized_pnl_percent,
            "pnl_usd_micro": to_micro(self.pnl),
            "pnl_nano": to_nano(self.pnl_percent),
            "unrealized_nano": to_nano(self.unrealized_pnl_percent),
            "position_nano": None if self.position is None else to_nano(self.position),
            "closed_at": None if self.closed_at is None else timestamp(self.closed_at),
            "as_of": timestamp(as_of),
        }


@dataclass(frozen=True, slots=True)
class Recorded:
    """A result on record.

    Attributes:
        event: the result as stored.
        trips: causes that this result opened the breaker with.
        released: whether it closed a half-open breaker.
        order_closed: whether it is the outcome of an approved order.
        state: after it; for a duplicate, the state now.
        duplicate: the same report was on record already and nothing changed.
    """

    event: Event
    trips: tuple[Trip, ...]
    released: bool
    order_closed: bool
    state: RiskState
    duplicate: bool = False


def record_trade_result(result: TradeResult, act: Act) -> Recorded:
    """Put a closed trade on record, and with it all that follows from it.

    Raises:
        Conflict: the trade is on record with other content.
        InvalidRequest: `closed_at` has not come yet.
        StoreError: nothing was stored; sending the same report again is safe.
    """
    if result.closed_at is not None:
        act.known_by_now(result.closed_at, "closed_at")
    payload = result.payload(act.now)

    def report(state: RiskState) -> Recorded:
        known = act.ledger.by_key(result.key)
        if known is not None:
            _refuse_other_content(result, known, payload)
            return Recorded(
                known, (), released=False, order_closed=False, state=state, duplicate=True
            )
        draft = act.draft(EventKind.TRADE_RESULT, payload, result.key)
        consequences = _consequences(result, draft, act, state)
        try:
            events = act.ledger.append(
                [draft, *consequences.drafts], expected=state.sequence, durable=True
            )
        except KeyTaken:
            # Somebody reported this trade, or this order's outcome, since we looked: look again.
            raise StateMoved(f"trade {result.trade_id!r} was just reported") from None
        return Recorded(
            event=events[0],
            trips=consequences.trips,
            released=consequences.released,
            order_closed=any(event.kind is EventKind.ORDER_CLOSED for event in events),
            state=reduce(fold, events, state),
        )

    return on_newest_state(act.ledger, report, what=f"trade {result.trade_id!r}")


@dataclass(frozen=True, slots=True)
class _Consequences:
    """What follows from a result: its order's outcome, trips, or the breaker's release."""

    drafts: tuple[Draft, ...]
    trips: tuple[Trip, ...]
    released: bool


def _consequences(result: TradeResult, draft: Draft, act: Act, state: RiskState) -> _Consequences:
    limits = act.limits(state)
    before = roll(state, act.day)
    closing = closing_draft(act.ledger, result.order_id, act, draft.event_id)
    reported = after(state, draft)
    # A mark that the result did not replace, and that nobody has confirmed, latches nothing.
    believed = replace(reported, mark=reported.believed_mark)
    trips = [trip for trip in breaches(believed, limits) if before.cause(trip.kind) is None]
    streak = streak_trip(
        before,
        reported,
        limits,
        act.now,
        order_id=result.order_id,
        session_seconds=act.calendar.session_seconds,
    )
    if streak is not None:
        trips.append(streak)
    release = _release(result, draft, act, before)
    drafts = [
        *([] if closing is None else [closing]),
        *(act.draft(EventKind.BREAKER_TRIPPED, trip.payload(draft.event_id)) for trip in trips),
        *([] if release is None else [release]),
    ]
    return _Consequences(tuple(drafts), tuple(trips), release is not None)


def _release(result: TradeResult, draft: Draft, act: Act, before: RiskState) -> Draft | None:
    """The release of the breaker when its probe has won."""
    cause = before.cause(CauseKind.CONSECUTIVE_LOSSES)
    won = draft.payload["pnl_nano"] > 0 and result.order_id is not None
    if cause is None or not won or cause.probe != result.order_id:
        return None
    payload = {"cause": cause.kind.value, "by": draft.event_id}
    return act.draft(EventKind.BREAKER_RELEASED, payload)


def _refuse_other_content(result: TradeResult, known: Event, payload: Mapping[str, Any]) -> None:
    stored = known.payload
    other = [name.removesuffix("_nano") for name in _REPORTED if payload[name] != stored.get(name)]
    if other:
        raise Conflict(
            f"trade {result.trade_id!r} is on record with another {', '.join(other)}; "
            "a corrected trade needs a trade_id of its own",
            code="trade_conflict",
            detail={"trade_id": result.trade_id, "differs": other},
        )


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
