"""Real decisions to fill ledgers with: as a service recorded them, under new names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import cycle, islice
from typing import Final

from risk.events import Draft, Event, EventKind
from risk.fold import changes_state
from risk.ledger.protocol import Ledger, Record

__all__ = ["again", "drafts_in", "grow"]

_PAGE: Final = 500
_KEY_EVERY: Final = 12
_STEP: Final = timedelta(milliseconds=200)


def drafts_in(ledger: Ledger, most: int) -> list[Draft]:
    """The newest decisions of a ledger that leave its state as it is.

    Raises:
        RuntimeError: there are none.
    """
    events = ledger.recent([EventKind.DECISION], limit=most)
    found = [draft_of(event) for event in events]
    found = [draft for draft in found if not changes_state(draft.kind, draft.payload)]
    if not found:
        raise RuntimeError("the ledger has no decisions")
    return found


def draft_of(event: Event) -> Draft:
    """What an event was before it had its place."""
    return Draft(
        event.kind, event.event_id, event.at, event.day, event.actor, event.payload, event.key
    )


def event_of(record: Record) -> Event:
    """A record as the event that it holds; its predecessor's hash is not known here."""
    return Event(record.sequence, EventKind(record.kind), "", record.hash, record.body)


def again(templates: Sequence[Draft], name: str, begin: datetime) -> Iterator[Draft]:
    """The same decisions without end, under new names and at later times; some with a key.

    Args:
        templates: in turn.
        name: that their ids begin with.
        begin: time of the first.
    """
    for number, draft in enumerate(cycle(templates)):
        at = begin + number * _STEP
        key = f"{name}-order-{number}" if number % _KEY_EVERY == 0 else None
        yield Draft(draft.kind, f"{name}-{number}", at, at.date(), draft.actor, draft.payload, key)


def grow(ledger: Ledger, drafts: Iterator[Draft], events: int) -> None:
    """Append until the ledger has this many events."""
    while (missing := events - ledger.presumed().sequence) > 0:
        ledger.append(list(islice(drafts, min(missing, _PAGE))))
