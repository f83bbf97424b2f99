"""What a desk tells between trades: what is held, and what it is worth.

A report says of which time it is; the newest counts. A mark beyond a limit refuses entries at
once, but trips the breaker only when a second one confirms it: one bad tick latches nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import reduce

from errors import InvalidRequest
from risk.acts import Act, after
from risk.breaker import Trip, breaches, confirmed
from risk.events import Event, EventKind, timestamp
from risk.fixed_point import to_nano
from risk.fold import fold, roll
from risk.ledger.retry import on_newest_state
from risk.state import RiskState

__all__ = ["Reported", "record_mark", "record_position"]

_UNUSUAL = 0.2


@dataclass(frozen=True, slots=True)
class Reported:
    """A report on record.

    Attributes:
        event: as stored.
        newest: whether it counts; a report of an older time does not.
        trips: causes that it opened the breaker with.
        unconfirmed: limits that it is beyond, waiting for a second mark.
        state: after it.
    """

    event: Event
    newest: bool
    trips: tuple[Trip, ...]
    unconfirmed: tuple[Trip, ...]
    state: RiskState


def record_position(position: float, as_of: datetime, act: Act) -> Reported:
    """Put on record what the broker says is held: a signed fraction of capital.

    Raises:
        InvalidRequest: `as_of` has not come yet.
        StoreError: nothing was stored.
    """
    as_of = act.known_by_now(as_of, "as_of")
    payload = {
        "position": position,
        "position_nano": to_nano(position),
        "as_of": timestamp(as_of),
    }

    def report(state: RiskState) -> Reported:
        draft = act.draft(EventKind.POSITION, payload)
        (event,) = act.ledger.append([draft], expected=state.sequence, durable=True)
        newer = fold(state, event)
        newest = newer.position is not None and newer.position.as_of == as_of
        return Reported(event, newest, (), (), newer)

    return on_newest_state(act.ledger, report, what="the position")


def record_mark(unrealized: float, as_of: datetime, act: Act, *, confirm: bool = False) -> Reported:
    """Put the open P&L of the book on record, as a fraction of capital.

    Raises:
        InvalidRequest: `as_of` has not come yet, or the fraction looks like a wrong unit.
        StoreError: nothing was stored.
    """
    if abs(unrealized) > _UNUSUAL and not confirm:
        raise InvalidRequest(
            f"unrealized_pnl_percent is {unrealized:g}, which is {unrealized:.0%} of capital; it "
            "is a fraction: 0.005 is 0.5%. Send `confirm: true` if it is meant as it stands"
        )
    as_of = act.known_by_now(as_of, "as_of")
    payload = {
        "unrealized_pnl_percent": unrealized,
        "unrealized_nano": to_nano(unrealized),
        "as_of": timestamp(as_of),
    }

    def mark(state: RiskState) -> Reported:
        limits, before = act.limits(state), roll(state, act.day)
        draft = act.draft(EventKind.MARK, {**payload, "beyond": []})
        marked = after(state, draft)
        newest = marked.mark_as_of == as_of
        found = [
            trip
            for trip in (breaches(marked, limits) if newest else ())
            if before.cause(trip.kind) is None
        ]
        trips = confirmed(found, before, as_of, limits)
        if found:
            beyond = [trip.kind.value for trip in found]
            draft = draft._replace(payload={**payload, "beyond": beyond})
        tripped = [
            act.draft(EventKind.BREAKER_TRIPPED, trip.payload(draft.event_id)) for trip in trips
        ]
        events = act.ledger.append([draft, *tripped], expected=state.sequence, durable=True)
        newer = reduce(fold, events, state)
        waiting = tuple(trip for trip in found if newer.cause(trip.kind) is None)
        return Reported(events[0], newest, tuple(trips), waiting, newer)

    return on_newest_state(act.ledger, mark, what="the mark")
