"""The cache of feature vectors in Redis: processes of many hosts read what one of them put."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from config.settings import CacheSettings
from errors import InvalidRequest
from features.cache import CachedVector, CacheStats, Reads, cached_vector
from features.evidence import Evidence
from features.redis_cache_scripts import LATEST, PUT, READ
from features.seen_clock import CLOCK_JITTER, SeenClock, instant
from stores.redis_link import RedisLink
from stores.redis_script import Script

__all__ = ["RedisFeatureCache", "packed", "unpacked"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_HEADER: Final = struct.Struct("<qII")
"""When it was put; checksum of the timestamp and all the rest; how many numbers follow."""


class RedisFeatureCache:
    """A `FeatureCache` in Redis; see `redis_cache_scripts` for where it lies and how it ages.

    Hits, misses and evictions are those of this process; the size is what Redis holds. An entry
    that is damaged is a miss.

    Args:
        book: whose vectors these are; different books share nothing but the server.
        settings: time to live and number of entries.
        link: to the server; closed with this.

    Raises:
        StoreUnavailable: by every call, the server cannot be reached or refuses it.
        StoreCorrupt: by every call, a key holds something else.
    """

    degraded = None

    def __init__(self, book: str, settings: CacheSettings, link: RedisLink) -> None:
        name = f"usdcop:{{{book}}}:features"
        self._keys = [name, f"{name}:order", f"{name}:times"]
        self._settings, self._link = settings, link
        self.reads, self._evictions = Reads(), 0
        self._clock, self._lock = SeenClock(), Lock()
        # What was put before this, by the server's clock, has an age that this process cannot
        # tell, since its own clock jumped back; None until the server says what time that was.
        self._trusted: int | None = 0

    def put(
        self,
        timestamp: datetime,
        vector: NDArray[np.float32],
        now: datetime,
        evidence: Evidence | None = None,
    ) -> None:
        """Keep the vector for every process. See `FeatureCache`."""
        self._put([(cached_vector(timestamp, vector, evidence), None)], now)

    def put_late(self, vectors: Sequence[tuple[CachedVector, datetime]], now: datetime) -> None:
        """Keep vectors that were put elsewhere while Redis was away, in one round trip.

        Args:
            vectors: each with when it was put: its life began then, and where a process has put
                another one under its timestamp since, that one stays.
            now: aware.
        """
        self._put(vectors, now)

    def get(self, timestamp: datetime, now: datetime) -> CachedVector | None:
        """Read one vector. See `FeatureCache`."""
        return self.get_many([timestamp], now)[0]

    def get_many(self, timestamps: Sequence[datetime], now: datetime) -> list[CachedVector | None]:
        """Read several vectors in one round trip. See `FeatureCache`."""
        asked = [_word(instant(timestamp, "timestamp")) for timestamp in timestamps]
        entries = self._run(READ, now, *asked)
        found = zip(asked, entries, strict=True)
        return self.reads.counted(unpacked(timestamp, entry) for timestamp, entry in found)

    def latest(self, now: datetime) -> CachedVector | None:
        """Read the newest vector. See `FeatureCache`."""
        found = self._run(LATEST, now)
        newest = unpacked(found[0], found[1]) if found else None
        return self.reads.counted([newest])[0]

    def stats(self) -> CacheStats:
        """Say what this process did, and how much Redis holds. See `FeatureCache`."""
        return CacheStats(
            hits=self.reads.hits,
            misses=self.reads.misses,
            hit_rate=self.reads.hit_rate,
            size=self._link.ask("HLEN", self._keys[0]),
            evictions=self._evictions,
            ttl_seconds=self._settings.ttl_seconds,
            backend="redis",
        )

    def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        self._link.close()

    def _put(self, vectors: Sequence[tuple[CachedVector, datetime | None]], now: datetime) -> None:
        at = _microseconds(instant(now, "now"))
        words: list[Any] = [self._settings.max_entries]
        for kept, put_at in vectors:
            put = at if put_at is None else min(at, _microseconds(put_at))
            words += [_word(kept.timestamp), at - put, packed(kept, put)]
        evicted = self._run(PUT, now, *words)[0]
        with self._lock:
            self._evictions += evicted

    def _run(self, script: Script, now: datetime, *words: Any) -> list[Any]:
        """Run a script with its clocks, and return what it replies beside the server's."""
        with self._lock:
            if self._clock.jumps_back(now):
                self._trusted = None
            at, trusted = self._clock.newest, self._trusted
        life, jitter = timedelta(seconds=self._settings.ttl_seconds), CLOCK_JITTER
        times = [_microseconds(at), life // _MICROSECOND, jitter // _MICROSECOND]
        told = "" if trusted is None else trusted
        reply = self._link.run(script, self._keys, [*times, told, *words])
        here = int(reply[0])
        if trusted is None or here < trusted:
            with self._lock:
                self._trusted = here
        return reply[1:]


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _word(moment: datetime) -> bytes:
    return b"%d" % _microseconds(moment)


def packed(kept: CachedVector, put_at: int) -> bytes:
    """An entry, as it lies in Redis.

    Args:
        kept: the vector.
        put_at: when it was put, microseconds since 1970-01-01 UTC.
    """
    numbers = kept.vector.astype("<f4").tobytes()
    document = None if kept.evidence is None else kept.evidence.to_json()
    evidence = b"" if document is None else json.dumps(document, separators=(",", ":")).encode()
    body = numbers + evidence
    checksum = _checksum(_word(kept.timestamp), put_at, kept.vector.size, body)
    return _HEADER.pack(put_at, checksum, kept.vector.size) + body


def unpacked(timestamp: bytes, entry: bytes | None) -> CachedVector | None:
    """What `packed` was given; None when it is no entry, or not that of this timestamp.

    Args:
        timestamp: the name that the entry lies under.
        entry: as it was found.
    """
    if entry is None or len(entry) < _HEADER.size:
        return None
    put_at, checksum, count = _HEADER.unpack_from(entry)
    body = entry[_HEADER.size :]
    if checksum != _checksum(timestamp, put_at, count, body) or len(body) < 4 * count:
        return None
    try:
        document = json.loads(body[4 * count :]) if len(body) > 4 * count else None
        evidence = None if document is None else Evidence.from_json(document)
        numbers = np.frombuffer(body, "<f4", count)
        return cached_vector(_EPOCH + int(timestamp) * _MICROSECOND, numbers, evidence)
    except (ValueError, InvalidRequest):
        return None


def _checksum(timestamp: bytes, put_at: int, count: int, body: bytes) -> int:
    return zlib.crc32(b"%b %d %d %b" % (timestamp, put_at, count, body))
