"""A session date as it is on record: its events, where the chain stood, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from risk.events import Event, EventKind
from risk.ledger.protocol import Ledger
from risk.state import RiskState
from risk.verification import Examiner, records_of

__all__ = ["DayOnRecord", "day_on_record"]

_PAGE = 500


@dataclass(frozen=True, slots=True)
class DayOnRecord:
    """One date.

    Attributes:
        day: the session date.
        events: of it, oldest first.
        last: the newest event up to the end of that date; None when the ledger began later.
        state: after that event, not rolled.
        complaint: what is wrong with its part of the chain; empty when nothing is.
    """

    day: date
    events: tuple[Event, ...]
    last: Event | None
    state: RiskState
    complaint: str


def day_on_record(ledger: Ledger, day: date) -> DayOnRecord:
    """Read a date.

    Args:
        ledger: of the book.
        day: the session date.

    Raises:
        StoreError: it cannot be read.
    """
    events, last = _events(ledger, day)
    complaint = "" if last is None else _complaint(ledger, events, last)
    return DayOnRecord(day, events, last, _state(ledger, day, last), complaint)


def _events(ledger: Ledger, day: date) -> tuple[tuple[Event, ...], Event | None]:
    found: list[Event] = []
    last: Event | None = None
    kinds, before = list(EventKind), None
    while page := ledger.recent(kinds, limit=_PAGE, before=before):
        for event in page:
            if event.day > day:
                continue
            last = last or event
            if event.day < day:
                return tuple(reversed(found)), last
            found.append(event)
        before = page[-1].sequence
    return tuple(reversed(found)), last


def _complaint(ledger: Ledger, events: tuple[Event, ...], last: Event) -> str:
    """Examine the records of the date, with the one before them."""
    first = events[0].sequence if events else last.sequence
    examiner = Examiner(after=max(0, first - 2))
    for record in examiner.passed(records_of(ledger, after=max(0, first - 2))):
        if record.sequence >= last.sequence:
            break
    if examiner.flaw is not None:
        return str(examiner.flaw)
    if examiner.head.sequence < last.sequence:
        return f"record {last.sequence} is missing"
    return "" if examiner.head.hash == last.hash else f"record {last.sequence}: its hash differs"


def _state(ledger: Ledger, day: date, last: Event | None) -> RiskState:
    state = ledger.head().state
    if state.today.day is None or state.today.day <= day:
        return state
    if last is None:
        return RiskState()
    # Later days have moved on: only folding everything again tells how this one ended.
    examiner = Examiner()
    for record in examiner.passed(records_of(ledger)):
        if record.sequence >= last.sequence:
            break
    return examiner.head.state
