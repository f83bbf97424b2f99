"""A value that processes share: what becomes of it while its store is away, and after."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import Conflict, InvalidRequest, StoreCorrupt, StoreUnavailable
from features.shared_value import Codec, SharedValue
from stores.documents import ABSENT, Document, Documents, MemoryDocuments
from stores.redis_documents import RedisDocuments
from stores.redis_link import RedisLink
from stores.sqlite_documents import SqliteDocuments
from tests.redis_server import Cut, CuttingProxy, RedisServer, new_book, shared_server

Prices: TypeAlias = dict[str, int]
Shared: TypeAlias = SharedValue[Prices]


def decode(body: bytes) -> Prices:
    try:
        return {str(name): int(price) for name, price in json.loads(body).items()}
    except (ValueError, AttributeError) as error:
        raise InvalidRequest("they are no prices") from error


CODEC: Codec[Prices] = Codec(
    empty={},
    encode=lambda value: json.dumps(value, sort_keys=True).encode(),
    decode=decode,
    join=lambda stored, own: stored | own,
    since=lambda before, after: dict(after.items() - before.items()),
)


class Store(MemoryDocuments):
    """A store that a test takes away, damages, or uses while somebody else is writing.

    Attributes:
        down: why it does not answer; None while it does.
        deaf: whether what is written is stored, and the answer lost.
        meanwhile: done, once, right before a write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down: str | None = None
        self.deaf = False
        self.meanwhile: Callable[[], object] | None = None

    def read(self, name: str) -> Document:
        if self.down is not None:
            raise StoreUnavailable(self.down)
        return super().read(name)

    def write(self, name: str, body: bytes, *, expected: int) -> bool:
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            act()
        written = super().write(name, body, expected=expected)
        if self.deaf:
            self.down = "it does not answer"
            raise StoreUnavailable(self.down)
        return written

    def put(self, body: bytes, *, version: int | None = None) -> None:
        """Store this without being asked for a version."""
        newest = super().read("prices").version + 1
        self._documents["prices"] = Document(newest if version is None else version, body)

    def lose(self) -> None:
        self._documents.clear()

    @property
    def stored(self) -> Prices:
        return decode(super().read("prices").body)


class Away:
    """The way of one process to a store, which can be cut while others still reach it."""

    name = "memory"

    def __init__(self, store: Store) -> None:
        self._store = store
        self.cut = False

    def read(self, name: str) -> Document:
        self._require_way()
        return self._store.read(name)

    def write(self, name: str, body: bytes, *, expected: int) -> bool:
        self._require_way()
        return self._store.write(name, body, expected=expected)

    def close(self) -> None:
        """Nothing is held open."""

    def _require_way(self) -> None:
        if self.cut:
            raise StoreUnavailable("no way there")


@pytest.fixture
def store() -> Store:
    return Store()


def shared(documents: Documents) -> Shared:
    return SharedValue(documents, "prices", CODEC)


def setting(**prices: int) -> Callable[[Prices], Prices]:
    return lambda known: {**known, **prices}


class TestWhileTheStoreAnswers:
    def test_every_process_sees_what_any_of_them_changed(self, store: Store) -> None:
        one, other = shared(store), shared(store)
        assert one.read() == {}
        assert one.update(setting(a=1)) == {"a": 1}
        assert other.update(setting(b=2)) == {"a": 1, "b": 2}
        assert one.read() == {"a": 1, "b": 2}
        assert one.degraded is None
        assert one.backend == "memory"

    def test_a_change_to_the_same_object_writes_nothing(self, store: Store) -> None:
        value = shared(store)
        value.update(setting(a=1))
        before = value.read()
        assert value.update(lambda known: known) is before
        assert store.read("prices").version == 1

    def test_a_change_that_raises_changes_nothing(self, store: Store) -> None:
        value = shared(store)
        value.update(setting(a=1))

        def refuse(known: Prices) -> Prices:
            raise Conflict("no")

        with pytest.raises(Conflict):
            value.update(refuse)
        assert value.read() == store.stored == {"a": 1}
        assert store.read("prices").version == 1

    def test_what_another_store_raises_within_a_change_is_not_taken_for_this_one(
        self, store: Store
    ) -> None:
        value, called = shared(store), []

        def record(known: Prices) -> Prices:
            called.append(known)
            raise StoreUnavailable("the ledger is locked")

        with pytest.raises(StoreUnavailable, match="ledger"):
            value.update(record)
        assert len(called) == 1
        assert value.degraded is None
        assert store.read("prices") == ABSENT

    def test_a_change_is_made_again_when_somebody_else_was_faster(self, store: Store) -> None:
        one, other = shared(store), shared(store)
        seen: list[Prices] = []

        def change(known: Prices) -> Prices:
            seen.append(known)
            return {**known, "mine": len(known)}

        store.meanwhile = lambda: other.update(setting(theirs=9))
        assert one.update(change) == {"theirs": 9, "mine": 1}
        assert seen == [{}, {"theirs": 9}]
        assert other.read() == {"theirs": 9, "mine": 1}

    def test_a_change_may_become_a_refusal_when_somebody_else_was_faster(
        self, store: Store
    ) -> None:
        one, other = shared(store), shared(store)

        def once(known: Prices) -> Prices:
            if "a" in known:
                raise Conflict("it is there")
            return {**known, "a": 1}

        store.meanwhile = lambda: other.update(setting(a=2))
        with pytest.raises(Conflict):
            one.update(once)
        assert one.read() == store.stored == {"a": 2}

    def test_who_is_always_slower_keeps_the_change_and_stores_it_later(self, store: Store) -> None:
        value = shared(store)

        def be_faster() -> None:
            store.put(b'{"theirs": 1}')
            store.meanwhile = be_faster

        store.meanwhile = be_faster
        assert value.update(setting(mine=1)) == {"theirs": 1, "mine": 1}
        assert "others kept writing" in str(value.degraded)
        store.meanwhile = None
        assert value.read() == store.stored == {"theirs": 1, "mine": 1}
        assert value.degraded is None

    def test_threads_lose_no_update(self, store: Store) -> None:
        ways = [shared(store), shared(store)]

        def add_one(known: Prices) -> Prices:
            return {"n": known.get("n", 0) + 1}

        def add(number: int) -> None:
            ways[number % 2].update(add_one)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, range(200)))
        assert ways[0].read() == ways[1].read() == {"n": 200}


class TestAnOutage:
    def test_keeps_changes_in_this_process_and_puts_them_back_by_itself(self, store: Store) -> None:
        value = shared(store)
        value.update(setting(a=1))
        store.down = "it is down"
        assert value.update(setting(b=2)) == {"a": 1, "b": 2}
        assert value.update(setting(c=3)) == value.read() == {"a": 1, "b": 2, "c": 3}
        assert value.degraded == "it is down"
        store.down = None
        assert value.read() == store.stored == {"a": 1, "b": 2, "c": 3}
        assert value.degraded is None

    def test_ends_with_the_next_change_as_well(self, store: Store) -> None:
        value = shared(store)
        store.down = "it is down"
        value.update(setting(a=1))
        store.down = None
        assert value.update(setting(b=2)) == store.stored == {"a": 1, "b": 2}
        assert value.degraded is None

    def test_from_the_start_joins_what_the_store_had_all_along(self, store: Store) -> None:
        store.put(b'{"old": 1}')
        store.down = "it is down"
        value = shared(store)
        assert value.read() == {}
        value.update(setting(new=2))
        store.down = None
        assert value.read() == store.stored == {"old": 1, "new": 2}

    def test_refuses_a_change_as_ever(self, store: Store) -> None:
        value = shared(store)
        store.down = "it is down"

        def refuse(known: Prices) -> Prices:
            raise Conflict("no")

        with pytest.raises(Conflict):
            value.update(refuse)
        store.down = None
        value.read()
        assert store.read("prices") == ABSENT

    def test_of_which_only_the_answer_was_lost_doubles_nothing(self, store: Store) -> None:
        value, called = shared(store), []

        def change(known: Prices) -> Prices:
            called.append(known)
            return {**known, "n": known.get("n", 0) + 1}

        store.deaf = True
        assert value.update(change) == {"n": 1}
        assert value.degraded == "it does not answer"
        store.deaf, store.down = False, None
        assert value.read() == store.stored == {"n": 1}
        assert len(called) == 1

    def test_of_two_processes_ends_with_the_changes_of_both(self, store: Store) -> None:
        one, other = shared(store), shared(store)
        one.update(setting(a=1))
        other.read()
        store.down = "it is down"
        one.update(setting(b=2))
        other.update(setting(c=3))
        store.down = None
        one.read()
        other.read()
        assert one.read() == other.read() == store.stored == {"a": 1, "b": 2, "c": 3}

    def test_of_one_process_leaves_alone_what_others_corrected_meanwhile(
        self, store: Store
    ) -> None:
        way = Away(store)
        cut_off, other = shared(way), shared(store)
        cut_off.update(setting(a=1, b=1))
        other.read()
        way.cut = True
        other.update(setting(a=10))
        cut_off.update(setting(b=20))
        way.cut = False
        assert cut_off.read() == other.read() == store.stored == {"a": 10, "b": 20}

    def test_without_any_change_writes_nothing_after_it(self, store: Store) -> None:
        value = shared(store)
        value.update(setting(a=1))
        store.down = "it is down"
        value.read()
        value.update(lambda known: known)
        store.down = None
        assert value.read() == {"a": 1}
        assert store.read("prices").version == 1

    def test_that_ends_while_another_process_writes_loses_nothing(self, store: Store) -> None:
        one, other = shared(store), shared(store)
        store.down = "it is down"
        one.update(setting(a=1))
        store.down = None
        store.meanwhile = lambda: other.update(setting(b=2))
        assert one.read() == other.read() == {"a": 1, "b": 2}


ACTS = st.lists(st.tuples(st.sampled_from(["change", "read", "cut", "mend"]), st.integers(0, 2)))


@settings(max_examples=200, deadline=None)
@given(acts=ACTS)
def test_whenever_whose_way_is_cut_no_change_is_lost_and_all_agree_in_the_end(
    acts: list[tuple[str, int]],
) -> None:
    store = Store()
    ways = [Away(store) for _ in range(3)]
    processes = [shared(way) for way in ways]
    newest: Prices = {}
    for number, (act, which) in enumerate(acts):
        if act == "change":
            # Each process has a name of its own that it corrects, and adds another one.
            changes = {f"of-{which}": number, f"n{number}": number}
            processes[which].update(setting(**changes))
            newest |= changes
        elif act == "read":
            processes[which].read()
        else:
            ways[which].cut = act == "cut"
    for way in ways:
        way.cut = False
    for process in processes:
        process.read()
    assert [process.read() for process in processes] == [newest] * 3
    assert [process.degraded for process in processes] == [None] * 3


class TestALoss:
    def test_of_everything_is_made_good(self, store: Store) -> None:
        value = shared(store)
        value.update(setting(a=1))
        value.update(setting(b=2))
        store.lose()
        assert value.read() == store.stored == {"a": 1, "b": 2}
        assert shared(store).read() == {"a": 1, "b": 2}

    def test_of_the_newest_writes_is_made_good(self, store: Store) -> None:
        value = shared(store)
        value.update(setting(a=1))
        older = store.read("prices")
        value.update(setting(a=2, b=2))
        store.put(older.body, version=older.version)
        assert value.read() == store.stored == {"a": 2, "b": 2}

    def test_is_noticed_also_when_others_have_written_as_often_since(self, store: Store) -> None:
        one, other = shared(store), shared(store)
        one.update(setting(a=1))
        store.lose()
        other.update(setting(b=2))
        assert store.read("prices").version == 1
        assert one.read() == other.read() == {"a": 1, "b": 2}

    def test_is_made_good_by_whoever_comes_first_and_completed_by_the_others(
        self, store: Store
    ) -> None:
        one, other = shared(store), shared(store)
        for number in range(5):
            one.update(setting(**{f"n{number}": number}))
        other.read()
        known = other.read()
        store.lose()
        fresh = shared(store)
        fresh.update(setting(fresh=1))
        assert one.read() == {**known, "fresh": 1}
        assert other.read() == fresh.read() == one.read()

    def test_that_is_met_by_a_writer_in_between_is_made_good_still(self, store: Store) -> None:
        one, other = shared(store), shared(store)
        one.update(setting(a=1))
        store.lose()

        def write_several() -> None:
            for number in range(3):
                other.update(setting(b=number))

        store.meanwhile = write_several
        assert one.read() == other.read() == {"a": 1, "b": 2}

    def test_during_an_outage_is_made_good_with_what_was_changed(self, store: Store) -> None:
        value = shared(store)
        value.update(setting(a=1))
        store.down = "it is down"
        value.update(setting(b=2))
        store.lose()
        store.down = None
        assert value.read() == store.stored == {"a": 1, "b": 2}


class TestADamagedDocument:
    @pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"a": "x"}', b"\xff\xfe"])
    def test_is_told_and_neither_overwritten_nor_fatal(self, store: Store, body: bytes) -> None:
        value = shared(store)
        value.update(setting(a=1))
        store.put(body)
        assert value.read() == {"a": 1}
        assert "is damaged, and left as it is" in str(value.degraded)
        assert value.update(setting(b=2)) == {"a": 1, "b": 2}
        assert value.read() == {"a": 1, "b": 2}
        assert store.read("prices") == Document(2, body)

    def test_is_told_by_a_process_that_begins_with_it(self, store: Store) -> None:
        store.put(b"{")
        value = shared(store)
        assert value.read() == {}
        assert value.update(setting(a=1)) == {"a": 1}
        assert "memory is damaged" in str(value.degraded)
        assert store.read("prices").body == b"{"

    def test_that_is_deleted_makes_room_for_what_this_process_has(self, store: Store) -> None:
        value = shared(store)
        value.update(setting(a=1))
        store.put(b"{")
        value.update(setting(b=2))
        store.lose()
        assert value.read() == store.stored == {"a": 1, "b": 2}
        assert value.degraded is None

    def test_that_is_repaired_is_joined_with_what_was_changed_here(self, store: Store) -> None:
        value = shared(store)
        value.update(setting(a=1))
        store.put(b"{")
        value.update(setting(b=2))
        store.put(b'{"a": 10, "z": 1}')
        assert value.read() == store.stored == {"a": 10, "b": 2, "z": 1}

    def test_of_the_store_itself_is_told_as_well(self, tmp_path: Path) -> None:
        path = tmp_path / "market.db"
        path.write_bytes(b"this is no database, " * 500)
        with closing(SqliteDocuments(path)) as documents:
            value = shared(documents)
            assert value.update(setting(a=1)) == {"a": 1}
            assert "damaged" in str(value.degraded)
            path.rename(tmp_path / "damaged.db")
            assert value.read() == {"a": 1}
            assert value.degraded is None
        with closing(SqliteDocuments(path)) as documents:
            assert shared(documents).read() == {"a": 1}
            with pytest.raises(StoreCorrupt):
                SqliteDocuments(tmp_path / "damaged.db").read("prices")


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as started:
        yield started


def in_redis(server: RedisServer | CuttingProxy, book: str = "desk") -> RedisDocuments:
    return RedisDocuments(book, RedisLink(**server.address))


def wait_for(value: Shared) -> None:
    begun = monotonic()
    while value.read() is None or value.degraded is not None:
        assert monotonic() - begun < 20
        sleep(0.01)


class TestARealServer:
    def test_that_is_killed_gets_the_changes_of_both_processes(
        self, own_server: RedisServer
    ) -> None:
        with closing(in_redis(own_server)) as first, closing(in_redis(own_server)) as second:
            one, other = shared(first), shared(second)
            one.update(setting(a=1))
            own_server.kill()
            begun = monotonic()
            assert one.update(setting(b=2)) == {"a": 1, "b": 2}
            assert other.update(setting(c=3)) == {"c": 3}
            assert monotonic() - begun < 2
            assert "cannot be reached" in str(one.degraded)
            own_server.start()
            wait_for(one)
            wait_for(other)
            assert one.read() == other.read() == {"a": 1, "b": 2, "c": 3}

    def test_that_comes_back_empty_gets_it_all_back(self, own_server: RedisServer) -> None:
        with closing(in_redis(own_server)) as documents:
            value = shared(documents)
            value.update(setting(a=1))
            own_server.client().flushall()
            assert value.read() == {"a": 1}
            assert documents.read("prices").version == 1

    def test_that_is_frozen_delays_one_call_only(self, own_server: RedisServer) -> None:
        with closing(in_redis(own_server)) as documents:
            value = shared(documents)
            value.update(setting(a=1))
            own_server.freeze()
            value.update(setting(b=2))
            begun = monotonic()
            for number in range(50):
                value.update(setting(b=number))
            assert monotonic() - begun < 1.5
            own_server.thaw()
            wait_for(value)
            assert decode(documents.read("prices").body) == {"a": 1, "b": 49}

    @pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER, Cut.SILENT])
    @pytest.mark.parametrize("times", [1, 2])
    def test_whose_answers_are_lost_has_each_change_once(self, cut: Cut, times: int) -> None:
        def add_one(known: Prices) -> Prices:
            return {"n": known.get("n", 0) + 1}

        with (
            CuttingProxy(shared_server()) as proxy,
            closing(in_redis(proxy, new_book())) as documents,
        ):
            value = shared(documents)
            value.update(add_one)
            proxy.cut(cut, times)
            value.update(add_one)
            wait_for(value)
            value.update(add_one)
            assert decode(documents.read("prices").body) == {"n": 3}
