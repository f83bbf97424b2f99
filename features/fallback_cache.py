"""A cache that processes share, and one of this process for while that does not answer.

Nobody has to do anything: the next call that is answered ends the outage, and what this process
put meanwhile is shared then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from errors import StoreError
from features.cache import CachedVector, CacheStats, FeatureCache, Reads
from features.evidence import Evidence
from features.seen_clock import instant

__all__ = ["FallbackFeatureCache", "SharedFeatureCache"]

Answer = TypeVar("Answer")

_RECENT: Final = 256
"""Vectors that are put once more after an outage: the newest of this process, in one call."""


class SharedFeatureCache(FeatureCache, Protocol):
    """A cache that processes share, and that may be away for a while."""

    def put_late(self, vectors: Sequence[tuple[CachedVector, datetime]], now: datetime) -> None:
        """Keep vectors that were put elsewhere, each with when that was: its life began then.

        One that was put since under the same timestamp stays.
        """
        ...


class FallbackFeatureCache:
    """A `FeatureCache` that answers from the shared one, or from memory while that cannot.

    What is put goes to both, so that what this process put is there when the shared one fails.
    What the shared one answers is the one truth: memory is not asked beside it.

    Args:
        primary: the shared one; closed with this.
        memory: of this process.
    """

    def __init__(self, primary: SharedFeatureCache, memory: FeatureCache) -> None:
        self._primary, self._memory = primary, memory
        self._degraded: str | None = None
        self.reads = Reads()
        # Timestamps of what was put here, with when that was. After a failure the primary may
        # lack any of it: a server that comes back can have lost what it had acknowledged.
        self._recent: OrderedDict[datetime, datetime] = OrderedDict()
        self._failures = self._settled = 0
        self._now: datetime | None = None
        self._lock, self._settling = Lock(), Lock()

    @property
    def degraded(self) -> str | None:
        """Why the newest call was answered from memory; None when it was not."""
        return self._degraded

    def put(
        self,
        timestamp: datetime,
        vector: NDArray[np.float32],
        now: datetime,
        evidence: Evidence | None = None,
    ) -> None:
        """Keep the vector here, and for every process as soon as that is possible."""
        self._memory.put(timestamp, vector, now, evidence)
        self._remember(instant(timestamp, "timestamp"), instant(now, "now"))

        def put(cache: FeatureCache) -> None:
            if cache is not self._memory:
                cache.put(timestamp, vector, now, evidence)

        self._answer(put, now)

    def get(self, timestamp: datetime, now: datetime) -> CachedVector | None:
        """Read one vector. See `FeatureCache`."""
        return self.get_many([timestamp], now)[0]

    def get_many(self, timestamps: Sequence[datetime], now: datetime) -> list[CachedVector | None]:
        """Read several vectors, all of them from one place. See `FeatureCache`."""
        return self.reads.counted(self._answer(lambda cache: cache.get_many(timestamps, now), now))

    def latest(self, now: datetime) -> CachedVector | None:
        """Read the newest vector. See `FeatureCache`."""
        return self.reads.counted([self._answer(lambda cache: cache.latest(now), now)])[0]

    def stats(self) -> CacheStats:
        """Say what was read here, and how the cache stands that answers now."""
        stats = self._answer(lambda cache: cache.stats(), self._now)
        return replace(
            stats,
            hits=self.reads.hits,
            misses=self.reads.misses,
            hit_rate=self.reads.hit_rate,
            degraded=self._degraded,
        )

    def close(self) -> None:
        """Close both. Closing twice is harmless."""
        self._primary.close()
        self._memory.close()

    def _answer(self, ask: Callable[[FeatureCache], Answer], now: datetime | None) -> Answer:
        try:
            if now is not None:
                self._settle(now)
            answer = ask(self._primary)
        except StoreError as error:
            with self._lock:
                self._failures += 1
            self._degraded = str(error)
            return ask(self._memory)
        self._degraded = None
        return answer

    def _remember(self, timestamp: datetime, now: datetime) -> None:
        with self._lock:
            self._recent.pop(timestamp, None)
            self._recent[timestamp] = now
            while len(self._recent) > _RECENT:
                self._recent.popitem(last=False)

    def _settle(self, now: datetime) -> None:
        """After a failure, give the primary what it may lack, as far as that still lives."""
        self._now = now
        if self._settled == self._failures:
            return
        with self._settling:
            with self._lock:
                failures, recent = self._failures, dict(self._recent)
            if self._settled == failures:
                return
            self._primary.stats()  # one that is down says so before anything is made ready for it
            kept = zip(self._memory.get_many(list(recent), now), recent.values(), strict=True)
            late = [(vector, put_at) for vector, put_at in kept if vector is not None]
            if late:
                self._primary.put_late(late, now)
            self._settled = failures
