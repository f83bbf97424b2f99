"""A session date as it is on record: its events, where the chain stood, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from monitoring.day.close_figures import KEPT, DecisionTally
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
        records: how many it has.
        decisions: counted.
        events: of the kinds that are told one by one, oldest first.
        last: the newest event up to the end of that date; None when the ledger began later.
        state: after that event, not rolled.
        complaint: what is wrong with its part of the chain; empty when nothing is.
    """

    day: date
    records: int
    decisions: DecisionTally
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
    found = _read(ledger, day)
    last = found.last
    return DayOnRecord(
        day=day,
        records=found.records,
        decisions=found.decisions,
        events=tuple(reversed(found.kept)),
        last=last,
        state=_state(ledger, day, last),
        complaint="" if last is None else _complaint(ledger, found.first, last),
    )


@dataclass
class _Found:
    """What was met, newest first."""

    decisions: DecisionTally = field(default_factory=DecisionTally)
    kept: list[Event] = field(default_factory=list)
    records: int = 0
    first: int = 0
    last: Event | None = None

    def add(self, event: Event) -> None:
        self.records, self.first = self.records + 1, event.sequence
        self.decisions.add(event)
        if event.kind in KEPT:
            self.kept.append(event)


def _read(ledger: Ledger, day: date) -> _Found:
    found = _Found()
    kinds, before = list(EventKind), None
    while page := ledger.recent(kinds, limit=_PAGE, before=before):
        for event in page:
            if event.day > day:
                continue
            found.last = found.last or event
            if event.day < day:
                return found
            found.add(event)
        before = page[-1].sequence
    return found


def _complaint(ledger: Ledger, first: int, last: Event) -> str:
    """Examine the records of the date, with the one before them."""
    after = max(0, (first or last.sequence) - 2)
    examiner = Examiner(after)
    for record in examiner.passed(records_of(ledger, after=after)):
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
