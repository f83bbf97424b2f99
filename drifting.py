"""Where drift checks are kept and how they are made, by the settings: a part of `bootstrap`."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from config.settings import Settings
from ledgers import unhurried_redis
from monitoring.drift.records import DocumentDriftRecords, DriftRecords
from monitoring.drift.redis_records import RedisDriftRecords
from monitoring.drift_desk import DriftDesk
from monitoring.limited_process import LimitedProcess, Limits
from monitoring.observer import Observer
from monitoring.schedule import SessionSchedule
from monitoring.scheduler import Scheduler
from risk.calendar import SessionCalendar
from stores.documents import Documents
from stores.lease import Lease
from stores.redis_documents import RedisDocuments
from stores.redis_link import RedisLink
from stores.sqlite_documents import SqliteDocuments

__all__ = [
    "LEASE_SECONDS",
    "drift_documents",
    "drift_grace",
    "drift_lease",
    "drift_limits",
    "drift_program",
    "drift_schedule",
    "drift_scheduler",
    "open_drift",
    "open_drift_records",
]

LEASE_SECONDS: Final = 15.0
"""How long the check of a worker that died waits for another one."""

_JOB: Final = "drift_job"


def open_drift_records(settings: Settings) -> DriftRecords:
    """What the checks found, in the store of the settings. It is there also while that is not."""
    if settings.redis.host is not None:
        return RedisDriftRecords(settings.book, lambda: RedisLink(**unhurried_redis(settings)))
    return DocumentDriftRecords(drift_documents(settings))


def drift_documents(settings: Settings) -> Documents:
    """Where the lease of the checks is kept; nobody waits for it.

    Without Redis it is a file of its own beside the one of the market: writing megabytes of a
    report must not keep a bar waiting for the file's lock.
    """
    if settings.redis.host is not None:
        return RedisDocuments(settings.book, RedisLink(**unhurried_redis(settings)))
    ledger, market = Path(settings.state_path), settings.market.path
    path = Path(market or ledger).with_name("drift.db")
    taken = {ledger.resolve(), Path(market or path.with_name("market.db")).resolve()}
    return SqliteDocuments(path if path.resolve() not in taken else path.with_name("checks.db"))


def drift_lease(documents: Documents) -> Lease:
    """The lease of the checks, for this process."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    return Lease(
        documents, "drift:lease", holder=holder, seconds=LEASE_SECONDS, timer=time.monotonic
    )


def drift_schedule(settings: Settings) -> SessionSchedule:
    """When checks are due."""
    return SessionSchedule(
        settings.trading_hours,
        SessionCalendar(settings.trading_hours, settings.calendar),
        settings.monitoring.drift_check_interval_minutes,
    )


def drift_grace(settings: Settings) -> timedelta:
    """How late a check is still made: until the next one is due."""
    return timedelta(minutes=settings.monitoring.drift_check_interval_minutes)


def drift_scheduler(settings: Settings, run: Callable[[], Awaitable[None]]) -> Scheduler | None:
    """What begins the checks that are due; None where they are made on demand only."""
    if not settings.monitoring.enable_drift_detection:
        return None
    grace = int(drift_grace(settings).total_seconds())
    return Scheduler(drift_schedule(settings), run, grace_seconds=grace)


def drift_program(tick: str, holder: str, reference: Path | None = None) -> Sequence[str]:
    """The command that makes one check.

    Args:
        tick: names the check.
        holder: of the lease.
        reference: profile of what a model was trained on, for as long as too little is recorded.
    """
    trained = [] if reference is None else ["--reference", str(reference)]
    return [sys.executable, "-m", _JOB, "--tick", tick, "--holder", holder, *trained]


def drift_limits(settings: Settings) -> Limits:
    """Of one check, its report included."""
    monitoring = settings.monitoring
    return Limits(monitoring.drift_time_limit_seconds, monitoring.drift_memory_limit_mb)


def open_drift(
    settings: Settings,
    observer: Observer,
    clock: Callable[[], datetime],
    reference: Path | None,
) -> DriftDesk:
    """All that a worker needs to make checks. It is there also while its store is not.

    Args:
        settings: in force.
        observer: is told of every check.
        clock: aware time, UTC.
        reference: profile of what a model was trained on; None without.
    """
    limits, documents = drift_limits(settings), drift_documents(settings)
    return DriftDesk(
        records=open_drift_records(settings),
        documents=documents,
        lease=drift_lease(documents),
        schedule=drift_schedule(settings),
        grace=drift_grace(settings),
        program=lambda tick, holder: drift_program(tick, holder, reference),
        start=lambda program: LimitedProcess.start(program, limits),
        clock=clock,
        observer=observer,
        enabled=settings.monitoring.enable_drift_detection,
    )
