"""A look at all that trading rests on, before the session: a part of `bootstrap`.

The service makes it on its own parts, `usdcop preflight` on parts built the same way. Nothing in
it changes the state of the book.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from application import Application
from bootstrap import build, live_versions
from config.settings import Settings
from daily import open_day_records
from drifting import drift_schedule
from errors import ConfigurationError, ModelError, ServiceError, StoreError
from ledgers import anchored, open_ledger, server_problems
from monitoring.alerts.sender import Sender
from monitoring.day.book_checks import BookFacts, book_checks
from monitoring.day.input_checks import (
    clock_check,
    drift_checks,
    market_checks,
    models_check,
)
from monitoring.day.preflight import Check, Preflight, Readiness, armed, not_armed, warned
from preflight_surroundings import Surroundings, checked
from risk.calendar import SessionCalendar
from risk.events import EventKind
from risk.looks import record_preflight

__all__ = ["Looker", "look_by_command"]

_LOGGER = logging.getLogger("usdcop.day")


@dataclass(frozen=True, slots=True)
class Looker:
    """Looks at the parts of an application.

    Attributes:
        application: as it is served.
        actor: who looks, as it goes on record.
        send: whether a test message goes to every target.
        sender: to the targets; by default those of the settings.
    """

    application: Application
    actor: str
    send: bool = False
    sender: Sender | None = None

    def look(self) -> Preflight:
        """One look, put on record and kept; what cannot be judged is not armed."""
        application, settings = self.application, self.application.settings
        now = application.desk.clock()
        around = Surroundings(settings, application.desk.calendar, now)
        checks = [
            *checked("calendar", around.calendar_checks),
            *checked("models", self._models),
            *checked("ledger", self._ledger),
            *checked("store", lambda: _store(settings)),
            *checked("book", lambda: self._book(around)),
            *checked("drift", lambda: self._drift(now)),
            *checked("market", lambda: self._market(around)),
            *checked("cache", self._cache),
            *around.outside(self.sender, send=self.send),
        ]
        checks += checked("writing", lambda: [self._written(around, checks)])
        found = around.preflight(self.actor, checks)
        _keep(application.day.keep_preflight, found)
        return found

    def _models(self) -> Iterator[Check]:
        application = self.application
        dimension = (1, application.observation_dim)
        observation = np.random.default_rng(0).normal(size=dimension).astype(np.float32)
        answers = {
            runner.name: runner.probabilities(observation)[0].tolist()
            for runner in application.runners
        }
        served = {runner.name: runner.version for runner in application.runners}
        live = application.ledger.head().state.live_models
        yield models_check(answers, served, live_versions(application.settings, live))

    def _ledger(self) -> Iterator[Check]:
        """It is read through what holds it against all that it acknowledged to this host."""
        ledger, now = self.application.ledger, self.application.desk.clock()
        head = ledger.head()
        if ledger.trouble is not None:
            yield not_armed("ledger", ledger.trouble, "a store that takes what is appended")
        else:
            yield armed(
                "ledger",
                f"{ledger.name}, record {head.sequence}, hash {head.hash[:12]}; nothing that was "
                "acknowledged to this host is missing",
            )
        newest = ledger.recent(list(EventKind), limit=1)
        yield clock_check(now, newest[0].at if newest else None)

    def _book(self, around: Surroundings) -> Iterator[Check]:
        desk, coming = self.application.desk, around.coming
        if coming is None:
            return  # the calendar's check says so
        stored = desk.ledger.head().state
        at = max(around.now, coming.starts_at)
        yield from book_checks(
            BookFacts(
                stored=stored,
                limits=desk.act(around.now, self.actor).limits(stored),
                session=desk.calendar.status(at),
                at=at,
                configuration=desk.configuration,
                halt_file=desk.halt_requested(),
                since=None if around.past is None else around.past.starts_at,
            )
        )

    def _drift(self, now: datetime) -> Iterator[Check]:
        settings = self.application.settings
        tick = drift_schedule(settings).latest_due(now)
        yield from drift_checks(
            self.application.drift.latest(),
            None if tick is None else tick.due,
            now,
            enabled=settings.monitoring.enable_drift_detection,
        )

    def _market(self, around: Surroundings) -> Iterator[Check]:
        feed, coming = self.application.feed, around.coming
        if feed.degraded is not None:
            yield warned("market", feed.degraded, "a store that can be reached")
        if coming is not None:
            macro = not self.application.settings.market.without_macro
            yield from market_checks(feed.status(), coming, around.past, around.now, macro=macro)

    def _cache(self) -> Iterator[Check]:
        degraded = self.application.cache.degraded
        if degraded is not None:
            yield warned("cache", degraded, "a store that can be reached")

    def _written(self, around: Surroundings, checks: list[Check]) -> Check:
        found = around.preflight(self.actor, checks)
        event = record_preflight(
            found.state.value,
            found.named(Readiness.NOT_ARMED),
            found.named(Readiness.WARNING),
            self.application.desk.act(around.now, self.actor),
        )
        return armed("writing", f"this look is on record as {event.sequence}, durably")


def look_by_command(
    settings: Settings, actor: str, now: datetime, *, send: bool = False
) -> Preflight:
    """A look without a service: what one would run with is built, and released again."""
    try:
        ledger = anchored(settings, open_ledger(settings, create=False))
        try:
            application = build(settings, ledger, offer=False)
        except BaseException:
            ledger.close()
            raise
    except ServiceError as error:
        return _without_parts(settings, actor, now, error, send=send)
    try:
        return Looker(application, actor, send).look()
    finally:
        application.close()


def _without_parts(
    settings: Settings, actor: str, now: datetime, error: ServiceError, *, send: bool
) -> Preflight:
    """What can be told when a service could not be built."""
    around = Surroundings(settings, SessionCalendar(settings.trading_hours, settings.calendar), now)
    names = {StoreError: "ledger", ModelError: "models", ConfigurationError: "configuration"}
    name = next((names[kind] for kind in names if isinstance(error, kind)), "service")
    checks = [
        *checked("calendar", around.calendar_checks),
        not_armed(name, str(error), "what its message says; nothing else could be looked at"),
        *around.outside(None, send=send),
    ]
    found = around.preflight(actor, checks)
    records = open_day_records(settings)
    try:
        _keep(records.keep_preflight, found)
    finally:
        records.close()
    return found


def _store(settings: Settings) -> Iterator[Check]:
    problems = server_problems(settings)
    right = "a server that keeps what it acknowledged"
    for problem in problems:
        yield (not_armed if problem.severe else warned)("store", problem.message, right)
    if not problems:
        kept = "a file" if settings.redis.host is None else "Redis, with a log of every write"
        yield armed("store", kept)


def _keep(keep: Callable[[dict[str, object]], None], found: Preflight) -> None:
    try:
        keep(found.to_json())
    except StoreError as error:
        _LOGGER.warning("the preflight could not be kept: %s", error)
