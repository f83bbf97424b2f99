"""What `bootstrap` builds: every part of the service, joined."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from config.settings import Settings
from desk import Desk
from features.cache import FeatureCache
from features.feed import MarketFeed
from features.schema import Schema
from monitoring.alerts.alerts import Alerts
from monitoring.day.records import DayRecords
from monitoring.drift.records import DriftRecords
from monitoring.observer import Traffic
from monitoring.statistics import Statistics
from risk.identifiers import new_identifier
from risk.ledger.protocol import Ledger
from runners.ensemble import Ensemble
from runners.runner import Runner
from standing import Standing

__all__ = ["Application", "World"]


class RandomBytes:
    """Fresh random bytes, fetched many at a time: the kernel takes six microseconds for a call."""

    def __init__(self, at_once: int = 4096) -> None:
        self._at_once = at_once
        self._lock = Lock()
        self._left = b""
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self, count: int) -> bytes:
        """So many bytes, which nobody else gets."""
        with self._lock:
            if len(self._left) < count:
                self._left = secrets.token_bytes(max(self._at_once, count))
            taken, self._left = self._left[:count], self._left[count:]
        return taken

    def _forget(self) -> None:
        """What a forked process must not give out a second time."""
        self._lock, self._left = Lock(), b""


_random_bytes = RandomBytes()


@dataclass(frozen=True, slots=True)
class World:
    """Time and randomness; a test or a replay brings its own.

    Attributes:
        clock: aware time, UTC.
        timer: nanoseconds of a clock that never goes back.
        random_bytes: that many fresh random bytes.
    """

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    timer: Callable[[], int] = time.perf_counter_ns
    random_bytes: Callable[[int], bytes] = _random_bytes

    def new_id(self, now: datetime) -> str:
        """A unique name for an event at this time."""
        return new_identifier(now, self.random_bytes(10))


@dataclass(frozen=True, slots=True)
class Application:
    """Everything that was built.

    Attributes:
        settings: in force.
        models: the loaded models: `predict`, `predict_one`.
        runners: the same, one by one, with their latencies.
        origins: where each model's version came from, by model name.
        schema: names of the observation; None when the models read something else.
        ledger: events and risk state.
        cache: feature vectors by timestamp.
        feed: bars and macro values, and the vectors made of them.
        statistics: counts of this process.
        traffic: counts of all processes.
        desk: what `pipeline.decide` needs.
        alerts: who is told of what.
        drift: what drift checks found.
        standing: how all of it stands, for a scrape.
        day: what looks before a session found.
        configuration_values: limits and models whose hash is `desk.configuration`.
        started_at: when it was built.
    """

    settings: Settings
    models: Ensemble
    runners: tuple[Runner, ...]
    origins: Mapping[str, str]
    schema: Schema | None
    ledger: Ledger
    cache: FeatureCache
    feed: MarketFeed
    statistics: Statistics
    traffic: Traffic
    desk: Desk
    alerts: Alerts
    drift: DriftRecords
    standing: Standing
    day: DayRecords
    configuration_values: Mapping[str, Any]
    started_at: datetime

    @property
    def observation_dim(self) -> int:
        """Length of the observation."""
        return self.settings.observation_dim

    def close(self) -> None:
        """Release the stores. Closing twice is harmless."""
        self.alerts.close()
        self.drift.close()
        self.day.close()
        self.feed.close()
        self.cache.close()
        self.ledger.close()
