"""What every store of drift records promises; then what only Redis can show."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from errors import InvalidRequest, StoreCorrupt, StoreUnavailable
from monitoring.drift.records import DocumentDriftRecords, DriftRecords
from monitoring.drift.redis_records import RedisDriftRecords
from stores.documents import MemoryDocuments
from stores.redis_link import RedisLink
from stores.sqlite_documents import SqliteDocuments
from tests.redis_server import Cut, CuttingProxy, RedisServer, free_port, new_book, shared_server
from tests.risk.test_redis_ledger import join

MOST = 20
Make = Callable[[], DriftRecords]


def entry(tick: str, **more: Any) -> dict[str, Any]:
    return {"state": "ok", "tick": tick, **more}


@pytest.fixture(params=["memory", "sqlite", "redis"])
def open_another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    opened: list[DriftRecords] = []
    memory, book = MemoryDocuments(), new_book()

    def make() -> DriftRecords:
        records: DriftRecords = DocumentDriftRecords(memory, most_entries=MOST)
        if request.param == "sqlite":
            file = SqliteDocuments(tmp_path / "drift.db", busy_timeout_ms=5000)
            records = DocumentDriftRecords(file, most_entries=MOST)
        if request.param == "redis":
            records = RedisDriftRecords(
                book,
                lambda: RedisLink(**shared_server().address, timeout_ms=5000),
                most_entries=MOST,
            )
        opened.append(records)
        return records

    yield make
    for records in opened:
        records.close()
        records.close()


@pytest.fixture
def records(open_another: Make) -> DriftRecords:
    return open_another()


class TestEveryStore:
    def test_holds_nothing_before_the_first_check(self, records: DriftRecords) -> None:
        assert records.latest() is None
        assert records.history() == []
        assert records.report() is None

    def test_shows_what_was_published_to_all(self, open_another: Make) -> None:
        told = entry("9:00", reasons=["volatility, é <>"], suspects=[{"name": "rsi", "score": 3.5}])
        open_another().publish(told, b"<html>\xc3\xa9</html>")
        other = open_another()
        assert other.latest() == told
        assert other.history() == [told]
        assert other.report() == b"<html>\xc3\xa9</html>"

    def test_lists_checks_newest_first_and_keeps_so_many(self, records: DriftRecords) -> None:
        for number in range(MOST + 5):
            records.publish(entry(f"{number:02}"), None)
        ticks = [each["tick"] for each in records.history(100)]
        assert ticks == [f"{number:02}" for number in range(MOST + 4, 4, -1)]
        assert [each["tick"] for each in records.history(2)] == ticks[:2]
        assert records.history(0) == []

    def test_a_check_that_is_told_again_stays_one_entry_in_its_place(
        self, records: DriftRecords
    ) -> None:
        records.publish(entry("9:00"), None)
        records.publish(entry("9:00"), None)
        records.publish(entry("10:00"), None)
        records.publish(entry("9:00", report={"method": "scipy"}), b"<html>")
        assert records.history() == [entry("10:00"), entry("9:00", report={"method": "scipy"})]

    def test_tells_ticks_apart_that_begin_alike(self, records: DriftRecords) -> None:
        for tick in ("1", "11", '1"', "1,2"):
            records.publish(entry(tick), None)
        assert [each["tick"] for each in records.history()] == ["1,2", '1"', "11", "1"]

    def test_an_entry_without_a_report_leaves_the_one_before(self, records: DriftRecords) -> None:
        records.publish(entry("9:00"), b"first")
        records.publish(entry("10:00"), None)
        assert records.report() == b"first"

    def test_tells_numbers_that_are_not_finite_as_null(self, records: DriftRecords) -> None:
        records.publish(entry("9:00", columns={"a": float("nan"), "b": [float("inf"), 1.0]}), None)
        assert records.latest() == entry("9:00", columns={"a": None, "b": [None, 1.0]})

    @pytest.mark.parametrize(
        "wrong", [{}, {"tick": ""}, {"tick": 3}, {"tick": "a", "more": {1, 2}}]
    )
    def test_refuses_what_is_no_entry(self, records: DriftRecords, wrong: dict[str, Any]) -> None:
        with pytest.raises(InvalidRequest):
            records.publish(wrong, None)
        assert records.latest() is None

    def test_takes_a_report_of_megabytes(self, records: DriftRecords) -> None:
        report = b"<html>" + bytes(range(256)) * 32_000
        records.publish(entry("9:00"), report)
        assert records.report() == report

    def test_loses_no_entry_of_several_who_publish_at_once(self, open_another: Make) -> None:
        ways = [open_another() for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            jobs = [
                pool.submit(ways[number % 4].publish, entry(f"{number}"), None)
                for number in range(MOST)
            ]
            for job in jobs:
                job.result()
        assert {each["tick"] for each in ways[0].history()} == {f"{n}" for n in range(MOST)}


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as started:
        yield started


def in_redis(server: RedisServer | CuttingProxy, book: str) -> RedisDriftRecords:
    return RedisDriftRecords(book, lambda: RedisLink(**server.address, timeout_ms=2000))


class TestRedis:
    def test_the_default_book_s_keys_bear_no_name_and_others_theirs(
        self, own_server: RedisServer
    ) -> None:
        for book in ("default", "other"):
            records = in_redis(own_server, book)
            records.publish(entry("9:00", book=book), b"<html>")
            records.close()
        with own_server.client() as client:
            names = ("drift:latest", "drift:log", "drift:report")
            assert set(client.keys("*")) == {
                f"{before}{name}".encode() for name in names for before in ("", "other:")
            }
            assert json.loads(client.get("drift:latest"))["book"] == "default"
            assert json.loads(client.lindex("other:drift:log", 0))["book"] == "other"
            assert client.get("drift:report") == b"<html>"

    @pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
    def test_what_was_not_answered_is_told_once(self, cut: Cut) -> None:
        book = new_book()
        with CuttingProxy(shared_server()) as proxy:
            records = in_redis(proxy, book)
            records.publish(entry("9:00"), None)
            proxy.cut(cut)
            records.publish(entry("10:00"), None)
            records.publish(entry("10:00"), None)
            assert [each["tick"] for each in records.history()] == ["10:00", "9:00"]
            records.close()

    def test_says_what_is_in_the_way(self, own_server: RedisServer) -> None:
        records = in_redis(own_server, "default")
        with own_server.client() as client:
            client.set("drift:latest", "no entry")
            client.set("drift:log", "no list")
        with pytest.raises(StoreCorrupt, match="drift:latest"):
            records.latest()
        with pytest.raises(StoreCorrupt, match="another type"):
            records.publish(entry("9:00"), None)
        records.close()

    def test_is_unavailable_while_the_server_is(self) -> None:
        port = free_port()
        records = RedisDriftRecords(
            "default", lambda: RedisLink(host="127.0.0.1", port=port, timeout_ms=200)
        )
        with pytest.raises(StoreUnavailable):
            records.publish(entry("9:00"), b"<html>")
        records.close()

    def test_its_keys_may_lie_on_different_nodes_of_a_cluster(self, tmp_path: Path) -> None:
        nodes = [RedisServer(tmp_path / name, cluster_enabled="yes") for name in ("one", "other")]
        with nodes[0] as one, nodes[1] as other:
            join(one, other)
            records = in_redis(one, "default")
            for tick in ("9:00", "10:00"):
                records.publish(entry(tick), b"<html>")
            assert [each["tick"] for each in records.history()] == ["10:00", "9:00"]
            assert records.latest() == entry("10:00")
            assert records.report() == b"<html>"
            assert {len(node.client().keys("*")) for node in nodes} == {1, 2}
            with ThreadPoolExecutor(6) as pool:
                read = [records.latest, records.history, records.report] * 20
                assert all(pool.map(lambda ask: ask(), read))
            records.close()
