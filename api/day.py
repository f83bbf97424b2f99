"""The day of a desk in a worker: a look before the session, a report after it, a heartbeat."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from api.daily_runs import DailyRuns, DailyWork
from api.heartbeat import Heart
from application import Application
from close_reports import send_close
from daily import (
    close_schedule,
    daily_lease,
    daily_scheduler,
    open_heartbeat,
    preflight_schedule,
)
from monitoring.day.schedule import session_of
from monitoring.schedule import Schedule, Tick
from preflights import Looker

__all__ = ["ACTOR", "Day", "close_work", "preflight_work"]

ACTOR = "service:preflight"
"""Who looks before the session, on record."""


def preflight_work(application: Application, schedule: Schedule) -> DailyWork:
    """The look before a session: late, as long as that session is not over."""
    settings, calendar = application.settings, application.desk.calendar

    def still(tick: Tick, now: datetime) -> bool:
        session = session_of(calendar.day(tick.at), settings.trading_hours, calendar)
        return session is not None and now <= session.ends_at

    looker = Looker(application, ACTOR, send=settings.desk.preflight_sends_message)
    return DailyWork(
        "preflight",
        schedule,
        still,
        run=lambda _: looker.look(),
        lease=daily_lease(application.day.documents, "preflight"),
        clock=application.desk.clock,
    )


def close_work(application: Application, schedule: Schedule) -> DailyWork:
    """The report of a day: late, as long as the day is recent."""
    calendar = application.desk.calendar
    late = timedelta(hours=application.settings.desk.close_report_late_hours)
    return DailyWork(
        "close report",
        schedule,
        still=lambda tick, now: now <= tick.due + late,
        run=lambda tick: send_close(application, calendar.day(tick.at)),
        lease=daily_lease(application.day.documents, "close"),
        clock=application.desk.clock,
    )


class Day:
    """What a worker does by the clock of the session, beside drift checks and alerts."""

    def __init__(self, application: Application) -> None:
        settings = application.settings
        before, after = preflight_schedule(settings), close_schedule(settings)
        self._schedulers = []
        if before is not None:
            look = DailyRuns(preflight_work(application, before))
            self._schedulers.append(daily_scheduler(before, look.catch_up, "preflight"))
        if after is not None:
            report = DailyRuns(close_work(application, after))
            self._schedulers.append(daily_scheduler(after, report.catch_up, "close report"))
        pulse = open_heartbeat(settings)
        self._heart = (
            None if pulse is None else Heart(application, pulse, settings.alerts.heartbeat_seconds)
        )
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the event loop that this is called on."""
        for scheduler in self._schedulers:
            scheduler.start()
        if self._heart is not None:
            self._beating = asyncio.create_task(self._heart.keep_beating())

    def stop(self) -> None:
        """Begin nothing more. Stopping twice is harmless."""
        for scheduler in self._schedulers:
            scheduler.stop()
        if self._beating is not None:
            self._beating.cancel()
