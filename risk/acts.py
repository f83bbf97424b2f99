"""Who does something to a book, when, and by which rules: what every recorded act needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import reduce
from typing import Any

from config.settings import RiskLimits
from errors import InvalidRequest
from risk.calendar import SessionCalendar
from risk.configuration import limits_on_record
from risk.events import Draft, EventKind, Foreseen
from risk.fold import fold
from risk.ledger.protocol import Ledger
from risk.state import RiskState

__all__ = ["Act", "after"]

_MAX_AHEAD = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Act:
    """One act on a book.

    Attributes:
        ledger: of the book.
        own_limits: this service's.
        configuration: hash of this service's limits and models.
        calendar: sessions by date.
        now: aware, UTC.
        new_id: a unique name for an event at this time.
        actor: who acts, by the name of the key.
    """

    ledger: Ledger
    own_limits: RiskLimits
    configuration: str
    calendar: SessionCalendar
    now: datetime
    new_id: Callable[[datetime], str]
    actor: str

    @property
    def day(self) -> date:
        """The session date of now."""
        return self.calendar.day(self.now)

    def limits(self, state: RiskState) -> RiskLimits:
        """Those on record for the book: a service that runs with others must not judge by them."""
        if state.configuration in {None, self.configuration}:
            return self.own_limits
        return limits_on_record(self.ledger) or self.own_limits

    def draft(self, kind: EventKind, payload: Mapping[str, Any], key: str | None = None) -> Draft:
        """An event of this act."""
        return Draft(
            kind=kind,
            event_id=self.new_id(self.now),
            at=self.now,
            day=self.day,
            actor=self.actor,
            payload=payload,
            key=key,
        )

    def known_by_now(self, as_of: datetime, name: str) -> datetime:
        """The time of a report.

        Raises:
            InvalidRequest: it has not come yet; taken as it is, it would outrank later reports.
        """
        ahead = as_of - self.now
        if ahead > _MAX_AHEAD:
            raise InvalidRequest(
                f"{name} is {ahead.total_seconds():.0f} s ahead of the clock; at most "
                f"{_MAX_AHEAD.seconds} s may be"
            )
        return min(as_of, self.now)


def after(state: RiskState, *drafts: Draft) -> RiskState:
    """The state that drafts would lead to, wherever in the ledger they will stand."""
    return reduce(fold, (Foreseen(draft, state.sequence + 1) for draft in drafts), state)
