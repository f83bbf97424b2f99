"""What only a shared server can show: hosts at once, lost answers, lost servers, lost records."""

import multiprocessing
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from redis.crc import key_slot

from errors import (
    KeyTaken,
    LedgerRegressed,
    StateMoved,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
)
from risk.events import Draft, EventKind
from risk.ledger import redis as redis_ledger
from risk.ledger.memory import MemoryLedger
from risk.ledger.protocol import Ledger
from risk.ledger.redis import RedisLedger, keys_of
from risk.ledger.redis_checks import ServerProblem, check_server
from risk.verification import examine
from tests.book import Book
from tests.redis_server import Cut, CuttingProxy, RedisServer, free_port, new_book, shared_server
from tests.risk.test_ledger_contract import AT, decision, names

# Bounds in these tests are for machines that are busy with something else; the design's is 250 ms.
SOON = 1.0

ACCEPTED = {"remembered_sequence": 0, "reason": "known to the desk"}


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


def opened(server: RedisServer | CuttingProxy, book: str = "desk", **more: Any) -> RedisLedger:
    return RedisLedger(book, **server.address, **more)


def seconds_until(condition: Callable[[], bool]) -> float:
    begun = monotonic()
    while not condition():
        assert monotonic() - begun < 20
        sleep(0.01)
    return monotonic() - begun


def answers(ledger: Ledger) -> bool:
    try:
        ledger.head()
    except StoreUnavailable:
        return False
    return True


def timed_refusal(ask: Callable[[], object]) -> tuple[float, str]:
    begun = monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        ask()
    return monotonic() - begun, str(caught.value)


class TestOneBook:
    def test_has_the_same_hashes_as_a_ledger_in_memory(self, server: RedisServer) -> None:
        shared, memory = opened(server, new_book()), MemoryLedger()
        for ledger in (shared, memory):
            book = Book(ledger)
            book.result(-0.015, "t1")
            book.result(-0.006, "t2")
        assert shared.head() == memory.head()
        assert shared.scan() == memory.scan()
        shared.close()

    def test_is_seen_by_all_who_open_it(self, server: RedisServer) -> None:
        name = new_book()
        one, other = opened(server, name), opened(server, name, create=False)
        Book(one, prefix="one").result(-0.001, "t1")
        assert other.head() == one.head()
        Book(other, prefix="other").result(-0.001, "t2")
        assert one.head() == other.head()
        assert one.head().state.loss_streak == 2
        one.append([decision("d1")])
        other.append([decision("d2")])
        assert names(one.recent([EventKind.DECISION], limit=9)) == ["d2", "d1"]
        one.close()
        other.close()

    def test_is_judged_on_the_state_that_others_have_made_of_it(self, server: RedisServer) -> None:
        name = new_book()
        one, other = opened(server, name), opened(server, name)
        accept(one, remembered=0)
        accept(one, remembered=0)
        draft = Draft(EventKind.RECONCILED, "a", AT, AT.date(), "tester", ACCEPTED)
        with pytest.raises(StateMoved):
            other.append([draft], expected=1)
        other.append([draft], expected=2)
        assert one.head() == other.head()
        one.close()
        other.close()

    def test_shares_nothing_with_another_book(self, server: RedisServer) -> None:
        one, other = opened(server, new_book()), opened(server, new_book())
        one.append([decision("a")])
        assert other.head().sequence == 0
        assert other.by_id("a") is None
        other.append([decision("a")])
        assert one.head().hash == other.head().hash
        one.close()
        other.close()

    def test_has_all_its_keys_in_one_slot_of_a_cluster(self) -> None:
        keys = keys_of("desk-1")
        assert len({key_slot(key.encode()) for key in keys}) == 1
        assert {key_slot(key.encode()) for key in keys_of("desk-2")}.isdisjoint(
            key_slot(key.encode()) for key in keys
        )

    @pytest.mark.parametrize("book", ["", "a{b", "a}b"])
    def test_has_a_name_that_can_be_a_hash_tag(self, book: str) -> None:
        with pytest.raises(ValueError, match="braces"):
            keys_of(book)

    def test_takes_one_round_trip_to_append_to(self, proxy: CuttingProxy) -> None:
        ledger = opened(proxy, new_book())
        ledger.append([decision("first")])
        before = proxy.requests
        for number in range(5):
            ledger.append([decision(f"d{number}")])
        assert proxy.requests - before == 5
        ledger.close()

    def test_gives_pages_that_are_larger_than_one_reply(self, server: RedisServer) -> None:
        ledger = opened(server, new_book())
        for number in range(5):
            ledger.append([decision(f"d{number}", text="x" * 600_000)])
        newest = ledger.recent([EventKind.DECISION], limit=4)
        assert names(newest) == ["d4", "d3", "d2", "d1"]
        assert [record.event_id for record in ledger.scan(limit=4)] == ["d0", "d1", "d2", "d3"]
        assert [record.event_id for record in ledger.scan(after=4)] == ["d4"]
        ledger.close()

    def test_knows_its_scripts_again_after_the_server_forgot_them(
        self, own_server: RedisServer
    ) -> None:
        ledger = opened(own_server)
        ledger.append([decision("a")])
        own_server.client().script_flush()
        ledger.append([decision("b")])
        assert ledger.head().sequence == 2
        ledger.close()


def _report(address: dict[str, Any], book: str, worker: int, trades: int) -> None:
    ledger = RedisLedger(book, **address, timeout_ms=5000, create=False)
    desk = Book(ledger, prefix=f"worker-{worker}")
    for number in range(trades):
        # Every trade is reported by every process: half of all reports are duplicates.
        desk.result(-0.00001, f"t{number}")
        desk.result(0.00002, f"only-{worker}-{number}")
    ledger.close()


class TestManyAtOnce:
    def test_processes_that_report_lose_and_double_nothing(self, server: RedisServer) -> None:
        name = new_book()
        ledger = opened(server, name)
        context = multiprocessing.get_context("spawn")
        workers = [
            context.Process(target=_report, args=(server.address, name, n, 25)) for n in range(3)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        today = ledger.head().state.today
        assert today.results == 25 + 3 * 25
        assert today.realised == -25 * 10_000 + 75 * 20_000
        assert examine(ledger).is_intact
        ledger.close()

    def test_threads_of_one_service_and_of_another_append_all(self, server: RedisServer) -> None:
        name = new_book()
        ledgers = [opened(server, name), opened(server, name)]

        def append(number: int) -> None:
            ledgers[number % 2].append([decision(f"d{number}")])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(append, range(200)))
        found = names(ledgers[0].recent([EventKind.DECISION], limit=300))
        assert sorted(found) == sorted(f"d{number}" for number in range(200))
        assert examine(ledgers[1]).is_intact
        for ledger in ledgers:
            ledger.close()

    def test_who_is_always_slower_is_told_so_and_has_stored_nothing(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = new_book()
        slow, fast = opened(server, name), opened(server, name)
        fast.append([decision("fast")])
        monkeypatch.setattr(redis_ledger, "_CONTENDED_SECONDS", -1.0)
        with pytest.raises(StoreUnavailable, match="nothing was stored"):
            slow.append([decision("slow")])
        assert fast.by_id("slow") is None
        slow.append([decision("slow")])
        assert slow.head().sequence == 2
        slow.close()
        fast.close()

    def test_who_waits_too_long_for_a_turn_is_told_so(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger = opened(server, new_book())
        monkeypatch.setattr(redis_ledger, "_QUEUED_SECONDS", 0.01)
        with ledger._turn, pytest.raises(StoreUnavailable, match="nothing was stored"):
            ledger.append([decision("a")])
        assert "too many" in str(ledger.trouble)
        ledger.append([decision("a")])
        assert ledger.trouble is None
        ledger.close()


class TestALostServer:
    def test_is_named_at_once_and_used_again_with_all_that_was_acknowledged(
        self, own_server: RedisServer
    ) -> None:
        ledger = opened(own_server)
        Book(ledger).result(-0.01, "t1")
        before = ledger.head()
        own_server.kill()
        for ask in (ledger.head, lambda: ledger.append([decision("d")])):
            waited, line = timed_refusal(ask)
            assert waited < SOON
            assert f"redis at 127.0.0.1:{own_server.port}" in line
        assert "cannot be reached" in str(ledger.trouble)
        own_server.start(wait=False)
        assert seconds_until(lambda: answers(ledger)) < 2
        assert ledger.head() == before
        assert ledger.by_key("trade:t1") is not None
        assert ledger.trouble is None
        ledger.append([decision("d")])
        ledger.close()

    def test_keeps_its_connections_and_its_ledger_through_a_restart(
        self, own_server: RedisServer
    ) -> None:
        ledger = opened(own_server)
        ledger.append([decision("a")])
        own_server.stop()
        own_server.start()
        ledger.append([decision("b")])
        assert ledger.head().sequence == 2
        ledger.close()

    def test_that_is_frozen_makes_nobody_wait_in_a_queue(self, own_server: RedisServer) -> None:
        ledger = opened(own_server)
        ledger.append([decision("before")])
        own_server.freeze()

        def append(number: int) -> float:
            return timed_refusal(lambda: ledger.append([decision(f"d{number}")]))[0]

        with ThreadPoolExecutor(20) as pool:
            waited = list(pool.map(append, range(20)))
        assert max(waited) < SOON
        assert "does not answer within 150 ms" in str(ledger.trouble)
        own_server.thaw()
        assert seconds_until(lambda: answers(ledger)) < 2
        assert examine(ledger).is_intact
        ledger.close()

    def test_is_left_alone_but_for_a_look_now_and_then(self, own_server: RedisServer) -> None:
        ledger = opened(own_server)
        own_server.freeze()
        timed_refusal(ledger.head)
        waited = [timed_refusal(ledger.head)[0] for _ in range(200)]
        assert sorted(waited)[100] < 0.01
        own_server.thaw()
        ledger.close()

    def test_is_reached_at_the_first_use_of_a_lazy_ledger(self, tmp_path: Path) -> None:
        server = RedisServer(tmp_path / "redis")
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            opened(server)
        ledger = opened(server, lazy=True)
        assert ledger.trouble is None
        timed_refusal(ledger.head)
        assert "cannot be reached" in str(ledger.trouble)
        with server:
            assert seconds_until(lambda: answers(ledger)) < 2
            assert ledger.head().sequence == 0
        ledger.close()

    def test_whose_name_nobody_can_look_up_is_not_waited_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = threading.Event()

        def unanswered(*_: object, **__: object) -> list[object]:
            found.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        monkeypatch.setattr(socket, "getaddrinfo", unanswered)
        ledger = RedisLedger("desk", host="redis.invalid", lazy=True)
        waited, line = timed_refusal(ledger.head)
        assert waited < SOON
        assert "redis at redis.invalid:6379 does not answer" in line
        found.set()
        assert seconds_until(lambda: "Temporary failure" in timed_refusal(ledger.head)[1]) < 2
        ledger.close()

    def test_is_found_by_name(self, server: RedisServer) -> None:
        book = new_book()
        ledger, other = RedisLedger(book, host="localhost", port=server.port), opened(server, book)
        ledger.append([decision("a")])
        assert other.head() == ledger.head()
        ledger.close()
        other.close()

    def test_is_not_reached_through_a_closed_ledger(self, server: RedisServer) -> None:
        ledger = opened(server, new_book())
        ledger.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            ledger.head()


class TestALostAnswer:
    @pytest.mark.parametrize("cut", [Cut.AFTER, Cut.SILENT])
    def test_of_an_append_that_was_stored_is_read_back(self, proxy: CuttingProxy, cut: Cut) -> None:
        ledger = opened(proxy, new_book())
        ledger.append([decision("first")])
        proxy.cut(cut)
        events = ledger.append([decision("a"), decision("b")])
        assert names(events) == ["a", "b"]
        assert ledger.by_id("a") == events[0]
        assert ledger.head().sequence == 3
        assert ledger.trouble is None
        ledger.append([decision("c")])
        assert examine(ledger).is_intact
        ledger.close()

    def test_is_read_back_although_others_have_appended_since(
        self, server: RedisServer, proxy: CuttingProxy
    ) -> None:
        name = new_book()
        ledger, other = opened(proxy, name), opened(server, name)
        proxy.cut(Cut.SILENT)
        with ThreadPoolExecutor(1) as pool:
            appended = pool.submit(ledger.append, [decision("a")])
            seconds_until(lambda: other.by_id("a") is not None)
            other.append([decision("b")])
            assert names(appended.result()) == ["a"]
        assert names(ledger.append([decision("c")])) == ["c"]
        assert ledger.head().sequence == 3
        ledger.close()
        other.close()

    def test_to_an_append_that_never_arrived_is_had_by_sending_it_again(
        self, proxy: CuttingProxy
    ) -> None:
        ledger = opened(proxy, new_book())
        proxy.cut(Cut.BEFORE)
        assert names(ledger.append([decision("a")])) == ["a"]
        assert ledger.head().sequence == 1
        ledger.close()

    @pytest.mark.parametrize(("cut", "stored"), [(Cut.BEFORE, 0), (Cut.AFTER, 1), (Cut.SILENT, 1)])
    def test_that_is_lost_twice_is_said_to_be_unknown(
        self, server: RedisServer, proxy: CuttingProxy, cut: Cut, stored: int
    ) -> None:
        name = new_book()
        ledger, other = opened(proxy, name), opened(server, name)
        proxy.cut(cut, times=2)
        waited, line = timed_refusal(lambda: ledger.append([with_key("a", "trade:1")]))
        assert waited < SOON
        assert "whether this was stored is not known, the same report may be sent again" in line
        assert other.head().sequence == stored
        assert seconds_until(lambda: answers(ledger)) < 2
        if stored:
            with pytest.raises(KeyTaken, match="trade:1"):
                ledger.append([with_key("again", "trade:1")])
        else:
            ledger.append([with_key("again", "trade:1")])
        assert ledger.head().sequence == 1
        ledger.close()
        other.close()

    def test_is_unknown_also_when_the_second_attempt_is_refused(
        self, own_server: RedisServer
    ) -> None:
        with CuttingProxy(own_server) as proxy:
            ledger = opened(proxy)
            rewrite(own_server, "maxmemory", "1")
            proxy.cut(Cut.BEFORE)
            with pytest.raises(StoreUnavailable, match=r"out of memory .*is not known"):
                ledger.append([decision("a")])
            ledger.close()

    def test_of_a_read_is_asked_for_again(self, proxy: CuttingProxy) -> None:
        ledger = opened(proxy, new_book())
        ledger.append([decision("a")])
        for cut in (Cut.BEFORE, Cut.AFTER, Cut.SILENT):
            proxy.cut(cut)
            assert ledger.by_id("a") is not None
        ledger.close()


def with_key(name: str, key: str) -> Draft:
    return Draft(EventKind.DECISION, name, AT, AT.date(), "tester", {}, key)


class TestLostRecords:
    def test_a_book_that_is_not_there_is_not_made_by_a_service(self, server: RedisServer) -> None:
        name = new_book()
        with pytest.raises(StoreUnavailable, match=f"no ledger for book '{name}' in redis at"):
            opened(server, name, create=False)
        assert server.client().keys(f"*{name}*") == []

    def test_a_server_that_was_emptied_has_no_empty_ledger(self, own_server: RedisServer) -> None:
        ledger = opened(own_server)
        ledger.append([decision("a"), decision("b")])
        own_server.client().flushall()
        for ask in (
            ledger.head,
            lambda: ledger.append([decision("c")]),
            lambda: ledger.by_key("trade:1"),
            lambda: ledger.recent([EventKind.DECISION], limit=1),
        ):
            with pytest.raises(LedgerRegressed, match=r"sequence 0 .*sequence 2 "):
                ask()
        assert "sequence 2" in str(ledger.trouble)
        assert own_server.client().keys("*") == []
        ledger.close()

    def test_an_empty_ledger_that_was_removed_is_not_made_again(
        self, own_server: RedisServer
    ) -> None:
        ledger = opened(own_server)
        own_server.client().flushall()
        with pytest.raises(StoreUnavailable, match="no ledger"):
            ledger.append([decision("a")])
        ledger.close()

    def test_an_older_copy_is_noticed_also_when_others_went_on_with_it(
        self, own_server: RedisServer
    ) -> None:
        ledger = opened(own_server)
        ledger.append([decision("a")])
        backup = Backup(own_server, "desk")
        ledger.append([decision("b")])
        backup.restore()
        with pytest.raises(LedgerRegressed, match=r"sequence 1 .*sequence 2 "):
            ledger.head()
        other = opened(own_server)
        for name in ("c", "d"):
            other.append([decision(name)])
            with pytest.raises(LedgerRegressed, match=r"sequence \d .*sequence 2 "):
                ledger.append([decision("late")])
        assert other.head().sequence == 3
        ledger.close()
        other.close()

    def test_a_loss_that_a_person_accepted_is_accepted_and_an_older_word_is_not(
        self, own_server: RedisServer
    ) -> None:
        ledger = opened(own_server)
        accept(ledger, remembered=99)  # about another loss, before what is lost now
        backup = Backup(own_server, "desk")
        ledger.append([decision("lost")])
        backup.restore()
        for _ in range(2):
            with pytest.raises(LedgerRegressed):
                ledger.head()
        desk = opened(own_server)
        accept(desk, remembered=2)
        with pytest.raises(LedgerRegressed):
            ledger.head()
        assert ledger.head() == desk.head()
        ledger.append([decision("a")])
        ledger.close()
        desk.close()


class Backup:
    """The keys of a book as they were, to be put back."""

    def __init__(self, server: RedisServer, book: str) -> None:
        self._client = server.client()
        self._keys = keys_of(book)
        self._kept = {key: self._client.dump(key) for key in self._keys}

    def restore(self) -> None:
        self._client.delete(*self._keys)
        for key, value in self._kept.items():
            if value is not None:
                self._client.restore(key, 0, value)


def accept(ledger: Ledger, *, remembered: int) -> None:
    payload = {**ACCEPTED, "remembered_sequence": remembered}
    head = ledger.head()
    name = f"accepted-{head.sequence}"
    draft = Draft(EventKind.RECONCILED, name, AT, AT.date(), "tester", payload)
    ledger.append([draft], expected=head.state.sequence)


def lose_head(client: Any, keys: list[str]) -> None:
    client.delete(keys[0])


def garble_state(client: Any, keys: list[str]) -> None:
    client.hset(keys[0], "state", "{}")


def age_state(client: Any, keys: list[str]) -> None:
    client.hset(keys[0], "state_sequence", 1)


def lose_newest(client: Any, keys: list[str]) -> None:
    client.xdel(keys[1], "2-0")


def change_version(client: Any, keys: list[str]) -> None:
    client.hset(keys[0], "version", "7")


def halve_head(client: Any, keys: list[str]) -> None:
    client.hdel(keys[0], "keys")


def change_type(client: Any, keys: list[str]) -> None:
    client.set(keys[0], "a cached value")


class TestDamage:
    @pytest.mark.parametrize(
        ("damage", "line"),
        [
            (lose_head, "records but no head"),
            (garble_state, "state cannot be read"),
            (age_state, "state cannot be read"),
            (lose_newest, "its newest record is 1 .* but the head says 2"),
            (change_version, "is of version 7, not 1"),
            (halve_head, "head is incomplete"),
            (change_type, "another type"),
        ],
    )
    def test_is_named_at_the_start_and_not_taken_for_a_fresh_ledger(
        self, server: RedisServer, damage: Callable[[Any, list[str]], None], line: str
    ) -> None:
        name = new_book()
        ledger = opened(server, name)
        ledger.append([with_key("a", "k")])
        accept(ledger, remembered=0)
        damage(server.client(), keys_of(name))
        for create in (True, False):
            with pytest.raises(StoreCorrupt, match=line) as caught:
                opened(server, name, create=create)
            assert "\n" not in str(caught.value)
        ledger.close()

    @pytest.mark.parametrize("lost", [1, 2, 3, 4])
    def test_of_an_index_stops_appends(self, server: RedisServer, lost: int) -> None:
        name = new_book()
        ledger = opened(server, name)
        ledger.append([with_key("a", "k")])
        server.client().delete(keys_of(name)[lost])
        with pytest.raises(StoreCorrupt, match="1, 1, 1 and 1 are due"):
            ledger.append([with_key("again", "k")])
        assert "are due" in str(ledger.trouble)
        ledger.close()

    @pytest.mark.parametrize("other", ["b", None])
    def test_of_a_look_up_is_named(self, server: RedisServer, other: str | None) -> None:
        name = new_book()
        ledger = opened(server, name)
        ledger.append([with_key("a", "k"), decision("b")])
        server.client().hset(keys_of(name)[3], "k", 2 if other else 9)
        with pytest.raises(StoreCorrupt, match="key k leads to record"):
            ledger.by_key("k")
        ledger.close()

    def test_of_a_kind_that_nobody_knows_is_named(self, server: RedisServer) -> None:
        name = new_book()
        ledger = opened(server, name)
        client, keys = server.client(), keys_of(name)
        client.xadd(keys[1], {"kind": "unheard_of", "id": "a", "body": "{}"}, id="1-0")
        client.hset(keys[2], "a", 1)
        with pytest.raises(StoreCorrupt, match="unknown kind 'unheard_of'"):
            ledger.by_id("a")
        ledger.close()

    def test_of_a_record_is_shown_by_a_scan(self, server: RedisServer) -> None:
        name = new_book()
        ledger = opened(server, name)
        ledger.append([with_key("a", "k"), decision("b"), decision("c"), decision("d")])
        client, keys = server.client(), keys_of(name)
        client.hdel(keys[2], "a")
        client.hset(keys[3], "k", 3)
        client.zrem(keys[4], f"decision:{2:016d}")
        client.xdel(keys[1], "3-0")
        lost, unsorted, last = ledger.scan()
        assert (lost.sequence, lost.event_id, lost.key) == (1, "", None)
        assert (unsorted.sequence, unsorted.kind, unsorted.event_id) == (2, "", "b")
        assert (last.sequence, last.kind, last.event_id) == (4, "decision", "d")
        flaw = examine(ledger).flaw
        assert flaw is not None
        assert flaw.sequence == 1
        ledger.close()

    @pytest.mark.parametrize("damage", [lose_head, garble_state, lose_newest])
    def test_is_examined_although_the_head_cannot_be_read(
        self, server: RedisServer, damage: Callable[[Any, list[str]], None]
    ) -> None:
        name = new_book()
        ledger = opened(server, name)
        ledger.append([decision("a")])
        accept(ledger, remembered=0)
        ledger.close()
        damage(server.client(), keys_of(name))
        damaged = opened(server, name, lazy=True)
        examination = examine(damaged)
        assert not examination.is_intact
        assert examination.events == (1 if damage is lose_newest else 2)
        damaged.close()


def rewrite(server: RedisServer, *settings: str) -> None:
    server.client().execute_command("CONFIG", "SET", *settings)


class TestRefusals:
    def test_of_a_wrong_password_tells_no_password(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", requirepass="correct horse") as server:
            opened(server).close()
            for password, line in (
                ("battery staple", "does not accept the password"),
                (None, "wants a password"),
            ):
                with pytest.raises(StoreUnavailable, match=line) as caught:
                    RedisLedger("desk", host=server.host, port=server.port, password=password)
                assert "staple" not in str(caught.value)
                assert "\n" not in str(caught.value)

    def test_of_a_server_that_repeats_what_it_is_sent_tells_no_password(
        self, tmp_path: Path
    ) -> None:
        with RedisServer(tmp_path / "redis", rename_command=("AUTH", "nobody-knows")) as server:
            with pytest.raises(StoreUnavailable, match=r"refused: .*\*\*\*") as caught:
                RedisLedger("desk", host=server.host, port=server.port, password="staple")
            assert "staple" not in str(caught.value)

    def test_while_memory_is_full(self, own_server: RedisServer) -> None:
        ledger = opened(own_server)
        rewrite(own_server, "maxmemory", "1")
        with pytest.raises(StoreUnavailable, match="out of memory"):
            ledger.append([decision("a")])
        assert "out of memory" in str(ledger.trouble)
        assert ledger.head().sequence == 0
        rewrite(own_server, "maxmemory", "0")
        ledger.append([decision("a")])
        assert ledger.trouble is None
        ledger.close()

    def test_while_the_server_is_a_replica(self, own_server: RedisServer) -> None:
        ledger = opened(own_server)
        own_server.client().replicaof("127.0.0.1", free_port())
        with pytest.raises(StoreUnavailable, match="read-only replica"):
            ledger.append([decision("a")])
        ledger.close()

    def test_while_the_server_cannot_save(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", save=("3600", "1")) as server:
            ledger = opened(server)
            ledger.append([decision("a")])
            (server.folder / "dump.rdb").mkdir()
            client = server.client()
            client.bgsave()
            seconds_until(lambda: client.info()["rdb_last_bgsave_status"] == "err")
            with pytest.raises(StoreUnavailable, match="cannot save its data"):
                ledger.append([decision("b")])
            assert ledger.head().sequence == 1
            ledger.close()

    def test_while_a_script_does_not_end(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", lua_time_limit="1") as server:
            ledger = opened(server)
            with ThreadPoolExecutor(1) as pool:
                endless = pool.submit(_run_endlessly, server)
                line = ""

                def is_busy() -> bool:
                    nonlocal line
                    try:
                        ledger.append([decision("a")])
                    except StoreError as error:
                        line = str(error)
                    return "busy with a script" in line

                seconds_until(is_busy)
                server.client().script_kill()
                endless.result()
            ledger.close()

    def test_while_the_server_loads_its_data(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", key_load_delay="10") as server:
            opened(server).close()
            pipeline = server.client().pipeline(transaction=False)
            for number in range(10_000):
                pipeline.set(f"key-{number}", "x")
            pipeline.execute()
            server.kill()
            server.start(wait=False)
            ledger = opened(server, lazy=True)
            seconds_until(lambda: "loading" in refusal_of(ledger))
            assert seconds_until(lambda: answers(ledger)) < 10
            ledger.close()

    def test_of_commands_that_a_user_may_not_send(self, own_server: RedisServer) -> None:
        ledger = opened(own_server)
        own_server.client().acl_setuser("default", commands=["-eval", "-evalsha"], enabled=True)
        with pytest.raises(StoreUnavailable, match="does not permit"):
            ledger.head()
        ledger.close()

    def test_of_a_server_that_is_no_redis(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=_answer_as_the_web_does, args=(listener,), daemon=True)
            thread.start()
            with pytest.raises(StoreUnavailable, match="does not speak the protocol"):
                RedisLedger("desk", host="127.0.0.1", port=listener.getsockname()[1])
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _answer_as_the_web_does(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            with client:
                client.recv(1 << 16)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def refusal_of(ledger: Ledger) -> str:
    try:
        ledger.head()
    except StoreUnavailable as error:
        return str(error)
    return ""


def _run_endlessly(server: RedisServer) -> None:
    with pytest.raises(Exception, match="killed"):
        server.client().eval("while true do end", 0)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, RedisServer]]:
    folder = tmp_path_factory.mktemp("cluster")
    with (
        RedisServer(folder / "one", cluster_enabled="yes") as one,
        RedisServer(folder / "other", cluster_enabled="yes") as other,
    ):
        with pytest.raises(StoreUnavailable, match="cluster that is down"):
            opened(one)
        join(one, other)
        yield one, other


class TestACluster:
    def test_keeps_each_book_whole_on_the_node_that_its_slot_is_on(
        self, nodes: tuple[RedisServer, RedisServer]
    ) -> None:
        one, _ = nodes
        for book in (book_on(0), book_on(1)):
            ledger = opened(one, book)
            ledger.append([with_key("a", "k")])
            assert ledger.head().sequence == 1
            ledger.close()
        for number, node in enumerate(nodes):
            held = {key.decode() for key in node.client().keys("*")}
            assert held == set(keys_of(book_on(number)))

    def test_is_asked_at_the_configured_node_again_when_another_is_lost(
        self, nodes: tuple[RedisServer, RedisServer]
    ) -> None:
        one, other = nodes
        ledger = opened(one, book_on(1))
        before = ledger.head()
        other.freeze()
        timed_refusal(ledger.head)
        other.thaw()
        assert seconds_until(lambda: answers(ledger)) < 2
        assert ledger.head() == before
        ledger.close()

    def test_has_no_other_database(self, nodes: tuple[RedisServer, RedisServer]) -> None:
        with pytest.raises(StoreUnavailable, match="refused: ERR SELECT"):
            opened(nodes[0], db=1)


SLOTS = 16_384


def join(one: RedisServer, other: RedisServer) -> None:
    """Make a cluster of two nodes, each with half of the slots."""
    half = SLOTS // 2
    one.client().execute_command("CLUSTER", "ADDSLOTS", *range(half))
    other.client().execute_command("CLUSTER", "ADDSLOTS", *range(half, SLOTS))
    one.client().execute_command("CLUSTER", "MEET", other.host, other.port)
    for node in (one, other):
        seconds_until(partial(_is_whole, node.client()))


def _is_whole(client: Any) -> bool:
    return b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO")


def book_on(node: int) -> str:
    """A book in the first or the second half of the slots."""
    return next(
        book
        for book in (f"desk-{number}" for number in range(100))
        if key_slot(keys_of(book)[0].encode()) // (SLOTS // 2) == node
    )


class TestCheckingAServer:
    def problems(self, folder: Path, **settings: str | tuple[str, ...]) -> list[ServerProblem]:
        with RedisServer(folder / "redis", **settings) as server:
            return check_server(**server.address)

    def test_finds_nothing_wrong_with_a_safe_one(self, server: RedisServer) -> None:
        assert check_server(**server.address) == []

    def test_raises_when_there_is_none(self) -> None:
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            check_server(host="127.0.0.1", port=free_port())

    @pytest.mark.parametrize(
        ("settings", "line", "severe"),
        [
            ({"maxmemory_policy": "allkeys-lru"}, "may evict the ledger", True),
            ({"maxmemory_policy": "allkeys-random"}, "may evict the ledger", True),
            ({"appendonly": "no"}, "keeps nothing on disk", True),
            ({"appendonly": "no", "save": ("60", "1")}, "keeps snapshots only", False),
            ({"appendfsync": "everysec"}, "writes to the disk later", False),
            ({"replicaof": ("127.0.0.1", "1")}, "is a replica", True),
            ({"rename_command": ("CONFIG", "hidden")}, "does not tell when it writes", False),
        ],
    )
    def test_names_what_is_wrong(
        self, tmp_path: Path, settings: dict[str, Any], line: str, *, severe: bool
    ) -> None:
        (problem,) = self.problems(tmp_path, **settings)
        assert line in problem.message
        assert problem.message.startswith("redis at 127.0.0.1:")
        assert "\n" not in problem.message
        assert problem.severe is severe

    def test_does_not_mind_what_is_evicted_with_an_expiry_only(self, tmp_path: Path) -> None:
        assert self.problems(tmp_path, maxmemory_policy="volatile-lru") == []

    def test_names_all_that_a_server_hides(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis") as server:
            server.client().acl_setuser("default", commands=["-info", "-config"], enabled=True)
            problems = check_server(**server.address)
        assert [problem.severe for problem in problems] == [False, False, False]
        assert all("does not tell" in problem.message for problem in problems)

    def test_says_that_snapshots_may_be_off_when_it_cannot_know(self, tmp_path: Path) -> None:
        (problem,) = self.problems(tmp_path, appendonly="no", rename_command=("CONFIG", "hidden"))
        assert "does not tell whether it keeps anything on disk" in problem.message
