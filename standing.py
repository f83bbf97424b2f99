"""How everything stands when a scrape asks, put together for `/metrics`.

Read from the ledger and from what else the workers share, so that it is the same whichever worker
or replica is asked. What cannot be read is left out, and `usdcop_ledger_readable` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from desk import Desk
from errors import StoreError
from features.cache import FeatureCache
from features.feed import MarketFeed
from monitoring.alerts.alerts import Alerts
from monitoring.alerts.drift_conditions import overdue_check
from monitoring.book_gauges import READABLE, book_readings
from monitoring.drift.records import DriftRecords
from monitoring.gauges import Reading
from monitoring.observer import WorkerStanding
from monitoring.schedule import Schedule
from monitoring.service_gauges import (
    LEDGER_FREE_BYTES,
    LoadedModel,
    alert_readings,
    drift_readings,
    model_readings,
)
from risk.ledger.protocol import Head
from risk.summary import Summary

__all__ = ["Standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a scrape is told of, beside what was counted.

    Attributes:
        desk: of the book.
        models: that are loaded.
        cache, feed: whose stores may be away.
        alerts: that stand.
        drift: what checks found.
        drift_threshold: share of drifted features above which a check alarms.
        schedule: of the checks; None when there are none but on demand.
        grace: how late a check is still made.
        started_at: when this worker was, aware.
        build: what runs.
        free_bytes: room for the ledger; None where it is on another machine.
    """

    desk: Desk
    models: tuple[LoadedModel, ...]
    cache: FeatureCache
    feed: MarketFeed
    alerts: Alerts
    drift: DriftRecords
    drift_threshold: float
    schedule: Schedule | None
    grace: timedelta
    started_at: datetime
    build: Reading
    free_bytes: Callable[[], int | None]

    def readings(self) -> Iterator[Reading]:
        """Everything that can be read now."""
        now = self.desk.clock()
        yield self.build
        yield from model_readings(self.models)
        try:
            yield from book_readings(head := self.desk.ledger.head(), self._summary(head, now))
            yield from self._drift(now)
        except StoreError:
            yield READABLE.reads(0)
        yield from alert_readings(self.alerts.boards())
        free = self.free_bytes()
        if free is not None:
            yield LEDGER_FREE_BYTES.reads(free)

    def worker(self) -> WorkerStanding:
        """How this worker stands; waits for nothing."""
        reads = self.cache.reads
        return WorkerStanding(
            cache_hits=reads.hits,
            cache_misses=reads.misses,
            cache_degraded=self.cache.degraded is not None,
            market_degraded=self.feed.degraded is not None,
            alerts_degraded=self.alerts.degraded is not None,
            append_failing=self.desk.ledger.trouble is not None,
        )

    def _summary(self, head: Head, now: datetime) -> Summary:
        desk = self.desk
        return Summary(
            state=head.state,
            limits=desk.act(now, "").limits(head.state),
            session=desk.calendar.status(now),
            now=now,
            configuration=desk.configuration,
            halt_file=desk.halt_requested(),
        )

    def _drift(self, now: datetime) -> Iterator[Reading]:
        try:
            newest = self.drift.latest()
        except StoreError:
            return
        due = next_run = None
        if self.schedule is not None:
            latest, following = self.schedule.latest_due(now), self.schedule.next_tick(now)
            due = None if latest is None else latest.due
            next_run = None if following is None else following.due
        missing = overdue_check(due, newest, now, started=self.started_at, grace=self.grace)
        yield from drift_readings(newest, self.drift_threshold, next_run, overdue=bool(missing))
