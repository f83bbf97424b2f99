"""What every `Documents` promises; then what only a file and only a server can show."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import pytest

from errors import StoreCorrupt, StoreError, StoreUnavailable
from stores.documents import ABSENT, Document, Documents
from stores.redis_documents import RedisDocuments
from stores.redis_link import RedisLink
from stores.sqlite_documents import SqliteDocuments
from tests.redis_server import Cut, CuttingProxy, RedisServer, free_port, new_book, shared_server
from tests.shared_documents import STORES, ways_to_documents

# Bounds in these tests are for machines that are busy with something else.
SOON = 1.0

Make = Callable[[], Documents]
"""Another way to the same documents, as another process has one."""


def in_redis(server: RedisServer | CuttingProxy, book: str = "desk") -> RedisDocuments:
    return RedisDocuments(book, RedisLink(**server.address))


@pytest.fixture(params=STORES)
def open_another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    with ways_to_documents(request.param, tmp_path) as make:
        yield make


@pytest.fixture
def documents(open_another: Make) -> Documents:
    return open_another()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as started:
        yield started


@pytest.fixture
def proxy() -> Iterator[CuttingProxy]:
    with CuttingProxy(shared_server()) as started:
        yield started


def count_up(documents: Documents, times: int, *, name: str = "counter") -> None:
    """Add one to a number as often as told, reading again whenever somebody else was faster."""
    for _ in range(times):
        while True:
            found = documents.read(name)
            if documents.write(name, b"%d" % (int(found.body or 0) + 1), expected=found.version):
                break


def seconds_until(condition: Callable[[], bool]) -> float:
    begun = monotonic()
    while not condition():
        assert monotonic() - begun < 20
        sleep(0.01)
    return monotonic() - begun


def answers(documents: Documents) -> bool:
    try:
        documents.read("bars")
    except StoreError:
        return False
    return True


def timed_refusal(ask: Callable[[], object]) -> tuple[float, str]:
    begun = monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        ask()
    assert "\n" not in str(caught.value)
    return monotonic() - begun, str(caught.value)


class TestEveryStore:
    def test_holds_nothing_before_anything_was_written(self, documents: Documents) -> None:
        assert documents.read("bars") == ABSENT == Document(0, b"")

    def test_counts_what_was_written(self, documents: Documents) -> None:
        for version in range(3):
            assert documents.write("bars", b"%d" % version, expected=version)
            assert documents.read("bars") == Document(version + 1, b"%d" % version)

    @pytest.mark.parametrize("expected", [0, 1, 3, 99])
    def test_writes_nothing_when_another_version_is_the_newest(
        self, documents: Documents, expected: int
    ) -> None:
        documents.write("bars", b"one", expected=0)
        documents.write("bars", b"two", expected=1)

        assert not documents.write("bars", b"three", expected=expected)
        assert documents.read("bars") == Document(2, b"two")

    def test_writes_nothing_after_a_version_that_never_was(self, documents: Documents) -> None:
        assert not documents.write("bars", b"x", expected=1)
        assert documents.read("bars") == ABSENT

    @pytest.mark.parametrize(
        "body", [b"", b"\0", bytes(range(256)), b"\xff\xfe\r\n'\"", os.urandom(1 << 20)]
    )
    def test_gives_the_very_bytes_back(self, open_another: Make, body: bytes) -> None:
        open_another().write("bars", body, expected=0)
        found = open_another().read("bars")
        assert found == Document(1, body)
        assert type(found.body) is bytes

    def test_keeps_names_apart(self, documents: Documents) -> None:
        documents.write("bars", b"of bars", expected=0)

        assert documents.read("macro") == ABSENT
        assert documents.write("macro", b"of macro", expected=0)
        assert documents.read("bars") == Document(1, b"of bars")

    def test_is_seen_by_all_who_open_it(self, open_another: Make) -> None:
        one, other = open_another(), open_another()
        assert one.write("bars", b"one", expected=0)
        assert other.read("bars") == Document(1, b"one")
        assert other.write("bars", b"other", expected=1)
        assert not one.write("bars", b"late", expected=1)
        assert one.read("bars") == Document(2, b"other")

    def test_loses_no_update_of_threads(self, open_another: Make) -> None:
        ways = [open_another(), open_another()]

        with ThreadPoolExecutor(6) as pool:
            for done in [pool.submit(count_up, ways[number % 2], 15) for number in range(6)]:
                done.result()

        assert ways[0].read("counter") == Document(90, b"90")

    def test_is_closed_twice_without_harm(self, documents: Documents) -> None:
        documents.write("bars", b"x", expected=0)
        documents.close()
        documents.close()

    def test_is_closed_without_ever_having_been_used(self, documents: Documents) -> None:
        documents.close()


def _count_up_in_file(path: str, times: int) -> None:
    with closing(SqliteDocuments(Path(path), busy_timeout_ms=10_000)) as documents:
        count_up(documents, times)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "market.db"


@pytest.fixture
def in_file(path: Path) -> Iterator[SqliteDocuments]:
    with closing(SqliteDocuments(path)) as documents:
        yield documents


class TestAFile:
    def test_loses_no_update_of_processes_also_while_it_is_made(self, path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        workers = [
            context.Process(target=_count_up_in_file, args=(str(path), 60)) for _ in range(3)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        with closing(SqliteDocuments(path)) as documents:
            assert documents.read("counter") == Document(180, b"180")

    def test_is_made_at_first_use_and_its_folder_never(self, tmp_path: Path) -> None:
        deep = tmp_path / "new" / "market.db"
        with closing(SqliteDocuments(deep)) as documents:
            with pytest.raises(StoreUnavailable, match="cannot be made"):
                documents.read("bars")
            assert not deep.parent.exists()
            deep.parent.mkdir()
            assert documents.read("bars") == ABSENT
            assert deep.exists()

    def test_is_opened_by_many_at_once_when_it_is_new(self, path: Path) -> None:
        several = [SqliteDocuments(path, busy_timeout_ms=5000) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda documents: documents.read("bars"), several))
        assert found == [ABSENT] * 8
        for documents in several:
            documents.close()

    def test_waits_for_another_that_has_begun_with_a_new_file(self, path: Path) -> None:
        with (
            closing(SqliteDocuments(path, busy_timeout_ms=5000)) as documents,
            closing(sqlite3.connect(path, isolation_level=None)) as other,
            ThreadPoolExecutor(1) as pool,
        ):
            other.execute("BEGIN IMMEDIATE")
            found = pool.submit(documents.read, "bars")
            sleep(0.1)
            other.execute("ROLLBACK")
            assert found.result() == ABSENT

    @pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
    def test_that_is_new_and_locked_for_long_is_waited_for_once(
        self, path: Path, lock: str
    ) -> None:
        with (
            closing(SqliteDocuments(path, busy_timeout_ms=200)) as documents,
            closing(sqlite3.connect(path, isolation_level=None)) as other,
        ):
            other.execute(f"BEGIN {lock}")
            waited, line = timed_refusal(lambda: documents.read("bars"))
            assert 0.2 <= waited < SOON
            assert "locked" in line
            begun = monotonic()
            for _ in range(20):
                timed_refusal(lambda: documents.read("bars"))
            assert monotonic() - begun < SOON
            other.execute("ROLLBACK")
            assert documents.write("bars", b"after", expected=0)

    @pytest.mark.parametrize("content", [b"this is no database, " * 500, b"\0" * 4096])
    def test_that_is_no_database_is_named_and_left_alone(
        self, path: Path, in_file: SqliteDocuments, content: bytes
    ) -> None:
        path.write_bytes(content)
        for ask in (
            lambda: in_file.read("bars"),
            lambda: in_file.write("bars", b"x", expected=0),
        ):
            with pytest.raises(StoreCorrupt, match=r"damaged: .*; move it away") as caught:
                ask()
            assert "\n" not in str(caught.value)
        assert path.read_bytes() == content
        path.rename(path.with_suffix(".old"))
        assert in_file.write("bars", b"x", expected=0)

    def test_that_holds_another_table_of_that_name_is_named(
        self, path: Path, in_file: SqliteDocuments
    ) -> None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE document (id, text)")
        with pytest.raises(StoreCorrupt, match="no such column"):
            in_file.read("bars")

    def test_whose_table_holds_no_bytes_is_named(
        self, path: Path, in_file: SqliteDocuments
    ) -> None:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE document (name, version, body)")
            other.execute("INSERT INTO document VALUES ('bars', 'one', 'text')")
            other.commit()
        with pytest.raises(StoreCorrupt, match="damaged"):
            in_file.read("bars")

    def test_that_was_damaged_in_the_middle_is_named(
        self, path: Path, in_file: SqliteDocuments
    ) -> None:
        in_file.write("bars", os.urandom(100_000), expected=0)
        in_file.close()
        whole = path.read_bytes()
        path.write_bytes(whole[:4096] + b"\xaa" * (len(whole) - 4096))
        with pytest.raises(StoreCorrupt, match="damaged"):
            in_file.read("bars")

    def test_that_is_removed_while_open_is_made_again(
        self, path: Path, in_file: SqliteDocuments
    ) -> None:
        with closing(SqliteDocuments(path)) as other:
            for documents in (in_file, other):
                documents.read("bars")
            in_file.write("bars", b"lost", expected=0)
            path.unlink()
            assert other.read("bars") == ABSENT
            assert other.write("bars", b"new", expected=0)
            # Whoever still has the lost file open must not harm the new one.
            assert in_file.read("bars") == Document(1, b"new")
            assert in_file.write("bars", b"newer", expected=1)
            in_file.close()
            assert other.read("bars") == Document(2, b"newer")
        with closing(SqliteDocuments(path)) as again:
            assert again.read("bars") == Document(2, b"newer")

    def test_that_is_replaced_with_its_log_is_read_anew(
        self, path: Path, in_file: SqliteDocuments, tmp_path: Path
    ) -> None:
        in_file.write("bars", b"here", expected=0)
        with closing(SqliteDocuments(tmp_path / "other.db")) as other:
            other.write("bars", b"from elsewhere", expected=0)
        # A log that stays would be taken for the new file's own: SQLite knows it by its name.
        path.with_name("market.db-wal").unlink()
        path.with_name("market.db-shm").unlink()
        (tmp_path / "other.db").replace(path)
        assert in_file.read("bars") == Document(1, b"from elsewhere")

    def test_of_another_book_is_another_one(self, tmp_path: Path, in_file: SqliteDocuments) -> None:
        with closing(SqliteDocuments(tmp_path / "other.db")) as other:
            in_file.write("bars", b"x", expected=0)
            assert other.read("bars") == ABSENT

    def test_that_is_locked_for_long_makes_writers_wait_once_and_readers_never(
        self, path: Path
    ) -> None:
        with (
            closing(SqliteDocuments(path, busy_timeout_ms=200)) as documents,
            closing(sqlite3.connect(path, isolation_level=None)) as other,
        ):
            documents.write("bars", b"before", expected=0)
            other.execute("BEGIN IMMEDIATE")
            waited, line = timed_refusal(lambda: documents.write("bars", b"x", expected=1))
            assert 0.2 <= waited < SOON
            assert "locked" in line
            begun = monotonic()
            for _ in range(20):
                timed_refusal(lambda: documents.write("bars", b"x", expected=1))
                assert documents.read("bars") == Document(1, b"before")
            assert monotonic() - begun < SOON
            other.execute("ROLLBACK")
            assert documents.write("bars", b"after", expected=1)
            other.execute("BEGIN IMMEDIATE")
            assert timed_refusal(lambda: documents.write("bars", b"x", expected=2))[0] >= 0.2

    def test_that_cannot_be_made_is_named_until_it_can(self, tmp_path: Path) -> None:
        obstacle = tmp_path / "folder"
        obstacle.write_text("a file where the folder should be")
        with closing(SqliteDocuments(obstacle / "market.db")) as documents:
            for ask in (
                lambda: documents.read("bars"),
                lambda: documents.write("bars", b"x", expected=0),
            ):
                assert "cannot be made" in timed_refusal(ask)[1]
            obstacle.unlink()
            obstacle.mkdir()
            assert documents.write("bars", b"x", expected=0)

    def test_that_is_a_folder_is_named(self, path: Path, in_file: SqliteDocuments) -> None:
        path.mkdir()
        assert str(path) in timed_refusal(lambda: in_file.read("bars"))[1]

    def test_keeps_what_a_killed_writer_was_told_is_stored(self, path: Path) -> None:
        program = textwrap.dedent(
            """
            import sys
            from itertools import count
            from pathlib import Path
            from stores.sqlite_documents import SqliteDocuments
            documents = SqliteDocuments(Path(sys.argv[1]))
            for version in count():
                assert documents.write("bars", b"%d" % version * 500, expected=version)
                print(version, flush=True)
            """
        )
        words = [sys.executable, "-c", program, str(path)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            told = [writer.stdout.readline() for _ in range(50)]
            writer.send_signal(signal.SIGKILL)
            told += writer.stdout.readlines()
        last = int([line for line in told if line.endswith("\n")][-1])
        with closing(SqliteDocuments(path)) as documents:
            found = documents.read("bars")
            assert found.version in {last + 1, last + 2}
            assert found.body == b"%d" % (found.version - 1) * 500
            assert documents.write("bars", b"next", expected=found.version)


class TestAServer:
    def test_keeps_books_apart(self) -> None:
        one, other = in_redis(shared_server(), new_book()), in_redis(shared_server(), new_book())
        one.write("bars", b"x", expected=0)
        assert other.read("bars") == ABSENT
        assert other.write("bars", b"y", expected=0)
        assert one.read("bars") == Document(1, b"x")
        one.close()
        other.close()

    def test_that_is_not_there_is_named_at_once_and_used_once_it_is(self, tmp_path: Path) -> None:
        server = RedisServer(tmp_path / "redis")
        documents = in_redis(server)
        for ask in (
            lambda: documents.read("bars"),
            lambda: documents.write("bars", b"x", expected=0),
        ):
            waited, line = timed_refusal(ask)
            assert waited < SOON
            assert f"redis at 127.0.0.1:{server.port} cannot be reached" in line
        with server:
            assert seconds_until(lambda: answers(documents)) < 2
            assert documents.write("bars", b"x", expected=0)
        documents.close()

    def test_that_is_frozen_is_waited_for_once(self, own_server: RedisServer) -> None:
        documents = in_redis(own_server)
        documents.write("bars", b"x", expected=0)
        own_server.freeze()
        waited, line = timed_refusal(lambda: documents.write("bars", b"y", expected=1))
        assert waited < SOON
        assert "does not answer within 150 ms" in line
        waits = [timed_refusal(lambda: documents.read("bars"))[0] for _ in range(200)]
        assert sorted(waits)[100] < 0.01
        own_server.thaw()
        assert seconds_until(lambda: answers(documents)) < 2
        # Frozen servers may still carry out what they were sent: once, or not at all.
        assert documents.read("bars") in (Document(1, b"x"), Document(2, b"y"))
        documents.close()

    def test_that_is_killed_has_all_of_it_when_it_is_back(self, own_server: RedisServer) -> None:
        documents = in_redis(own_server)
        documents.write("bars", b"before", expected=0)
        own_server.kill()
        assert timed_refusal(lambda: documents.read("bars"))[0] < SOON
        own_server.start(wait=False)
        assert seconds_until(lambda: answers(documents)) < 2
        assert documents.read("bars") == Document(1, b"before")
        assert documents.write("bars", b"after", expected=1)
        documents.close()

    @pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER, Cut.SILENT])
    def test_whose_answer_is_lost_has_stored_once(self, proxy: CuttingProxy, cut: Cut) -> None:
        documents = in_redis(proxy, new_book())
        documents.write("bars", b"one", expected=0)
        proxy.cut(cut)
        assert documents.write("bars", b"two", expected=1)
        assert documents.read("bars") == Document(2, b"two")
        documents.close()

    def test_takes_nobody_elses_body_for_its_own_though_it_is_the_same(
        self, proxy: CuttingProxy
    ) -> None:
        book = new_book()
        one, other = in_redis(proxy, book), in_redis(shared_server(), book)
        count_up(one, 1)
        count_up(other, 1)
        # Both want to write 3. The first call of one is lost; before it is repeated, other writes.
        proxy.cut(Cut.BEFORE)
        first = one._link._drop_idle

        def late() -> None:
            count_up(other, 1)
            first()

        one._link._drop_idle = late  # type: ignore[method-assign]
        assert not one.write("counter", b"3", expected=2)
        assert other.read("counter") == Document(3, b"3")
        one.close()
        other.close()

    def test_that_nobody_hears_from_is_not_said_to_have_stored(self, proxy: CuttingProxy) -> None:
        documents = in_redis(proxy, new_book())
        documents.write("bars", b"one", expected=0)
        proxy.cut(Cut.AFTER, times=2)
        timed_refusal(lambda: documents.write("bars", b"two", expected=1))
        seconds_until(lambda: answers(documents))
        assert documents.read("bars") == Document(2, b"two")
        documents.close()

    def test_with_a_key_of_another_type_is_named_and_left_alone(self) -> None:
        book, client = new_book(), shared_server().client()
        documents = in_redis(shared_server(), book)
        key = f"usdcop:{{{book}}}:document:bars"
        client.set(key, "a cached value")
        for ask in (
            lambda: documents.read("bars"),
            lambda: documents.write("bars", b"x", expected=0),
        ):
            with pytest.raises(StoreCorrupt, match="key of another type"):
                ask()
        assert client.get(key) == b"a cached value"
        documents.close()

    @pytest.mark.parametrize(
        "fields", [{"version": "x", "body": "y"}, {"version": "2"}, {"version": "-1", "body": ""}]
    )
    def test_with_a_damaged_document_is_named_with_a_remedy(self, fields: dict[str, str]) -> None:
        book, client = new_book(), shared_server().client()
        documents = in_redis(shared_server(), book)
        key = f"usdcop:{{{book}}}:document:bars"
        client.hset(key, mapping=fields)
        with pytest.raises(StoreCorrupt, match="damaged; delete it"):
            documents.read("bars")
        client.delete(key)
        assert documents.read("bars") == ABSENT
        documents.close()

    def test_is_not_asked_by_what_was_closed(self) -> None:
        documents = RedisDocuments("desk", RedisLink(host="127.0.0.1", port=free_port()))
        documents.close()
        assert "was closed" in timed_refusal(lambda: documents.read("bars"))[1]
