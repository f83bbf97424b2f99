"""Boards that processes share, and messages that they send: once, whatever dies in between."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from errors import StoreError
from monitoring.alerts.board import Board, DeliveryState, Target
from monitoring.alerts.board_json import encoded
from monitoring.alerts.dispatcher import Dispatcher
from monitoring.alerts.episodes import observed
from monitoring.alerts.outbox import claimed
from monitoring.alerts.shared_board import BoardStore, HostBoard, SharedBoard
from monitoring.observer import AlertAttempted
from stores.documents import MemoryDocuments
from stores.sqlite_documents import SqliteDocuments
from tests.alerting import (
    HALTED,
    NEAR,
    TARGET,
    TRIPPED,
    FakeSender,
    Time,
    eventually,
    look,
    surroundings,
)
from tests.fakes import RecordingObserver
from tests.shared_documents import STORES, TroubledDocuments, ways_to_documents

Make = Callable[[], BoardStore]
OTHER = Target("bbbb", "2 (json)")


@pytest.fixture(params=STORES)
def open_another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    with ways_to_documents(request.param, tmp_path) as another:

        def make() -> BoardStore:
            shared = SharedBoard(another(), "alerts")
            return shared if request.param == "redis" else HostBoard(shared)

        yield make


class TestEveryStore:
    def test_workers_that_see_the_same_tell_it_once(self, open_another: Make) -> None:
        stores = [open_another() for _ in range(4)]

        def watch(number: int) -> None:
            time = Time(prefix=f"worker-{number}")
            for _ in range(10):
                stores[number].update(
                    lambda board: observed(board, look(HALTED, TRIPPED), time.teller())
                )
                time.wait(seconds=1)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(watch, range(4)))
        board = stores[0].read()
        assert [episode.about for episode in board.open] == [HALTED_ABOUT, TRIPPED_ABOUT]
        assert [message.kind.value for message in board.messages] == ["opened", "opened"]

    def test_dispatchers_that_race_send_each_message_once(self, open_another: Make) -> None:
        sender = FakeSender(targets=(TARGET, OTHER))
        time = Time(targets=sender.targets)
        store = open_another()
        store.update(lambda board: observed(board, look(HALTED, TRIPPED, NEAR), time.teller()))
        dispatchers = [
            Dispatcher(
                open_another(),
                surroundings(sender, Time(targets=sender.targets, prefix=f"{number}")),
            )
            for number in range(3)
        ]

        def work(dispatcher: Dispatcher) -> None:
            eventually(lambda: stepped(dispatcher, store))

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(work, dispatchers))
        assert len(sender.arrived) == len(set(sender.arrived)) == 6

    def test_what_a_dead_worker_claimed_is_taken_over(self, open_another: Make) -> None:
        sender, time = FakeSender(), Time()
        store = open_another()
        store.update(lambda board: observed(board, look(HALTED), time.teller()))
        (message,) = store.read().messages
        store.update(
            lambda board: claimed(board, message.message_id, message.deliveries[0], "dead")
        )
        dispatcher = Dispatcher(open_another(), surroundings(sender, time))
        for _ in range(30):
            dispatcher.step()
            assert sender.arrived == []
            time.wait(seconds=1)
        time.wait(seconds=1)
        eventually(lambda: stepped(dispatcher, store))
        assert len(sender.arrived) == 1

    def test_is_read_again_by_whoever_comes_later(self, open_another: Make) -> None:
        time = Time()
        before = open_another().update(lambda board: observed(board, look(NEAR), time.teller()))
        assert open_another().read() == before.after
        assert open_another().update(lambda board: board).after == before.after


HALTED_ABOUT = (HALTED.cause, HALTED.key)
TRIPPED_ABOUT = (TRIPPED.cause, TRIPPED.key)


def stepped(dispatcher: Dispatcher, store: BoardStore) -> bool:
    dispatcher.step()
    return not any(message.pending for message in store.read().messages)


def _watch_in_file(path: str, number: int) -> None:
    time = Time(prefix=f"process-{number}")
    with closing(SqliteDocuments(Path(path), busy_timeout_ms=10_000)) as documents:
        store = HostBoard(SharedBoard(documents, "alerts"))
        for _ in range(20):
            store.update(lambda board: observed(board, look(HALTED), time.teller()))


def test_processes_that_begin_with_a_new_file_tell_it_once(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_watch_in_file, args=(str(path), n)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    with closing(SqliteDocuments(path)) as documents:
        assert len(SharedBoard(documents, "alerts").read().messages) == 1


class TestABoardOfAHost:
    def test_goes_on_while_its_store_is_away_and_is_put_back_without_a_repetition(self) -> None:
        documents, time = TroubledDocuments(), Time()
        board = HostBoard(SharedBoard(documents, "alerts"))
        board.update(lambda found: observed(found, look(HALTED), time.teller()))
        documents.away = True
        board.update(lambda found: observed(found, look(HALTED, NEAR), time.teller()))
        assert board.degraded == "the store is away"
        assert len(board.read().messages) == 2
        documents.away = False
        board.update(lambda found: observed(found, look(HALTED, NEAR), time.teller()))
        assert not board.degraded
        assert len(SharedBoard(documents, "alerts").read().messages) == 2

    def test_that_is_damaged_is_put_aside_and_begun_anew(self) -> None:
        documents, time = MemoryDocuments(), Time()
        documents.write("alerts", b"no board", expected=0)
        board = SharedBoard(documents, "alerts")
        board.update(lambda found: observed(found, look(HALTED), time.teller()))
        assert len(SharedBoard(documents, "alerts").read().messages) == 1
        assert documents.read("alerts-damaged").body == b"no board"

    def test_that_is_shared_says_when_its_store_is_away(self) -> None:
        documents = TroubledDocuments()
        documents.away = True
        board = SharedBoard(documents, "alerts")
        with pytest.raises(StoreError):
            board.read()
        assert board.degraded == "the store is away"
        assert board.known == Board()


class TestADispatcher:
    def begun(self, sender: FakeSender, time: Time) -> tuple[Dispatcher, SharedBoard]:
        documents = TroubledDocuments()
        store = SharedBoard(documents, "alerts")
        store.update(lambda board: observed(board, look(HALTED), time.teller()))
        self.documents = documents
        self.around = surroundings(sender, time)
        return Dispatcher(store, self.around), store

    def outcomes(self) -> list[str]:
        observer = self.around.observer
        assert isinstance(observer, RecordingObserver)
        return [seen.outcome for seen in observer.seen if isinstance(seen, AlertAttempted)]

    def test_tries_a_target_that_is_down_again_until_it_is_up(self) -> None:
        sender, time = FakeSender(refuses={TARGET.mark}), Time()
        dispatcher, _ = self.begun(sender, time)
        for attempts in (1, 2, 3):
            dispatcher.step()
            eventually(lambda: len(self.outcomes()) == attempts)  # noqa: B023
            time.wait(seconds=60)
        sender.refuses.clear()
        dispatcher.step()
        eventually(lambda: len(sender.arrived) == 1)
        eventually(lambda: self.outcomes() == ["failed", "failed", "failed", "delivered"])

    def test_is_held_up_by_no_target_that_hangs(self) -> None:
        sender = FakeSender(targets=(TARGET, OTHER), hangs={TARGET.mark})
        time = Time(targets=sender.targets)
        dispatcher, store = self.begun(sender, time)
        dispatcher.step()
        eventually(lambda: [mark for mark, _ in sender.arrived] == [OTHER.mark])
        time.wait(seconds=15)
        dispatcher.step()
        delivery = store.read().messages[0].to(TARGET.mark)
        assert delivery is not None
        assert delivery.error == "no answer within 15 s"
        sender.hangs.clear()
        sender.let_go.set()
        # It came through after all: it is not sent again.
        eventually(lambda: not store.read().messages[0].pending)
        time.wait(minutes=10)
        dispatcher.step()
        assert [mark for mark, _ in sender.arrived].count(TARGET.mark) == 1

    def test_gives_up_no_thread_after_the_other_to_a_target_that_hangs(self) -> None:
        sender, time = FakeSender(hangs={TARGET.mark}), Time()
        dispatcher, store = self.begun(sender, time)
        for _ in range(20):
            dispatcher.step()
            time.wait(minutes=11)
        delivery = store.read().messages[0].deliveries[0]
        assert delivery.attempts == 3
        sender.let_go.set()

    def test_sends_nothing_twice_when_it_cannot_mark_what_it_sent(self) -> None:
        sender, time = FakeSender(hangs={TARGET.mark}), Time()
        dispatcher, store = self.begun(sender, time)
        dispatcher.step()
        self.documents.away = True
        sender.let_go.set()
        eventually(lambda: len(sender.arrived) == 1)
        dispatcher.close()
        with pytest.raises(StoreError):
            dispatcher.step()
        self.documents.away = False
        time.wait(minutes=5)
        dispatcher.step()
        assert store.read().messages[0].deliveries[0].state is DeliveryState.DELIVERED
        assert len(sender.arrived) == 1


def test_a_board_is_a_document_that_a_person_can_read() -> None:
    time = Time()
    board = observed(Board(), look(HALTED), time.teller())
    assert b'"cause":"halt","key":"HALTED"' in encoded(board)
