"""Closed trades: what is believed of a report, and what follows from it.

A result is accepted at any hour and in any state, since it tells what has happened already.
The limits are judged in the same append, so the breaker trips on the trade that breaches.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any

from config.settings import RiskLimits
from errors import Conflict, InvalidRequest, KeyTaken, StateMoved
from risk.breaker import Trip, trips
from risk.calendar import SessionCalendar
from risk.events import GENESIS, Draft, Event, EventKind, stamp, timestamp
from risk.fixed_point import to_micro, to_nano
from risk.ledger.protocol import Ledger
from risk.ledger.retry import on_newest_state
from risk.state import RiskState, fold

__all__ = ["Recorded", "TradeResult", "record_trade_result"]

_UNUSUAL = 0.2
_REPORTED = ("pnl", "pnl_percent", "unrealized_pnl_percent", "closed_at")


@dataclass(frozen=True, slots=True)
class TradeResult:
    """A report that a trade was closed.

    Attributes:
        trade_id: the caller's name for it; makes the report safe to send again.
        pnl: profit or loss in US dollars.
        pnl_percent: the same as a fraction of capital; 0.005 is 0.5%.
        is_win: if given, must agree with the sign.
        closed_at: when, aware; None when the caller did not say.
        unrealized_pnl_percent: P&L of what is still open, as a fraction; replaces the mark.
        confirm: the caller means a fraction beyond 20% as it stands.

    Raises:
        InvalidRequest: the parts contradict each other, or look like a wrong unit.
    """

    trade_id: str
    pnl: float
    pnl_percent: float
    is_win: bool | None = None
    closed_at: datetime | None = None
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

    def payload(self) -> dict[str, Any]:
        """What goes on record; equal reports have equal payloads."""
        return {
            "trade_id": self.trade_id,
            "pnl": self.pnl,
            "pnl_percent": self.pnl_percent,
            "unrealized_pnl_percent": self.unrealized_pnl_percent,
            "pnl_usd_micro": to_micro(self.pnl),
            "pnl_nano": to_nano(self.pnl_percent),
            "unrealized_nano": to_nano(self.unrealized_pnl_percent),
            "closed_at": None if self.closed_at is None else timestamp(self.closed_at),
        }


@dataclass(frozen=True, slots=True)
class Recorded:
    """A result on record.

    Attributes:
        event: the result as stored.
        trips: causes that this result opened the breaker with.
        state: after it; for a duplicate, the state now.
        duplicate: the same report was on record already and nothing changed.
    """

    event: Event
    trips: tuple[Trip, ...]
    state: RiskState
    duplicate: bool = False


def record_trade_result(
    result: TradeResult,
    *,
    ledger: Ledger,
    limits: RiskLimits,
    calendar: SessionCalendar,
    now: datetime,
    new_id: Callable[[datetime], str],
    actor: str,
) -> Recorded:
    """Put a closed trade on record, and with it every limit that it breaches.

    Raises:
        Conflict: the trade is on record with other content.
        LedgerError: nothing was stored; sending the same report again is safe.
    """
    payload = result.payload()

    def report(state: RiskState) -> Recorded:
        known = ledger.by_key(result.key)
        if known is not None:
            _refuse_other_content(result, known, payload)
            return Recorded(known, (), state, duplicate=True)
        draft = Draft(
            kind=EventKind.TRADE_RESULT,
            event_id=new_id(now),
            at=now,
            day=calendar.day(now),
            actor=actor,
            payload=payload,
            key=result.key,
        )
        found = trips(state, _after(state, draft), limits, now)
        drafts = [draft, *(_trip_draft(trip, draft, new_id(now)) for trip in found)]
        try:
            events = ledger.append(drafts, expected=state.sequence, durable=True)
        except KeyTaken:
            # Somebody reported this trade since we looked: look again.
            raise StateMoved(f"trade {result.trade_id!r} was just reported") from None
        return Recorded(events[0], tuple(found), reduce(fold, events, state))

    return on_newest_state(ledger, report, what=f"trade {result.trade_id!r}")


def _refuse_other_content(result: TradeResult, known: Event, payload: Mapping[str, Any]) -> None:
    stored = known.payload
    other = [name for name in _REPORTED if payload[name] != stored.get(name)]
    if other:
        raise Conflict(
            f"trade {result.trade_id!r} is on record with another {', '.join(other)}; "
            "a corrected trade needs a trade_id of its own",
            code="trade_conflict",
            detail={"trade_id": result.trade_id, "differs": other},
        )


def _after(state: RiskState, draft: Draft) -> RiskState:
    # Where the event will stand does not matter to what it adds up to.
    return fold(state, stamp(draft, sequence=state.sequence + 1, previous_hash=GENESIS))


def _trip_draft(trip: Trip, result: Draft, event_id: str) -> Draft:
    return Draft(
        kind=EventKind.BREAKER_TRIPPED,
        event_id=event_id,
        at=result.at,
        day=result.day,
        actor=result.actor,
        payload={
            "cause": trip.kind.value,
            "value": trip.value,
            "limit": trip.limit,
            "until": None if trip.until is None else timestamp(trip.until),
            "by": result.event_id,
        },
    )


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
