"""Work once for each session: by one worker, late but not too late, taken over, given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from time import monotonic

import pytest

from api.daily_runs import DailyRuns, DailyWork
from monitoring.schedule import Tick
from stores.lease import Lease
from tests.monitoring.ticking import Fixed
from tests.shared_documents import TroubledDocuments

pytestmark = pytest.mark.asyncio

DUE = datetime(2026, 3, 2, 18, 5, tzinfo=UTC)


@dataclass
class Desk:
    """Workers that share a store, and what they did."""

    documents: TroubledDocuments = field(default_factory=TroubledDocuments)
    now: datetime = DUE
    done: list[tuple[str, str]] = field(default_factory=list)
    schedule: Fixed = field(default_factory=lambda: Fixed(DUE))

    def lease(self, holder: str) -> Lease:
        return Lease(self.documents, "close", holder=holder, seconds=0.4, timer=monotonic)

    def worker(self, name: str, run: Callable[[Tick], object] | None = None) -> DailyRuns:
        return DailyRuns(
            DailyWork(
                "report",
                self.schedule,
                still=lambda tick, now: now <= tick.due + timedelta(hours=18),
                run=run or (lambda tick: self.done.append((name, tick.name))),
                lease=self.lease(name),
                clock=lambda: self.now,
            )
        )


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_of_several_workers_one_does_what_is_due_and_does_it_once(desk: Desk) -> None:
    workers = [desk.worker(str(number)) for number in range(4)]
    await asyncio.gather(*(worker.catch_up() for worker in workers))
    for worker in workers:
        await worker.catch_up()
    assert len(desk.done) == 1
    assert desk.done[0][1] == "2026-03-02T18:05:00.000000+00:00"


async def test_what_is_not_due_yet_is_not_done(desk: Desk) -> None:
    desk.now = DUE - timedelta(seconds=1)
    await desk.worker("one").catch_up()
    assert desk.done == []


@pytest.mark.parametrize(("hours", "done"), [(17, 1), (19, 0)])
async def test_what_was_missed_is_done_at_the_next_start_while_it_is_recent(
    desk: Desk, hours: int, done: int
) -> None:
    desk.now = DUE + timedelta(hours=hours)
    await desk.worker("one").catch_up()
    assert len(desk.done) == done


async def test_of_several_that_were_missed_the_newest_is_done(desk: Desk) -> None:
    desk.schedule = Fixed(DUE - timedelta(days=1), DUE)
    await desk.worker("one").catch_up()
    assert [name for _, name in desk.done] == ["2026-03-02T18:05:00.000000+00:00"]


async def test_a_worker_that_dies_at_it_is_followed_by_another_one(desk: Desk) -> None:
    name = Tick(DUE, DUE).name
    assert desk.lease("dead").claim(name).tick == name
    await asyncio.wait_for(desk.worker("heir").catch_up(), 10)
    assert desk.done == [("heir", name)]


async def test_what_a_dead_worker_left_of_an_earlier_day_is_not_done_any_more(desk: Desk) -> None:
    desk.lease("dead").claim(Tick(DUE - timedelta(days=1), DUE).name)
    await asyncio.wait_for(desk.worker("heir").catch_up(), 10)
    assert [name for _, name in desk.done] == ["2026-03-02T18:05:00.000000+00:00"]


async def test_what_fails_three_times_is_given_up_and_the_log_says_why(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(tick: Tick) -> None:
        desk.done.append(("fails", tick.name))
        raise ValueError("nobody foresaw this")

    await asyncio.wait_for(desk.worker("one", fails).catch_up(), 10)
    assert len(desk.done) == 3
    assert "nobody foresaw this" in caplog.text
    await asyncio.wait_for(desk.worker("two", fails).catch_up(), 10)
    assert len(desk.done) == 3


async def test_a_store_that_is_away_is_waited_for(desk: Desk) -> None:
    desk.documents.away = True
    waiting = asyncio.create_task(desk.worker("one").catch_up())
    await asyncio.sleep(0.3)
    assert desk.done == []
    desk.documents.away = False
    await asyncio.wait_for(waiting, 10)
    assert len(desk.done) == 1


async def test_work_that_takes_longer_than_its_lease_is_done_by_nobody_else(desk: Desk) -> None:
    begun, go_on = Event(), Event()

    def slow(tick: Tick) -> None:
        begun.set()
        go_on.wait(10)
        desk.done.append(("slow", tick.name))

    first = asyncio.create_task(desk.worker("slow", slow).catch_up())
    await asyncio.to_thread(begun.wait, 10)
    second = asyncio.create_task(desk.worker("other").catch_up())
    await asyncio.sleep(1.5)
    go_on.set()
    await asyncio.wait_for(asyncio.gather(first, second), 10)
    assert [name for name, _ in desk.done] == ["slow"]


async def test_a_worker_that_stops_leaves_the_work_to_others_at_once(desk: Desk) -> None:
    begun, go_on = Event(), Event()

    def slow(tick: Tick) -> None:
        del tick
        begun.set()
        go_on.wait(10)

    stopping = asyncio.create_task(desk.worker("stops", slow).catch_up())
    await asyncio.to_thread(begun.wait, 10)
    stopping.cancel()
    await asyncio.gather(stopping, return_exceptions=True)
    await asyncio.wait_for(desk.worker("heir").catch_up(), 10)
    go_on.set()
    assert [name for name, _ in desk.done] == ["heir"]
