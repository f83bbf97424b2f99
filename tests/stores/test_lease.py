"""What a lease promises, on every store; then that killed holders lose no work and double none."""

import contextlib
import multiprocessing
import os
import random
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic, sleep

import pytest

from errors import StoreCorrupt, StoreUnavailable
from stores.documents import Documents
from stores.lease import Claim, Lease, Standing
from stores.sqlite_documents import SqliteDocuments
from tests.shared_documents import STORES, TroubledDocuments, ways_to_documents

SECONDS = 10.0
Make = Callable[[], Documents]


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timer() -> Hand:
    return Hand()


@pytest.fixture(params=STORES)
def open_another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    with ways_to_documents(request.param, tmp_path) as make:
        yield make


Take = Callable[[str], Lease]


@pytest.fixture
def lease_of(open_another: Make, timer: Hand) -> Take:
    return lambda holder: Lease(
        open_another(), "lease", holder=holder, seconds=SECONDS, timer=timer
    )


def standing(lease: Lease, tick: str) -> Standing:
    return lease.claim(tick).standing


class TestEveryStore:
    def test_the_first_who_claims_holds_it_and_the_others_do_not(self, lease_of: Take) -> None:
        one, other = lease_of("one"), lease_of("other")
        assert one.claim("9:00") == Claim(Standing.HELD, "9:00", "one")
        assert other.claim("9:00") == Claim(Standing.BUSY, "9:00", "one")
        assert one.claim("9:00") == Claim(Standing.BUSY, "9:00", "one")

    def test_what_is_done_is_never_run_again(self, lease_of: Take) -> None:
        one, other = lease_of("one"), lease_of("other")
        for tick in ("9:00", "10:00"):
            one.claim(tick)
            assert one.finish()
        assert standing(other, "9:00") is Standing.DONE
        assert standing(other, "10:00") is Standing.DONE
        assert standing(lease_of("one again"), "9:00") is Standing.DONE
        assert standing(other, "11:00") is Standing.HELD

    def test_who_chose_before_others_were_done_begins_nothing(self, lease_of: Take) -> None:
        slow, fast = lease_of("slow"), lease_of("fast")
        known = slow.done()
        fast.claim("10:00", known=fast.done())
        assert fast.finish()
        assert slow.claim("9:00", known=known).standing is Standing.BUSY
        assert slow.open_tick() is None
        assert slow.claim("10:00", known=known).standing is Standing.DONE
        assert slow.claim("11:00", known=slow.done()).standing is Standing.HELD

    def test_a_dead_worker_s_tick_is_taken_over(self, lease_of: Take, timer: Hand) -> None:
        one, other = lease_of("one"), lease_of("other")
        one.claim("9:00")
        assert standing(other, "9:00") is Standing.BUSY
        timer.now += SECONDS - 0.1
        assert standing(other, "9:00") is Standing.BUSY
        timer.now += 0.2
        assert other.claim("9:00") == Claim(Standing.HELD, "9:00", "other")

    def test_waiting_counts_from_when_the_waiter_first_looked(
        self, lease_of: Take, timer: Hand
    ) -> None:
        one, other = lease_of("one"), lease_of("other")
        one.claim("9:00")
        timer.now += 10 * SECONDS
        assert standing(other, "9:00") is Standing.BUSY

    def test_one_that_is_renewed_is_not_taken_over(self, lease_of: Take, timer: Hand) -> None:
        one, other = lease_of("one"), lease_of("other")
        one.claim("9:00")
        for _ in range(5):
            assert standing(other, "9:00") is Standing.BUSY
            timer.now += SECONDS * 0.7
            assert one.renew()

    def test_an_older_tick_whose_holder_died_goes_before_a_newer_one(
        self, lease_of: Take, timer: Hand
    ) -> None:
        one, other = lease_of("one"), lease_of("other")
        one.claim("9:00")
        assert other.claim("10:00") == Claim(Standing.BUSY, "9:00", "one")
        timer.now += SECONDS
        assert other.claim("10:00") == Claim(Standing.HELD, "9:00", "other")
        assert other.open_tick() == "9:00"
        other.finish()
        assert other.claim("10:00") == Claim(Standing.HELD, "10:00", "other")

    def test_what_nobody_is_to_resume_is_dropped_with_its_holder(
        self, lease_of: Take, timer: Hand
    ) -> None:
        one, other = lease_of("one"), lease_of("other")
        one.claim("manual:1", resume=False)
        assert other.open_tick() is None
        assert standing(other, "10:00") is Standing.BUSY
        timer.now += SECONDS
        assert other.claim("10:00") == Claim(Standing.HELD, "10:00", "other")
        assert standing(lease_of("third"), "manual:1") is Standing.DONE

    def test_an_owner_that_slept_through_its_lease_has_lost_it(
        self, lease_of: Take, timer: Hand
    ) -> None:
        one, other = lease_of("one"), lease_of("other")
        one.claim("9:00")
        standing(other, "9:00")
        timer.now += SECONDS
        assert one.seconds_left == 0
        assert standing(other, "9:00") is Standing.HELD
        assert not one.renew()
        assert not one.finish()
        assert standing(lease_of("third"), "9:00") is Standing.BUSY
        assert other.finish()

    def test_an_owner_knows_of_its_loss_before_anybody_takes_it_over(
        self, lease_of: Take, timer: Hand
    ) -> None:
        one = lease_of("one")
        one.claim("9:00")
        timer.now += SECONDS * 0.9
        assert one.seconds_left == 0

    def test_a_failed_tick_is_tried_three_times_by_anybody_and_given_up(
        self, lease_of: Take
    ) -> None:
        one, other = lease_of("one"), lease_of("other")
        for lease in (one, other, one):
            assert standing(lease, "9:00") is Standing.HELD
            assert lease.release(failed=True)
        assert standing(other, "9:00") is Standing.DONE
        assert standing(other, "10:00") is Standing.HELD

    def test_what_is_given_back_in_good_order_is_not_counted_as_a_failure(
        self, lease_of: Take
    ) -> None:
        one, other = lease_of("one"), lease_of("other")
        for _ in range(5):
            assert standing(one, "9:00") is Standing.HELD
            assert one.release(failed=False)
        assert standing(other, "9:00") is Standing.HELD

    def test_a_holder_that_was_not_told_it_holds_it_claims_it_again(self, lease_of: Take) -> None:
        one = lease_of("one")
        one.claim("9:00")
        one.forget()  # as after a write whose answer was lost
        assert standing(one, "9:00") is Standing.HELD

    def test_of_many_threads_one_holds_it(self, lease_of: Take) -> None:
        leases = [lease_of(f"worker {number}") for number in range(6)]
        with ThreadPoolExecutor(6) as pool:
            for tick in range(10):
                found = list(pool.map(lambda lease, t=tick: standing(lease, f"{t}"), leases))
                assert found.count(Standing.HELD) == 1
                leases[found.index(Standing.HELD)].finish()

    def test_what_is_no_lease_is_left_alone_and_said(
        self, open_another: Make, lease_of: Take
    ) -> None:
        open_another().write("lease", b"[]", expected=0)
        with pytest.raises(StoreCorrupt, match="delete it"):
            lease_of("one").claim("9:00")


class Flaky(TroubledDocuments):
    """Documents that can be away, or forget."""

    def lose(self) -> None:
        self._documents.clear()


@pytest.fixture
def flaky() -> Flaky:
    return Flaky()


def test_while_the_store_is_away_the_lease_runs_out_and_then_can_be_claimed_again(
    flaky: Flaky, timer: Hand
) -> None:
    one = Lease(flaky, "lease", holder="one", seconds=SECONDS, timer=timer)
    one.claim("9:00")
    flaky.away = True
    timer.now += SECONDS * 0.5
    with pytest.raises(StoreUnavailable):
        one.renew()
    assert one.seconds_left == pytest.approx(SECONDS * 0.3)
    timer.now += SECONDS * 0.4
    assert one.seconds_left == 0
    with pytest.raises(StoreUnavailable):
        one.finish()
    flaky.away = False
    assert one.finish()


def test_the_owner_of_a_document_that_was_removed_makes_it_again(flaky: Flaky, timer: Hand) -> None:
    one = Lease(flaky, "lease", holder="one", seconds=SECONDS, timer=timer)
    other = Lease(flaky, "lease", holder="other", seconds=SECONDS, timer=timer)
    one.claim("9:00")
    flaky.lose()
    assert one.renew()
    assert standing(other, "9:00") is Standing.BUSY


def test_an_owner_gives_way_to_whoever_claimed_after_the_document_was_removed(
    flaky: Flaky, timer: Hand
) -> None:
    one = Lease(flaky, "lease", holder="one", seconds=SECONDS, timer=timer)
    other = Lease(flaky, "lease", holder="other", seconds=SECONDS, timer=timer)
    one.claim("9:00")
    flaky.lose()
    assert standing(other, "9:00") is Standing.HELD
    assert not one.renew()


def _work(path: str, holder: str, log: str, report: Connection) -> None:
    """Do all of twenty ticks that nobody else does; say before each what is being done."""
    documents = SqliteDocuments(Path(path), busy_timeout_ms=10_000)
    lease = Lease(documents, "lease", holder=holder, seconds=0.4, timer=monotonic)
    for tick in map(str, range(20)):
        while True:
            with contextlib.suppress(StoreUnavailable):
                claim = lease.claim(tick)
                if claim.standing is Standing.DONE:
                    break
                if claim.standing is Standing.HELD:
                    report.send(claim.tick)
                    sleep(0.05)
                    if lease.renew() and lease.finish():
                        with Path(log).open("a") as done:
                            done.write(f"{claim.tick}\n")
            sleep(0.02)


def test_of_twenty_ticks_each_is_done_once_while_holders_are_killed(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    path, log = str(tmp_path / "drift.db"), tmp_path / "done"
    log.touch()
    chance = random.Random(7)
    workers: list[tuple[multiprocessing.process.BaseProcess, Connection]] = []

    def begin(number: int) -> None:
        here, there = context.Pipe()
        worker = context.Process(target=_work, args=(path, f"{number}", str(log), there))
        worker.start()
        workers.append((worker, here))

    for number in range(3):
        begin(number)
    begun: list[str] = []
    killed = 0
    until = monotonic() + 60
    while any(worker.is_alive() for worker, _ in workers):
        assert monotonic() < until
        for worker, report in list(workers):
            if not report.poll():
                continue
            with contextlib.suppress(EOFError):
                begun.append(report.recv())
            if killed < 6 and chance.random() < 0.4 and worker.pid is not None:
                os.kill(worker.pid, signal.SIGKILL)
                worker.join()
                workers.remove((worker, report))
                killed += 1
                begin(100 + killed)
        sleep(0.005)
    for worker, _ in workers:
        worker.join()
    done = log.read_text().split()
    # One that was killed between its last write and the line in this test's log is not in there.
    assert len(done) == len(set(done))
    assert set(begun) == {str(tick) for tick in range(20)}
    assert killed == 6
    documents = SqliteDocuments(Path(path))
    last = Lease(documents, "lease", holder="last", seconds=0.4, timer=monotonic)
    assert {standing(last, str(tick)) for tick in range(20)} == {Standing.DONE}
    documents.close()
