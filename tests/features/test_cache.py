"""What every `FeatureCache` promises; an implementation joins by one line in `CACHES`."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from config.settings import CacheSettings
from errors import InvalidRequest
from features.cache import CachedVector, FeatureCache, MemoryFeatureCache
from features.evidence import Evidence
from features.fallback_cache import FallbackFeatureCache
from features.macro import MacroValue
from features.redis_cache import RedisFeatureCache
from stores.redis_link import RedisLink
from tests.redis_server import free_port, new_book, shared_server

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BAR = timedelta(minutes=5)

EVIDENCE = Evidence(1772460000, 3700.1, 2, 5.25, {"dxy": MacroValue(20514, 104.3)})

Make = Callable[[CacheSettings], FeatureCache]


def in_memory(settings: CacheSettings) -> MemoryFeatureCache:
    return MemoryFeatureCache("default", settings)


def in_redis(settings: CacheSettings) -> RedisFeatureCache:
    # A machine that is busy with something else must not pass for an outage.
    link = RedisLink(**shared_server().address, timeout_ms=5000)
    return RedisFeatureCache(new_book(), settings, link)


def with_fallback(settings: CacheSettings) -> FallbackFeatureCache:
    return FallbackFeatureCache(in_redis(settings), in_memory(settings))


def fallen_back(settings: CacheSettings) -> FallbackFeatureCache:
    nowhere = RedisLink(host="127.0.0.1", port=free_port())
    return FallbackFeatureCache(
        RedisFeatureCache("default", settings, nowhere), in_memory(settings)
    )


CACHES: dict[str, Make] = {
    "memory": in_memory,
    "redis": in_redis,
    "fallback": with_fallback,
    "fallback without redis": fallen_back,
}


@pytest.fixture(params=CACHES)
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    made: list[FeatureCache] = []

    def one(settings: CacheSettings) -> FeatureCache:
        made.append(CACHES[request.param](settings))
        return made[-1]

    yield one
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make: Make) -> FeatureCache:
    return make(CacheSettings())


def vector(value: float) -> NDArray[np.float32]:
    return np.full(45, value, dtype=np.float32)


def first_of(found: CachedVector | None) -> float | None:
    return None if found is None else float(found.vector[0])


def test_what_was_put_is_read_back_to_the_bit(cache: FeatureCache) -> None:
    kept = np.random.default_rng(1).normal(size=45).astype(np.float32)
    cache.put(NOW, kept, NOW)

    found = cache.get(NOW, NOW)

    assert found is not None
    assert found.timestamp == NOW
    assert found.evidence is None
    assert found.vector.dtype == np.float32
    assert found.vector.tobytes() == kept.tobytes()


def test_what_a_vector_was_made_of_is_kept_with_it(cache: FeatureCache) -> None:
    cache.put(NOW, vector(1), NOW, EVIDENCE)

    for found in (cache.get(NOW, NOW), cache.latest(NOW)):
        assert found is not None
        assert found.evidence == EVIDENCE

    cache.put(NOW, vector(1), NOW)
    again = cache.get(NOW, NOW)
    assert again is not None
    assert again.evidence is None


def test_an_unknown_timestamp_is_a_miss(cache: FeatureCache) -> None:
    cache.put(NOW, vector(1), NOW)

    assert cache.get(NOW + BAR, NOW) is None


def test_the_same_instant_in_another_zone_is_the_same_key(cache: FeatureCache) -> None:
    bogota = timezone(timedelta(hours=-5))
    cache.put(NOW.astimezone(bogota), vector(1), NOW.astimezone(bogota))

    assert first_of(cache.get(NOW, NOW)) == 1
    latest = cache.latest(NOW)
    assert latest is not None
    assert latest.timestamp == NOW
    assert latest.timestamp.utcoffset() == timedelta(0)


def test_a_vector_lives_for_exactly_its_time_to_live(cache: FeatureCache) -> None:
    cache.put(NOW, vector(1), NOW)

    assert first_of(cache.get(NOW, NOW + 299.999 * SECOND)) == 1
    assert cache.get(NOW, NOW + 300 * SECOND) is None
    assert cache.latest(NOW + 300 * SECOND) is None


def test_its_life_begins_when_it_is_put_not_when_its_bar_began(cache: FeatureCache) -> None:
    cache.put(NOW - 100 * BAR, vector(1), NOW)

    assert first_of(cache.get(NOW - 100 * BAR, NOW + 299 * SECOND)) == 1


def test_putting_again_replaces_the_vector_and_renews_its_life(cache: FeatureCache) -> None:
    cache.put(NOW, vector(1), NOW)
    cache.put(NOW, vector(2), NOW + 200 * SECOND)

    assert first_of(cache.get(NOW, NOW + 400 * SECOND)) == 2
    assert cache.stats().size == 1


def test_many_are_read_in_the_order_asked_for(cache: FeatureCache) -> None:
    cache.put(NOW, vector(1), NOW)
    cache.put(NOW + BAR, vector(2), NOW)

    found = cache.get_many([NOW + BAR, NOW + 2 * BAR, NOW, NOW], NOW)

    assert [first_of(one) for one in found] == [2, None, 1, 1]
    assert cache.get_many([], NOW) == []


def test_the_latest_is_the_newest_bar_not_the_last_one_put(cache: FeatureCache) -> None:
    cache.put(NOW + BAR, vector(2), NOW)
    cache.put(NOW, vector(1), NOW)

    latest = cache.latest(NOW)

    assert latest is not None
    assert (latest.timestamp, first_of(latest)) == (NOW + BAR, 2)


def test_an_empty_cache_has_no_latest(cache: FeatureCache) -> None:
    assert cache.latest(NOW) is None


def test_a_full_cache_drops_what_was_put_first(make: Make) -> None:
    cache = make(CacheSettings(max_entries=2))
    for bar in range(3):
        cache.put(NOW - bar * BAR, vector(bar), NOW)

    found = cache.get_many([NOW - bar * BAR for bar in range(3)], NOW)

    assert [first_of(one) for one in found] == [None, 1, 2]
    assert (cache.stats().size, cache.stats().evictions) == (2, 1)


def test_expired_vectors_leave_without_counting_as_evicted(cache: FeatureCache) -> None:
    cache.put(NOW, vector(1), NOW)
    cache.put(NOW + BAR, vector(2), NOW + BAR)

    assert (cache.stats().size, cache.stats().evictions) == (1, 0)


def test_statistics_count_every_read(cache: FeatureCache) -> None:
    assert cache.stats().hit_rate == 0.0
    cache.put(NOW, vector(1), NOW)
    cache.get_many([NOW, NOW + BAR], NOW)
    cache.get(NOW, NOW)
    cache.latest(NOW)

    stats = cache.stats()

    assert (stats.hits, stats.misses, stats.hit_rate) == (3, 1, 0.75)
    assert stats.ttl_seconds == 300


WITHOUT_UTC = datetime.max.replace(tzinfo=timezone(-SECOND))


@pytest.mark.parametrize(
    "key", ["latest", "default", "", 0, None, NOW.replace(tzinfo=None), WITHOUT_UTC]
)
def test_only_an_aware_time_is_a_key(cache: FeatureCache, key: object) -> None:
    cache.put(NOW, vector(1), NOW)

    with pytest.raises(InvalidRequest, match="a time with a zone"):
        cache.get(key, NOW)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="a time with a zone"):
        cache.put(key, vector(1), NOW)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="now is"):
        cache.get(NOW, NOW.replace(tzinfo=None))


@pytest.mark.parametrize("bad", [np.full(45, np.nan), np.full(3, np.inf), np.ones((2, 45))])
def test_only_one_row_of_finite_numbers_is_kept(
    cache: FeatureCache, bad: NDArray[np.float64]
) -> None:
    with pytest.raises(InvalidRequest, match="one row of finite numbers"):
        cache.put(NOW, bad.astype(np.float32), NOW)

    assert cache.stats().size == 0


def test_neither_the_writer_nor_a_reader_can_change_what_is_kept(cache: FeatureCache) -> None:
    mine = vector(1)
    cache.put(NOW, mine, NOW)
    mine[:] = 9
    found = cache.get(NOW, NOW)

    assert found is not None
    assert first_of(found) == 1
    with pytest.raises(ValueError, match="read-only"):
        found.vector[:] = 9


def test_a_clock_that_jumps_back_revives_nothing(cache: FeatureCache) -> None:
    cache.put(NOW, vector(1), NOW)
    assert cache.get(NOW, NOW + 400 * SECOND) is None

    assert cache.get(NOW, NOW + SECOND) is None


def test_a_clock_that_jumps_back_does_not_lengthen_a_life(cache: FeatureCache) -> None:
    cache.put(NOW, vector(1), NOW)
    cache.put(NOW + BAR, vector(2), NOW + 290 * SECOND)
    before = NOW + 10 * SECOND

    assert cache.get_many([NOW, NOW + BAR], before) == [None, None]
    cache.put(NOW, vector(3), before)
    assert first_of(cache.get(NOW, before)) == 3


def test_a_time_that_nobody_lives_in_is_a_key_like_any_other(cache: FeatureCache) -> None:
    times = [datetime(1, 1, 1, tzinfo=UTC), NOW, datetime.max.replace(tzinfo=UTC)]
    for value, timestamp in enumerate(times):
        cache.put(timestamp, vector(value), NOW)

    assert [first_of(one) for one in cache.get_many(times, NOW)] == [0, 1, 2]
    latest = cache.latest(NOW)
    assert latest is not None
    assert latest.timestamp == times[2]


def test_callers_whose_clocks_differ_by_a_moment_lose_nothing(cache: FeatureCache) -> None:
    cache.put(NOW, vector(1), NOW + SECOND)

    assert first_of(cache.get(NOW, NOW)) == 1


@pytest.mark.parametrize("name", CACHES)
def test_whatever_the_clock_does_nothing_older_than_its_life_is_read(name: str) -> None:
    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), STEPS), max_size=40))
    def holds(steps: list[tuple[bool, int, int]]) -> None:
        cache = CACHES[name](CacheSettings(max_entries=3))
        try:
            _walk(cache, steps)
        finally:
            cache.close()

    holds()


STEPS = st.integers(-900, 900) | st.integers(-10, 10) | st.sampled_from([-300, 299, 300])


def _walk(cache: FeatureCache, steps: list[tuple[bool, int, int]]) -> None:
    lived: dict[datetime, int] = {}  # seconds of clock seen to pass since each was put
    now, newest = 0, -1_000_000  # the first time that a cache sees is no jump
    for is_put, bar, step in steps:
        now += step
        lived = {key: age + max(now - newest, 0) for key, age in lived.items()}
        newest = now if newest - now > 5 else max(now, newest)
        timestamp, at = NOW + bar * BAR, NOW + now * SECOND
        if is_put:
            cache.put(timestamp, vector(bar), at)
            lived[timestamp] = 0
        else:
            found = cache.get(timestamp, at)
            assert found is None or (first_of(found) == bar and lived[timestamp] < 300)
        assert cache.stats().size <= 3


def test_threads_lose_no_count_and_no_vector(cache: FeatureCache) -> None:
    def work(worker: int) -> None:
        for turn in range(200):
            timestamp = NOW + (worker * 200 + turn) * BAR
            cache.put(timestamp, vector(worker), NOW)
            assert first_of(cache.get(timestamp, NOW)) == worker
            cache.latest(NOW)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    stats = cache.stats()
    assert (stats.size, stats.hits, stats.misses) == (800, 1600, 0)
