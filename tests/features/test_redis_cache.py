"""What only a shared cache can show: processes, their clocks, damage, and lost servers."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from time import sleep

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from redis.crc import key_slot

from config.settings import CacheSettings
from errors import StoreCorrupt, StoreError, StoreUnavailable
from features.cache import CachedVector, cached_vector
from features.evidence import Evidence
from features.redis_cache import RedisFeatureCache, packed, unpacked
from stores.redis_link import RedisLink
from tests.features.test_cache import BAR, EVIDENCE, NOW, SECOND, first_of, vector
from tests.features.test_evidence import evidences
from tests.redis_server import Cut, CuttingProxy, RedisServer, new_book, shared_server

WORD = b"1772460000000000"
"""NOW as Redis has it."""


@pytest.fixture
def server() -> RedisServer:
    """A server that other tests use too: it is neither stopped nor emptied."""
    return shared_server()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as started:
        yield started


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[CuttingProxy]:
    with CuttingProxy(server) as started:
        yield started


@pytest.fixture
def book() -> str:
    return new_book()


def opened(
    server: RedisServer | CuttingProxy, book: str, timeout_ms: int = 5000, **settings: int
) -> RedisFeatureCache:
    link = RedisLink(**server.address, timeout_ms=timeout_ms)
    return RedisFeatureCache(book, CacheSettings(**settings), link)


def keys_of(book: str) -> list[str]:
    name = f"usdcop:{{{book}}}:features"
    return [name, f"{name}:order", f"{name}:times"]


class TestTwoProcesses:
    def test_read_what_one_of_them_put(self, server: RedisServer, book: str) -> None:
        one, other = opened(server, book), opened(server, book)
        one.put(NOW, vector(1), NOW, EVIDENCE)
        one.put(NOW + BAR, vector(2), NOW)
        found, latest = other.get(NOW, NOW), other.latest(NOW)
        assert found is not None
        assert latest is not None
        assert (first_of(found), found.evidence) == (1, EVIDENCE)
        assert (first_of(latest), latest.timestamp) == (2, NOW + BAR)
        other.put(NOW, vector(3), NOW)
        assert first_of(one.get(NOW, NOW)) == 3
        one.close()
        other.close()

    def test_count_their_own_reads_and_evictions_of_what_they_share(
        self, server: RedisServer, book: str
    ) -> None:
        one, other = opened(server, book, max_entries=2), opened(server, book, max_entries=2)
        for bar in range(3):
            one.put(NOW + bar * BAR, vector(bar), NOW)
        other.get(NOW, NOW)
        assert (one.stats().size, one.stats().evictions, one.stats().misses) == (2, 1, 0)
        assert (other.stats().size, other.stats().evictions, other.stats().misses) == (2, 0, 1)
        assert (one.stats().backend, one.degraded) == ("redis", None)
        one.close()
        other.close()

    def test_of_different_books_share_nothing(self, server: RedisServer, book: str) -> None:
        one, other = opened(server, book), opened(server, new_book())
        one.put(NOW, vector(1), NOW)
        assert other.get(NOW, NOW) is None
        assert other.latest(NOW) is None
        assert other.stats().size == 0
        one.close()
        other.close()

    def test_with_one_clock_ahead_serve_nothing_whose_age_one_of_them_cannot_tell(
        self, server: RedisServer, book: str
    ) -> None:
        ahead, behind = opened(server, book), opened(server, book)
        ahead.put(NOW, vector(1), NOW + 6 * SECOND)
        ahead.put(NOW + BAR, vector(2), NOW + 5 * SECOND)
        assert [first_of(one) for one in behind.get_many([NOW, NOW + BAR], NOW)] == [None, 2]
        ahead.put(NOW + BAR, vector(2), NOW + 7 * SECOND)
        assert behind.latest(NOW) is None
        ahead.close()
        behind.close()

    def test_of_which_one_has_a_clock_that_jumps_back_lose_nothing_but_there(
        self, server: RedisServer, book: str
    ) -> None:
        steady, jumping = opened(server, book), opened(server, book)
        steady.put(NOW, vector(1), NOW)
        assert first_of(jumping.get(NOW, NOW + 10 * SECOND)) == 1
        for _ in range(2):
            assert jumping.get(NOW, NOW) is None
            assert jumping.latest(NOW) is None
        assert first_of(steady.get(NOW, NOW)) == 1
        jumping.put(NOW + BAR, vector(2), NOW)
        latest = jumping.latest(NOW)
        assert first_of(latest) == 2
        assert jumping.get(NOW, NOW) is None
        steady.close()
        jumping.close()


class TestAnEntry:
    def test_lives_no_longer_than_the_clock_of_the_server_says(
        self, server: RedisServer, book: str
    ) -> None:
        cache = opened(server, book, ttl_seconds=1)
        cache.put(NOW, vector(1), NOW)
        sleep(0.6)
        cache.put(NOW + BAR, vector(2), NOW)
        sleep(0.5)
        assert [first_of(one) for one in cache.get_many([NOW, NOW + BAR], NOW)] == [None, 2]
        cache.close()

    def test_does_not_stay_for_ever_when_nobody_puts_another_one(
        self, server: RedisServer, book: str
    ) -> None:
        cache = opened(server, book)
        cache.put(NOW, vector(1), NOW)
        client = server.client()
        for key in keys_of(book):
            assert 290_000 < client.pttl(key) <= 300_000
        client.close()
        cache.close()

    def test_lies_in_one_slot_of_a_cluster_and_under_no_key_of_its_own(
        self, server: RedisServer, book: str
    ) -> None:
        cache = opened(server, book)
        for bar in range(3):
            cache.put(NOW + bar * BAR, vector(bar), NOW)
        client = server.client()
        found = sorted(key.decode() for key in client.scan_iter(f"usdcop:{{{book}}}:*"))
        assert found == keys_of(book)
        assert len({key_slot(key.encode()) for key in found}) == 1
        assert WORD in client.hkeys(found[0])
        client.close()
        cache.close()

    def test_that_was_put_late_has_lived_since_it_was_put(
        self, server: RedisServer, book: str
    ) -> None:
        cache = opened(server, book)
        entries = [
            (cached_vector(NOW + bar * BAR, vector(bar), EVIDENCE), NOW - bar * 100 * SECOND)
            for bar in range(4)
        ]
        cache.put_late(entries, NOW)
        asked = [NOW + bar * BAR for bar in range(4)]
        assert [first_of(one) for one in cache.get_many(asked, NOW)] == [0, 1, 2, None]
        then = NOW + 150 * SECOND
        found = cache.get_many(asked, then)
        assert [first_of(one) for one in found] == [0, 1, None, None]
        assert found[1] is not None
        assert found[1].evidence == EVIDENCE
        assert cache.stats().size == 3
        cache.close()

    def test_that_was_put_late_is_no_newer_than_what_others_put_since(
        self, server: RedisServer, book: str
    ) -> None:
        cache = opened(server, book, max_entries=2)
        cache.put(NOW, vector(1), NOW)
        late = NOW - 10 * SECOND
        cache.put_late([(cached_vector(NOW, vector(9), None), late)], NOW)
        assert first_of(cache.get(NOW, NOW)) == 1
        cache.put(NOW + BAR, vector(2), NOW)
        cache.put_late([(cached_vector(NOW + 2 * BAR, vector(3), None), late)], NOW)
        assert cache.get(NOW + 2 * BAR, NOW) is None
        assert cache.stats().evictions == 1
        cache.close()

    @pytest.mark.parametrize("ttl_seconds", [10**9, 10**12])
    def test_may_live_for_very_long(self, server: RedisServer, book: str, ttl_seconds: int) -> None:
        cache = opened(server, book, ttl_seconds=ttl_seconds)
        cache.put(NOW, vector(1), NOW)
        assert first_of(cache.get(NOW, NOW)) == 1
        cache.close()


class TestOneRoundTrip:
    def test_reads_many(self, proxy: CuttingProxy, book: str) -> None:
        cache = opened(proxy, book)
        asks: tuple[Callable[[], object], ...] = (
            lambda: cache.put(NOW, vector(1), NOW),
            lambda: cache.get(NOW, NOW),
        )
        for ask in asks:
            ask()  # Redis learns the script
            before = proxy.requests
            ask()
            assert proxy.requests == before + 1
        before = proxy.requests
        assert first_of(cache.get_many([NOW + bar * BAR for bar in range(100)], NOW)[0]) == 1
        assert proxy.requests == before + 1
        cache.close()

    def test_reads_more_than_a_script_can_name_at_once(
        self, server: RedisServer, book: str
    ) -> None:
        cache = opened(server, book)
        cache.put(NOW, vector(1), NOW)
        found = cache.get_many([NOW + bar * BAR for bar in range(20_000)], NOW)
        assert [first_of(one) for one in found[:2]] == [1, None]
        assert len(found) == 20_000
        cache.close()

    def test_finds_the_latest_behind_many_that_are_not_fresh(
        self, server: RedisServer, book: str
    ) -> None:
        ahead, cache = opened(server, book), opened(server, book)
        cache.put(NOW, vector(1), NOW)
        for bar in range(1, 250):
            ahead.put(NOW + bar * BAR, vector(2), NOW + 60 * SECOND)
        assert first_of(cache.latest(NOW)) == 1
        ahead.close()
        cache.close()


class TestALostAnswer:
    @pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
    def test_is_had_by_asking_again(self, proxy: CuttingProxy, book: str, cut: Cut) -> None:
        cache = opened(proxy, book, max_entries=1)
        cache.put(NOW, vector(1), NOW)
        proxy.cut(cut)
        cache.put(NOW + BAR, vector(2), NOW)
        assert cache.stats().size == 1
        proxy.cut(cut)
        assert first_of(cache.get(NOW + BAR, NOW)) == 2
        proxy.cut(cut)
        assert first_of(cache.latest(NOW)) == 2
        cache.close()


class TestDamage:
    @pytest.mark.parametrize("value", [b"", b"\x00", b"latest", b"\xff" * 15, b"\x00" * 400, WORD])
    def test_is_a_miss(self, server: RedisServer, book: str, value: bytes) -> None:
        cache, client = opened(server, book), server.client()
        cache.put(NOW, vector(1), NOW)
        client.hset(keys_of(book)[0], WORD, value)
        assert cache.get(NOW, NOW) is None
        assert cache.latest(NOW) is None
        assert (cache.stats().hits, cache.stats().misses) == (0, 2)
        cache.put(NOW, vector(2), NOW)
        assert first_of(cache.get(NOW, NOW)) == 2
        client.close()
        cache.close()

    def test_of_any_bit_is_noticed(self) -> None:
        whole = packed(CachedVector(NOW, vector(1), EVIDENCE), int(WORD))
        assert unpacked(WORD, whole) is not None
        for bit in range(8 * len(whole)):
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            assert unpacked(WORD, bytes(damaged)) is None
        for length in range(len(whole)):
            assert unpacked(WORD, whole[:length]) is None

    @pytest.mark.parametrize(
        "written",
        [
            CachedVector(NOW, np.full(45, np.nan, dtype=np.float32)),
            CachedVector(NOW, vector(1), replace(EVIDENCE, close=np.inf)),
        ],
    )
    def test_that_was_written_whole_is_a_miss_too(self, written: CachedVector) -> None:
        assert unpacked(WORD, packed(written, int(WORD))) is None

    def test_by_an_entry_under_another_timestamp_is_a_miss(
        self, server: RedisServer, book: str
    ) -> None:
        cache, client = opened(server, book), server.client()
        cache.put(NOW, vector(1), NOW)
        cache.put(NOW + BAR, vector(2), NOW)
        entry, other = keys_of(book)[0], b"%d" % (int(WORD) + 300_000_000)
        client.hset(entry, other, client.hget(entry, WORD))
        assert [first_of(one) for one in cache.get_many([NOW, NOW + BAR], NOW)] == [1, None]
        client.close()
        cache.close()

    def test_by_a_name_that_is_no_timestamp_is_a_miss(self, server: RedisServer, book: str) -> None:
        cache, client = opened(server, book), server.client()
        cache.put(NOW, vector(1), NOW)
        entries, order, times = keys_of(book)
        client.hset(entries, "latest", client.hget(entries, WORD))
        client.zadd(order, {"latest": client.zscore(order, WORD)})
        client.zadd(times, {"latest": 1e300})
        assert cache.latest(NOW) is None
        assert first_of(cache.get(NOW, NOW)) == 1
        client.close()
        cache.close()

    @pytest.mark.parametrize("lost", range(3))
    def test_of_a_part_ends_with_the_next_that_is_put(
        self, server: RedisServer, book: str, lost: int
    ) -> None:
        cache, client = opened(server, book), server.client()
        for bar in range(3):
            cache.put(NOW + bar * BAR, vector(bar), NOW)
        client.delete(keys_of(book)[lost])
        assert first_of(cache.get(NOW, NOW)) in (None, 0)
        cache.put(NOW, vector(7), NOW)
        assert cache.stats().size == 1
        assert first_of(cache.latest(NOW)) == 7
        client.close()
        cache.close()

    def test_of_the_clock_of_the_server_ends_with_the_next_that_is_put(
        self, server: RedisServer, book: str
    ) -> None:
        cache, client = opened(server, book), server.client()
        cache.put(NOW, vector(1), NOW)
        client.zincrby(keys_of(book)[1], 3_600_000_000, WORD)  # as if it had been an hour ahead
        assert cache.get(NOW, NOW) is None
        cache.put(NOW + BAR, vector(2), NOW)
        assert [first_of(one) for one in cache.get_many([NOW, NOW + BAR], NOW)] == [None, 2]
        assert cache.stats().size == 1
        client.close()
        cache.close()

    @pytest.mark.parametrize("key", range(3))
    def test_by_a_key_of_another_type_is_named(
        self, server: RedisServer, book: str, key: int
    ) -> None:
        cache, client = opened(server, book), server.client()
        client.set(keys_of(book)[key], "mine")
        with pytest.raises(StoreCorrupt, match="another type"):
            cache.put(NOW, vector(1), NOW)
        assert client.get(keys_of(book)[key]) == b"mine"
        client.close()
        cache.close()


class TestALostServer:
    def test_is_named_and_used_again_with_what_it_kept(self, own_server: RedisServer) -> None:
        cache = opened(own_server, "desk")
        cache.put(NOW, vector(1), NOW)
        own_server.kill()
        asks: tuple[Callable[[], object], ...] = (
            lambda: cache.put(NOW, vector(2), NOW),
            lambda: cache.get(NOW, NOW),
            lambda: cache.latest(NOW),
            cache.stats,
        )
        for ask in asks:
            with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{own_server.port}"):
                ask()
        own_server.start()
        sleep(0.11)
        assert first_of(cache.get(NOW, NOW)) == 1
        assert (cache.stats().hits, cache.stats().misses) == (1, 0)
        cache.close()

    def test_takes_a_jump_of_the_clock_with_it_until_it_is_back(
        self, own_server: RedisServer
    ) -> None:
        cache = opened(own_server, "desk")
        cache.put(NOW, vector(1), NOW + 60 * SECOND)
        own_server.kill()
        with pytest.raises(StoreError):
            cache.get(NOW, NOW)
        own_server.start()
        sleep(0.11)
        assert cache.get(NOW, NOW + 59 * SECOND) is None
        cache.close()

    def test_that_takes_no_writes_is_read(self, own_server: RedisServer) -> None:
        cache, client = opened(own_server, "desk"), own_server.client()
        cache.put(NOW, vector(1), NOW)
        client.config_set("min-replicas-to-write", 1)
        with pytest.raises(StoreUnavailable, match="too few replicas"):
            cache.put(NOW, vector(2), NOW)
        assert first_of(cache.get(NOW, NOW)) == 1
        assert first_of(cache.latest(NOW)) == 1
        client.close()
        cache.close()


@given(
    st.datetimes(),
    hnp.arrays(
        np.float32,
        st.integers(0, 50),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    ),
    st.none() | evidences,
    st.integers(-(2**62), 2**62),
)
def test_an_entry_is_read_back_to_the_bit(
    timestamp: datetime, numbers: NDArray[np.float32], evidence: Evidence | None, put_at: int
) -> None:
    kept = cached_vector(timestamp.replace(tzinfo=NOW.tzinfo), numbers, evidence)
    word = b"%d" % ((kept.timestamp - datetime(1970, 1, 1, tzinfo=NOW.tzinfo)) // MICROSECOND)
    read = unpacked(word, packed(kept, put_at))
    assert read is not None
    assert read.timestamp == kept.timestamp
    assert read.vector.tobytes() == numbers.tobytes()
    assert read.evidence == evidence


MICROSECOND = timedelta(microseconds=1)


@given(st.binary(max_size=80))
def test_whatever_else_lies_there_is_a_miss(entry: bytes) -> None:
    assert unpacked(WORD, entry) is None
