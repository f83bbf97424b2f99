"""What is done once for each session, by the settings: a part of `bootstrap`.

Records and leases of it are beside the ledger: what can be written there says that there is room
to write.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from config.settings import Settings
from ledgers import unhurried_redis
from monitoring.day.records import DayRecords
from monitoring.day.schedule import DailySchedule, Edge
from monitoring.heartbeat import Heartbeat
from monitoring.schedule import Schedule
from monitoring.scheduler import Scheduler
from risk.calendar import SessionCalendar
from stores.documents import Documents
from stores.lease import Lease
from stores.redis_documents import RedisDocuments
from stores.redis_link import RedisLink
from stores.sqlite_documents import SqliteDocuments

__all__ = [
    "LEASE_SECONDS",
    "close_schedule",
    "daily_lease",
    "daily_scheduler",
    "open_day_records",
    "open_heartbeat",
    "preflight_schedule",
]

LEASE_SECONDS: Final = 20.0
"""How long the work of a worker that died waits for another one."""

_GRACE_SECONDS: Final = 3600


def open_day_records(settings: Settings) -> DayRecords:
    """What looks before a session found. It is there also while its store is not."""
    return DayRecords(_documents(settings))


def daily_lease(documents: Documents, name: str) -> Lease:
    """The lease of a piece of work, for this process."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    return Lease(
        documents, f"{name}:lease", holder=holder, seconds=LEASE_SECONDS, timer=time.monotonic
    )


def preflight_schedule(settings: Settings) -> DailySchedule | None:
    """When the look before a session is due; None where it is made by command only."""
    minutes = settings.desk.preflight_minutes
    return _schedule(settings, Edge.START, -minutes) if minutes else None


def close_schedule(settings: Settings) -> DailySchedule | None:
    """When the report after a session is due; None where it is made by command only."""
    minutes = settings.desk.close_report_minutes
    return _schedule(settings, Edge.END, minutes) if minutes else None


def daily_scheduler(schedule: Schedule, run: Callable[[], Awaitable[None]], what: str) -> Scheduler:
    """What begins a piece of work when it is due, and once at the start."""
    return Scheduler(schedule, run, grace_seconds=_GRACE_SECONDS, what=what)


def open_heartbeat(settings: Settings) -> Heartbeat | None:
    """What tells a monitor that the service lives; None where none is told."""
    url = settings.alerts.heartbeat_url
    if url is None:
        return None
    return Heartbeat(url.get_secret_value(), settings.alerts.timeout_seconds)


def _schedule(settings: Settings, edge: Edge, minutes: int) -> DailySchedule:
    calendar = SessionCalendar(settings.trading_hours, settings.calendar)
    return DailySchedule(settings.trading_hours, calendar, edge, timedelta(minutes=minutes))


def _documents(settings: Settings) -> Documents:
    if settings.redis.host is not None:
        return RedisDocuments(settings.book, RedisLink(**unhurried_redis(settings)))
    ledger = Path(settings.state_path)
    path = ledger.with_name("day.db")
    return SqliteDocuments(path if path != ledger else ledger.with_name("days.db"))
