"""The report of a day, from wherever its parts are kept: a part of `bootstrap`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

from alerting import recent_alerts
from application import Application
from config.settings import Settings
from drifting import open_drift_records
from errors import NotFound, StoreError
from ledgers import open_ledger
from monitoring.alerts.alerts import Listed
from monitoring.alerts.causes import Cause
from monitoring.alerts.episodes import Notice
from monitoring.day.close_page import close_page
from monitoring.day.close_report import CloseFacts, close_report
from monitoring.day.close_sections import close_summary, close_text
from monitoring.day.day_on_record import day_on_record
from monitoring.day.schedule import past_session, session_of
from risk.calendar import SessionCalendar
from risk.configuration import configuration_on_record
from risk.ledger.protocol import Ledger

__all__ = ["close_by_command", "send_close"]

Part = TypeVar("Part")

_CHECKS = 300


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where the parts of a report come from; the last three may be away."""

    settings: Settings
    calendar: SessionCalendar
    ledger: Ledger
    checks: Callable[[], Sequence[Mapping[str, Any]]]
    alerts: Callable[[], Sequence[Listed]]
    latency_ms: Callable[[], Mapping[str, Any]]

    def report(self, day: date, now: datetime) -> dict[str, Any] | None:
        """The report of a date; None where the ledger began later.

        Raises:
            NotFound: the date has no session.
            StoreError: the ledger cannot be read.
        """
        session = session_of(day, self.settings.trading_hours, self.calendar)
        if session is None:
            raise NotFound(f"{day} has no session; there is no report of it")
        record = day_on_record(self.ledger, day)
        if record.last is None:
            return None
        digest = record.state.configuration
        return close_report(
            CloseFacts(
                book=self.settings.book,
                session=session,
                calendar=self.calendar,
                record=record,
                now=now,
                checks=_or_none(self.checks),
                alerts=_or_none(self.alerts),
                configuration=(
                    None if digest is None else configuration_on_record(self.ledger, digest)
                ),
                latency_ms=self.latency_ms(),
            )
        )


def send_close(application: Application, day: date) -> bool:
    """Make the report of a day, and put it into the outbox of the alerts, once.

    Returns:
        False where there is nothing to report of: the book began later.

    Raises:
        StoreError: the ledger, or the outbox, cannot be reached; safe to try again.
    """
    settings, now = application.settings, application.desk.clock()
    sources = _Sources(
        settings,
        application.desk.calendar,
        application.ledger,
        checks=lambda: application.drift.history(_CHECKS),
        alerts=application.alerts.recent,
        latency_ms=lambda: application.statistics.snapshot()["latency_ms"],
    )
    report = sources.report(day, now)
    if report is None:
        return False
    zone = settings.trading_hours.zone
    application.alerts.announce(
        Notice(
            name=f"close-{day.isoformat()}",
            cause=Cause.CLOSE,
            key=day.isoformat(),
            summary=close_summary(report),
            text=close_text(report, zone),
            page=close_page(report, zone),
        )
    )
    return True


def close_by_command(settings: Settings, day: date | None, now: datetime) -> dict[str, Any]:
    """The report of a date, by default of today or else of the newest session.

    Raises:
        NotFound: the date has no session, or the ledger began later.
        StoreError: the ledger cannot be read.
    """
    calendar = SessionCalendar(settings.trading_hours, settings.calendar)
    with (
        closing(open_ledger(settings, create=False)) as ledger,
        closing(open_drift_records(settings)) as drift,
    ):
        sources = _Sources(
            settings,
            calendar,
            ledger,
            checks=lambda: drift.history(_CHECKS),
            alerts=lambda: recent_alerts(settings),
            latency_ms=dict,
        )
        wanted = day or _newest_day(settings, calendar, now)
        report = sources.report(wanted, now)
    if report is None:
        raise NotFound(f"the ledger began after {wanted}; there is no report of it")
    return report


def _newest_day(settings: Settings, calendar: SessionCalendar, now: datetime) -> date:
    """The newest date whose session has begun."""
    hours, today = settings.trading_hours, calendar.day(now)
    session = session_of(today, hours, calendar)
    if session is not None and session.starts_at <= now:
        return today
    before = past_session(hours, calendar, today)
    if before is None:
        raise NotFound(f"no session before {today} is known of")
    return before.day


def _or_none(read: Callable[[], Sequence[Part]]) -> Sequence[Part] | None:
    try:
        return read()
    except StoreError:
        return None
