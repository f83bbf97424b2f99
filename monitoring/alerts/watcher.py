"""One look at everything that alerts are about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from config.settings import RiskLimits
from errors import StoreError
from monitoring.alerts.causes import HOST_CAUSES, Cause, Condition, Look
from monitoring.alerts.conditions import book_conditions
from monitoring.alerts.decision_flow import (
    NEWEST_DECISIONS,
    FlowRules,
    flow_look,
    seen_decision,
)
from monitoring.alerts.desk_conditions import (
    DeskRules,
    MarkWatch,
    feed_look,
    order_conditions,
    preflight_look,
)
from risk.calendar import SessionCalendar
from risk.events import EventKind
from risk.fold import roll
from risk.ledger.protocol import Ledger
from risk.state import RiskState

__all__ = ["Conditions", "Watched", "Watcher"]

Conditions = Callable[[], Sequence[Condition]]
"""What another part found out, of the causes drift and collapse; may raise StoreError."""

_BOOK: Final = frozenset({Cause.BREAKER, Cause.HALT, Cause.LIMIT, Cause.ORDER})
_DRIFT: Final = frozenset({Cause.DRIFT, Cause.COLLAPSE})
_FLOW_EVERY_SECONDS: Final = 60.0
_DRIFT_EVERY_SECONDS: Final = 5.0
_FEED_EVERY_SECONDS: Final = 5.0
# A store that was late once is no reason to get up.
_PATIENCE_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What is looked at.

    Attributes:
        ledger: of the book.
        limits_of: the limits in force for a state.
        calendar: of sessions.
        limit_share: of a limit, from which on it is near.
        flow: when the flow of decisions is worth an alert.
        cache_degraded, market_degraded: why these go without their store; must not wait for it.
        drift_conditions: of drift and collapse.
        newest_bar: start of the newest bar, aware; None when there is none.
        preflight: the newest look before a session, as it is kept; None before the first. It may
            raise StoreError.
        desk: how long bars, marks and outcomes may be missing.
        timer: seconds of a clock that never goes back.
    """

    ledger: Ledger
    limits_of: Callable[[RiskState, datetime], RiskLimits]
    calendar: SessionCalendar
    limit_share: float
    flow: FlowRules
    cache_degraded: Callable[[], str | None]
    market_degraded: Callable[[], str | None]
    drift_conditions: Conditions
    newest_bar: Callable[[], datetime | None]
    preflight: Callable[[], Mapping[str, Any] | None]
    desk: DeskRules
    timer: Callable[[], float]


@dataclass
class Watcher:
    """Looks, and remembers how long a store has been in trouble. Not thread-safe."""

    watched: Watched
    _since: dict[Cause, float] = field(default_factory=dict)
    _next_flow: float = field(default=float("-inf"))
    _next_drift: float = field(default=float("-inf"))
    _next_feed: float = field(default=float("-inf"))
    _marks: MarkWatch = field(default_factory=MarkWatch)

    def look(self, now: datetime) -> Look:
        """All that stands now; what cannot be judged now is left out of `judged`."""
        watched = self.watched
        faults = {
            Cause.CACHE: watched.cache_degraded(),
            Cause.MARKET: watched.market_degraded(),
        }
        looks: list[Look] = []
        try:
            looks.append(self._book(now))
            looks.append(self._decisions(now))
            faults[Cause.LEDGER] = watched.ledger.trouble
        except StoreError as error:
            faults[Cause.LEDGER] = str(error)
        looks += [self._drift(), self._feed_and_preflight(now), self._stores(faults)]
        return Look(
            tuple(condition for look in looks for condition in look.conditions),
            frozenset[Cause]().union(*(look.judged for look in looks)),
        )

    def _book(self, now: datetime) -> Look:
        watched = self.watched
        state = roll(watched.ledger.head().state, watched.calendar.day(now))
        found = (
            *book_conditions(state, watched.limits_of(state, now), now, watched.limit_share),
            *order_conditions(state, now, watched.desk),
        )
        marks = self._marks.look(state, watched.calendar.status(now), now, watched.desk)
        return Look((*found, *marks.conditions), _BOOK | marks.judged)

    def _decisions(self, now: datetime) -> Look:
        """Once a minute: it reads dozens of records."""
        watched, seconds = self.watched, self.watched.timer()
        if seconds < self._next_flow:
            return Look()
        self._next_flow = seconds + _FLOW_EVERY_SECONDS
        events = watched.ledger.recent([EventKind.DECISION], limit=NEWEST_DECISIONS)
        return flow_look(
            [seen_decision(event.at, event.day, event.payload) for event in events],
            watched.calendar.status(now),
            watched.calendar.status(now - watched.flow.silence),
            now,
            watched.flow,
        )

    def _drift(self) -> Look:
        seconds = self.watched.timer()
        if seconds < self._next_drift:
            return Look()
        self._next_drift = seconds + _DRIFT_EVERY_SECONDS
        try:
            conditions = tuple(self.watched.drift_conditions())
        except StoreError:
            return Look()  # the store's own trouble is told by others
        return Look(conditions, _DRIFT).of(_DRIFT)

    def _feed_and_preflight(self, now: datetime) -> Look:
        """Now and then: each reads a document that all workers share."""
        watched, seconds = self.watched, self.watched.timer()
        if seconds < self._next_feed:
            return Look()
        self._next_feed = seconds + _FEED_EVERY_SECONDS
        feed = feed_look(watched.newest_bar(), watched.calendar, now, watched.desk)
        try:
            preflight = preflight_look(watched.preflight(), watched.calendar.status(now), now)
        except StoreError:
            return feed  # the store's own trouble is told by others
        return Look(feed.conditions + preflight.conditions, feed.judged | preflight.judged)

    def _stores(self, faults: dict[Cause, str | None]) -> Look:
        found, seconds = [], self.watched.timer()
        for cause, reason in faults.items():
            if reason is None:
                self._since.pop(cause, None)
                continue
            since = self._since.setdefault(cause, seconds)
            words = f"the {cause} is in trouble: {reason}"
            patient = seconds - since < _PATIENCE_SECONDS
            found.append(Condition(cause, "store", words, opens=not patient))
        return Look(tuple(found), HOST_CAUSES)
