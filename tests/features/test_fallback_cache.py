"""What happens to the cache of vectors when Redis dies, freezes, comes back, or has forgotten."""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import count
from pathlib import Path
from threading import Event
from time import monotonic, sleep

import numpy as np
import pytest
from numpy.typing import NDArray

from config.settings import CacheSettings
from errors import InvalidRequest, StoreUnavailable
from features.cache import MemoryFeatureCache
from features.evidence import Evidence
from features.fallback_cache import FallbackFeatureCache
from features.redis_cache import RedisFeatureCache
from stores.redis_link import RedisLink
from tests.features.test_cache import BAR, EVIDENCE, NOW, SECOND, first_of, vector
from tests.redis_server import RedisServer, free_port

# Bounds in these tests are for machines that are busy with something else; the design's is 250 ms.
SOON = 1.0
KEYS = (
    "usdcop:{desk}:features",
    "usdcop:{desk}:features:order",
    "usdcop:{desk}:features:times",
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as started:
        yield started


@pytest.fixture
def cache(server: RedisServer) -> Iterator[FallbackFeatureCache]:
    made = opened(server)
    yield made
    made.close()


@pytest.fixture
def other(server: RedisServer) -> Iterator[RedisFeatureCache]:
    """What another process sees, which never had anything in its own memory."""
    made = shared(server, timeout_ms=5000)
    yield made
    made.close()


def shared(server: RedisServer, timeout_ms: int = 150) -> RedisFeatureCache:
    link = RedisLink(**server.address, timeout_ms=timeout_ms)
    return RedisFeatureCache("desk", CacheSettings(), link)


def opened(server: RedisServer) -> FallbackFeatureCache:
    return FallbackFeatureCache(shared(server), MemoryFeatureCache("desk", CacheSettings()))


def restart(server: RedisServer) -> None:
    server.start()
    sleep(0.11)  # after this long a link looks again


def until(condition: Callable[[], bool]) -> None:
    begun = monotonic()
    while not condition():
        assert monotonic() - begun < 20
        sleep(0.01)


class TestAServerThatDies:
    def test_is_replaced_by_memory_and_used_again_by_itself(
        self, server: RedisServer, cache: FallbackFeatureCache, other: RedisFeatureCache
    ) -> None:
        cache.put(NOW, vector(1), NOW)
        assert (cache.degraded, cache.stats().backend) == (None, "redis")
        server.kill()
        assert first_of(cache.get(NOW, NOW)) == 1
        cache.put(NOW + BAR, vector(2), NOW, EVIDENCE)
        assert first_of(cache.latest(NOW)) == 2
        assert f"redis at 127.0.0.1:{server.port} cannot be reached" in str(cache.degraded)
        stats = cache.stats()
        assert (stats.backend, stats.size, stats.degraded) == ("memory", 2, cache.degraded)
        restart(server)
        assert first_of(cache.get(NOW, NOW)) == 1
        assert (cache.degraded, cache.stats().backend) == (None, "redis")
        found = other.get(NOW + BAR, NOW)
        assert found is not None
        assert (first_of(found), found.evidence) == (2, EVIDENCE)

    def test_is_used_again_also_when_nobody_but_a_health_check_asks(
        self, server: RedisServer, cache: FallbackFeatureCache, other: RedisFeatureCache
    ) -> None:
        server.kill()
        cache.put(NOW, vector(1), NOW)
        assert cache.stats().degraded is not None
        restart(server)
        assert (cache.stats().degraded, cache.stats().backend) == (None, "redis")
        assert first_of(other.get(NOW, NOW)) == 1

    def test_gets_back_what_it_forgot_of_what_this_process_put(
        self, server: RedisServer, cache: FallbackFeatureCache, other: RedisFeatureCache
    ) -> None:
        cache.put(NOW, vector(1), NOW)
        server.kill()
        assert first_of(cache.get(NOW, NOW)) == 1
        shutil.rmtree(server.folder)
        restart(server)
        assert first_of(cache.get(NOW, NOW)) == 1
        assert cache.degraded is None
        assert first_of(other.get(NOW, NOW)) == 1

    def test_gets_what_still_lives_and_its_life_is_not_renewed(
        self, server: RedisServer, cache: FallbackFeatureCache, other: RedisFeatureCache
    ) -> None:
        server.kill()
        cache.put(NOW, vector(1), NOW)
        cache.put(NOW + BAR, vector(2), NOW + 100 * SECOND)
        restart(server)
        back = NOW + 350 * SECOND
        found = cache.get_many([NOW, NOW + BAR], back)
        assert [first_of(one) for one in found] == [None, 2]
        assert cache.stats().size == 1
        assert first_of(other.get(NOW + BAR, NOW + 399 * SECOND)) == 2
        assert other.get(NOW + BAR, NOW + 400 * SECOND) is None

    def test_gets_nothing_when_all_of_it_has_expired(
        self, server: RedisServer, cache: FallbackFeatureCache
    ) -> None:
        server.kill()
        cache.put(NOW, vector(1), NOW)
        restart(server)
        assert cache.get(NOW, NOW + 300 * SECOND) is None
        assert (cache.stats().size, cache.degraded) == (0, None)

    def test_keeps_what_others_have_put_since(
        self, server: RedisServer, cache: FallbackFeatureCache, other: RedisFeatureCache
    ) -> None:
        server.kill()
        cache.put(NOW, vector(1), NOW)
        restart(server)
        other.put(NOW, vector(2), NOW + SECOND)
        assert first_of(cache.get(NOW, NOW + 2 * SECOND)) == 2
        assert cache.degraded is None

    def test_gets_no_more_than_the_newest_of_a_long_outage(
        self, server: RedisServer, cache: FallbackFeatureCache, other: RedisFeatureCache
    ) -> None:
        server.kill()
        for bar in range(300):
            cache.put(NOW + bar * BAR, vector(bar), NOW)
        restart(server)
        assert cache.stats().size == 256
        found = other.get_many([NOW + bar * BAR for bar in (43, 44, 299)], NOW)
        assert [first_of(one) for one in found] == [None, 44, 299]

    def test_is_told_nothing_of_before_a_clock_that_jumped_back_meanwhile(
        self, server: RedisServer, cache: FallbackFeatureCache, other: RedisFeatureCache
    ) -> None:
        server.kill()
        cache.put(NOW, vector(1), NOW + 60 * SECOND)
        cache.put(NOW + BAR, vector(2), NOW)
        restart(server)
        assert cache.get(NOW, NOW + 60 * SECOND) is None
        assert other.get(NOW, NOW + 60 * SECOND) is None
        assert first_of(other.get(NOW + BAR, NOW + 60 * SECOND)) == 2

    def test_loses_nobody_a_vector_while_it_dies_and_comes_back_under_use(
        self, server: RedisServer, cache: FallbackFeatureCache
    ) -> None:
        stop = Event()

        def work(worker: int) -> int:
            for turn in count():
                if stop.is_set():
                    return turn
                timestamp = NOW + (worker * 100_000 + turn) * BAR
                cache.put(timestamp, vector(worker), NOW)
                assert first_of(cache.get(timestamp, NOW)) == worker
                assert cache.latest(NOW) is not None
            raise AssertionError

        with ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(work, worker) for worker in range(3)]
            for _ in range(3):
                sleep(0.1)
                server.kill()
                until(lambda: cache.degraded is not None)
                server.start()
                until(lambda: cache.degraded is None)
            stop.set()
            assert min(future.result() for future in futures) > 10


class TestAServerThatFreezes:
    def test_holds_one_call_up_and_then_none(
        self, server: RedisServer, cache: FallbackFeatureCache
    ) -> None:
        cache.put(NOW, vector(1), NOW)
        server.freeze()

        def read(_: int) -> float:
            begun = monotonic()
            assert first_of(cache.get(NOW, NOW)) == 1
            return monotonic() - begun

        assert read(0) < SOON
        assert "does not answer within 150 ms" in str(cache.degraded)
        assert min(read(number) for number in range(20)) < 0.02
        with ThreadPoolExecutor(10) as pool:
            assert max(pool.map(read, range(50))) < SOON
        cache.put(NOW + BAR, vector(2), NOW)
        server.thaw()
        until(lambda: cache.stats().degraded is None)
        assert first_of(cache.latest(NOW)) == 2
        assert cache.stats().backend == "redis"


class TestAServerThatAnswers:
    def test_is_the_one_truth_beside_which_memory_is_not_asked(
        self, server: RedisServer, cache: FallbackFeatureCache, other: RedisFeatureCache
    ) -> None:
        cache.put(NOW, vector(1), NOW)
        other.put(NOW, vector(2), NOW)
        assert first_of(cache.get(NOW, NOW)) == 2
        client = server.client()
        client.delete(*KEYS)
        client.close()
        assert cache.get(NOW, NOW) is None
        assert cache.latest(NOW) is None
        assert cache.degraded is None

    def test_but_takes_no_writes_is_not_said_to_be_well(
        self, server: RedisServer, cache: FallbackFeatureCache, other: RedisFeatureCache
    ) -> None:
        client = server.client()
        client.config_set("min-replicas-to-write", 1)
        cache.put(NOW, vector(1), NOW)
        assert first_of(cache.get(NOW, NOW)) == 1
        assert "too few replicas" in str(cache.stats().degraded)
        assert "too few replicas" in str(cache.degraded)
        client.config_set("min-replicas-to-write", 0)
        assert cache.stats().degraded is None
        assert first_of(other.get(NOW, NOW)) == 1
        client.close()

    def test_but_holds_something_else_is_named_and_left_as_it_is(
        self, server: RedisServer, cache: FallbackFeatureCache
    ) -> None:
        client = server.client()
        client.set(KEYS[0], "mine")
        cache.put(NOW, vector(1), NOW)
        assert first_of(cache.get(NOW, NOW)) == 1
        assert "another type" in str(cache.degraded)
        assert client.getdel(KEYS[0]) == b"mine"
        client.close()
        assert first_of(cache.get(NOW, NOW)) == 1
        assert cache.degraded is None

    def test_is_not_given_up_for_what_a_caller_does_wrong(
        self, cache: FallbackFeatureCache
    ) -> None:
        with pytest.raises(InvalidRequest):
            cache.put(NOW, np.full(45, np.nan, np.float32), NOW)
        with pytest.raises(InvalidRequest):
            cache.get_many([NOW, NOW.replace(tzinfo=None)], NOW)
        assert cache.degraded is None


def test_every_read_counts_once_wherever_it_is_answered(
    server: RedisServer, cache: FallbackFeatureCache
) -> None:
    cache.put(NOW, vector(1), NOW)
    for _ in range(2):
        cache.get_many([NOW, NOW + BAR], NOW)
        cache.latest(NOW)
        server.kill()
    restart(server)
    cache.get(NOW, NOW)
    stats = cache.stats()
    assert (stats.backend, stats.hits, stats.misses) == ("redis", 5, 2)
    assert stats.hit_rate == 5 / 7


def test_a_start_without_redis_is_a_start() -> None:
    primary = RedisFeatureCache(
        "desk", CacheSettings(), RedisLink(host="127.0.0.1", port=free_port())
    )
    cache = FallbackFeatureCache(primary, MemoryFeatureCache("desk", CacheSettings()))
    assert cache.degraded is None
    assert cache.stats().backend == "memory"
    assert cache.get(NOW, NOW) is None
    assert "cannot be reached" in str(cache.degraded)
    cache.close()


class _FailsMeanwhile(RedisFeatureCache):
    """Fails one put, and before that lets something else go well."""

    meanwhile: Callable[[], None] | None = None

    def put(
        self,
        timestamp: datetime,
        vector: NDArray[np.float32],
        now: datetime,
        evidence: Evidence | None = None,
    ) -> None:
        act = self.meanwhile
        self.meanwhile = None
        if act is not None:
            act()
            raise StoreUnavailable("it went away")
        super().put(timestamp, vector, now, evidence)


def test_a_failure_that_is_noticed_after_a_success_is_made_up_for(server: RedisServer) -> None:
    link = RedisLink(**server.address, timeout_ms=5000)
    primary = _FailsMeanwhile("desk", CacheSettings(), link)
    cache = FallbackFeatureCache(primary, MemoryFeatureCache("desk", CacheSettings()))
    primary.meanwhile = lambda: cache.put(NOW + BAR, vector(2), NOW)
    cache.put(NOW, vector(1), NOW)
    assert str(cache.degraded) == "it went away"
    assert [first_of(one) for one in cache.get_many([NOW, NOW + BAR], NOW)] == [1, 2]
    assert cache.degraded is None
    cache.close()
