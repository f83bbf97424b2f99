"""Who is told of what, by the settings: a part of `bootstrap`.

The board of a book is kept where the book is. What is wrong with that store itself cannot be kept
there: it is on a board of this host, a file beside `state_path`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from application import World
from config.settings import AlertSettings, Settings
from desk import Desk
from features.cache import FeatureCache
from features.feed import MarketFeed
from ledgers import served_redis
from monitoring.alerts.alerts import Alerts, Listed, Part, listed
from monitoring.alerts.board import AlertRules
from monitoring.alerts.causes import HOST_CAUSES, Cause, Condition
from monitoring.alerts.decision_flow import FlowRules
from monitoring.alerts.desk_conditions import DeskRules
from monitoring.alerts.dispatcher import Surroundings
from monitoring.alerts.drift_conditions import drift_conditions, overdue_check
from monitoring.alerts.sender import NoTargets, Sender
from monitoring.alerts.shared_board import HostBoard, SharedBoard
from monitoring.alerts.watcher import Watched, Watcher
from monitoring.apprise_sender import AppriseSender
from monitoring.day.records import DayRecords
from monitoring.drift.records import DriftRecords
from monitoring.schedule import Schedule
from risk.drift import record_drift_acknowledgement
from stores.documents import Documents
from stores.redis_documents import RedisDocuments
from stores.redis_link import RedisLink
from stores.sqlite_documents import SqliteDocuments

__all__ = ["AlertSources", "open_alerts", "open_sender", "recent_alerts"]

_ALL: Final = frozenset(Cause)
_DOCUMENT: Final = "alerts"


@dataclass(frozen=True)
class AlertSources:
    """What alerts are about, and what hears of them.

    Attributes:
        desk: whose ledger, limits and session are watched; its observer hears of alerts.
        cache, feed: whose stores may be away.
        drift: what checks found; closing it is the caller's.
        started_at: when this worker was, aware.
        schedule: of the checks; None when there are none but on demand.
        grace: how late a check is still made.
        day: what looks before a session found, closing it is the caller's; None without.
    """

    desk: Desk
    cache: FeatureCache
    feed: MarketFeed
    drift: DriftRecords
    started_at: datetime
    schedule: Schedule | None = None
    grace: timedelta = timedelta(hours=1)
    day: DayRecords | None = None

    def drift_conditions(self) -> tuple[Condition, ...]:
        """What stands of drift and collapse; may raise StoreError."""
        newest, now = self.drift.latest(), self.desk.clock()
        tick = None if self.schedule is None else self.schedule.latest_due(now)
        return (
            *drift_conditions(self.desk.ledger.head().state.drift, newest),
            *overdue_check(
                None if tick is None else tick.due,
                newest,
                now,
                started=self.started_at,
                grace=self.grace,
            ),
        )

    def on_acknowledged(self, causes: frozenset[Cause], actor: str) -> None:
        """Somebody takes note: an alarm that is known halves no entry any more.

        Raises:
            StoreError: it could not be stored; acknowledging again is safe.
        """
        if causes & {Cause.DRIFT, Cause.COLLAPSE}:
            act = self.desk.act(self.desk.clock(), actor)
            record_drift_acknowledgement("acknowledged as an alert", act)


def open_sender(alerts: AlertSettings) -> Sender:
    """What sends to the targets of the settings.

    Raises:
        ConfigurationError: an address cannot be used; one line that does not show it.
    """
    if not (alerts.urls or alerts.page_urls):
        return NoTargets()
    return AppriseSender(
        [url.get_secret_value() for url in alerts.urls],
        [url.get_secret_value() for url in alerts.page_urls],
    )


def open_alerts(
    settings: Settings,
    world: World,
    sources: AlertSources,
    documents: Documents | None = None,
    sender: Sender | None = None,
) -> Alerts:
    """The alerts of a worker. They are there also while their store is not.

    Args:
        settings: name store, targets and thresholds.
        world: time and randomness.
        sources: what is watched.
        documents: where the board is kept; by default the store of the settings.
        sender: of messages; by default to the targets of the settings.
    """
    around = Surroundings(
        sender=sender or open_sender(settings.alerts),
        rules=_rules(settings),
        clock=world.clock,
        timer=lambda: world.timer() / 1e9,
        new_id=lambda: world.new_id(world.clock()),
        observer=sources.desk.observer,
        timeout_seconds=settings.alerts.timeout_seconds,
    )
    with ExitStack() as opened:
        parts = _parts(settings, documents, opened.callback)
        release = opened.pop_all().close
    watcher = Watcher(_watched(settings, sources, around.timer))
    return Alerts(parts, watcher, around, sources.on_acknowledged, release)


def recent_alerts(settings: Settings) -> list[Listed]:
    """Open and past alerts as they are kept, newest first, for who watches nothing.

    Raises:
        StoreError: they cannot be read.
    """
    with ExitStack() as opened:
        parts = _parts(settings, None, opened.callback)
        return listed([part.store.read() for part in parts])


def _parts(
    settings: Settings, documents: Documents | None, at_the_end: Callable[..., object]
) -> list[Part]:
    def kept(store: Documents, name: str) -> SharedBoard:
        at_the_end(store.close)
        return SharedBoard(store, name)

    if documents is not None:
        return [Part(HostBoard(SharedBoard(documents, _DOCUMENT)), _ALL)]
    path = Path(settings.state_path).with_name("alerts.db")
    if settings.redis.host is not None:
        # No ledger has made the folder; where it cannot be made the board is in memory.
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
    in_file = SqliteDocuments(path)
    # Services of several books may run in one folder.
    on_host = HostBoard(kept(in_file, f"{_DOCUMENT}:{settings.book}"))
    if settings.redis.host is None:
        return [Part(on_host, _ALL)]
    in_redis = RedisDocuments(settings.book, RedisLink(**served_redis(settings)))
    return [
        Part(kept(in_redis, _DOCUMENT), _ALL - HOST_CAUSES),
        Part(on_host, HOST_CAUSES),
    ]


def _rules(settings: Settings) -> AlertRules:
    alerts = settings.alerts
    return AlertRules(
        book=settings.book,
        quiet=timedelta(minutes=alerts.quiet_minutes),
        escalate=timedelta(minutes=alerts.escalate_minutes),
        retry=timedelta(seconds=alerts.retry_seconds),
        give_up=timedelta(minutes=alerts.give_up_minutes),
    )


def _watched(settings: Settings, sources: AlertSources, timer: Callable[[], float]) -> Watched:
    alerts, desk = settings.alerts, sources.desk
    return Watched(
        ledger=desk.ledger,
        limits_of=lambda state, now: desk.act(now, "").limits(state),
        calendar=desk.calendar,
        limit_share=alerts.limit_share,
        flow=FlowRules(alerts.veto_share, timedelta(minutes=alerts.silence_minutes)),
        cache_degraded=lambda: sources.cache.degraded,
        market_degraded=lambda: sources.feed.degraded,
        drift_conditions=sources.drift_conditions,
        newest_bar=lambda: sources.feed.newer_than(0),
        preflight=(lambda: None) if sources.day is None else sources.day.preflight,
        desk=DeskRules(
            feed=timedelta(minutes=alerts.feed_minutes),
            mark=timedelta(minutes=alerts.mark_minutes),
            order=timedelta(minutes=alerts.order_minutes),
        ),
        timer=timer,
    )
