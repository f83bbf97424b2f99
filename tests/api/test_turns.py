"""Turns: who has theirs where, with whom, and what is told when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from functools import partial
from threading import Event, current_thread
from typing import Any

import pytest

from api.access import LOCAL, current_caller
from api.turns import PENDING, Done, Turns
from errors import InvalidRequest

Asked = Sequence[tuple[Any, str]]


@pytest.fixture(params=[False, True], ids=["on the thread", "at once"])
def turns(request: pytest.FixtureRequest) -> Iterator[Turns]:
    made = Turns("turns", at_once=request.param)
    yield made
    made.close()


@pytest.fixture
def at_once() -> Iterator[Turns]:
    made = Turns("turns", at_once=True)
    yield made
    made.close()


class Work:
    """Notes what it is asked to do together, and on which thread."""

    def __init__(self) -> None:
        self.groups: list[list[Any]] = []
        self.threads: set[str] = set()

    def __call__(self, asked: Asked) -> Done:
        self.groups.append([message for message, _ in asked])
        self.threads.add(current_thread().name)
        return Done([{"message": message, "caller": caller} for message, caller in asked])


async def all_of(turns: Turns, work: Any, messages: Sequence[Any]) -> list[bytes]:
    current_caller.set(LOCAL)
    responses = await asyncio.gather(*(turns.answer_together(work, each) for each in messages))
    return [bytes(response.body) for response in responses]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_each_gets_the_result_of_its_own_message(turns: Turns) -> None:
    bodies = run(all_of(turns, Work(), list(range(100))))
    assert bodies == [b'{"message":%d,"caller":"local"}' % number for number in range(100)]


def test_what_waits_at_the_same_time_is_done_together_in_its_order(at_once: Turns) -> None:
    work = Work()
    run(all_of(at_once, work, list(range(70))))
    assert work.groups == [list(range(start, min(start + 16, 70))) for start in range(0, 70, 16)]


def test_while_the_thread_is_idle_it_is_done_on_the_event_loop(at_once: Turns) -> None:
    work = Work()
    run(all_of(at_once, work, [1]))
    assert work.threads == {threading.main_thread().name}


def test_behind_what_is_on_the_thread_it_waits_and_has_its_turn_on_the_event_loop(
    at_once: Turns,
) -> None:
    work, let_go = Work(), Event()

    async def asked() -> list[bytes]:
        long = asyncio.create_task(at_once.run(lambda: let_go.wait(20)))
        await asyncio.sleep(0)
        behind = asyncio.create_task(all_of(at_once, work, [1, 2]))
        await asyncio.sleep(0.05)
        assert work.groups == []
        let_go.set()
        await long
        return await behind

    assert len(run(asked())) == 2
    assert work.groups == [[1, 2]]
    assert work.threads == {current_thread().name}


def test_turns_come_in_the_order_of_arrival_wherever_they_are_had(turns: Turns) -> None:
    had: list[str] = []
    let_go = Event()

    def decide(asked: Asked) -> Done:
        had.extend(message for message, _ in asked)
        return Done([{} for _ in asked])

    def act(name: str) -> None:
        assert let_go.wait(20)
        had.append(name)

    async def asked() -> None:
        current_caller.set(LOCAL)
        calls: list[Any] = []
        for number in range(12):
            name = f"{number}"
            acts = number % 4 == 0
            calls.append(
                asyncio.create_task(turns.run(partial(act, name)))
                if acts
                else asyncio.create_task(turns.answer_together(decide, name))
            )
            await asyncio.sleep(0)
        let_go.set()
        await asyncio.gather(*calls)

    run(asked())
    assert had == [str(number) for number in range(12)]


def test_a_turn_whose_event_loop_is_gone_holds_up_no_other(at_once: Turns) -> None:
    began, let_go = Event(), Event()

    def long() -> None:
        began.set()
        assert let_go.wait(20)

    async def gone() -> None:
        asyncio.get_running_loop().create_task(at_once.run(long))
        await asyncio.to_thread(began.wait, 20)

    run(gone())  # which cancels what still waits, and closes the event loop
    let_go.set()
    assert len(run(all_of(at_once, Work(), [1, 2]))) == 2


def test_what_waits_for_the_disk_holds_up_nothing_else(turns: Turns) -> None:
    flushed = Event()

    def settle() -> list[dict[str, str]]:
        assert flushed.wait(20)
        return [{"said": "on the disk"}]

    def work(asked: Asked) -> Done:
        waits = [message == "approve" for message, _ in asked]
        results: list[Any] = [PENDING if wait else {"said": "refused"} for wait in waits]
        return Done(results, settle if any(waits) else None)

    async def asked() -> tuple[list[bytes], list[bytes]]:
        approved = asyncio.create_task(all_of(turns, work, ["approve"]))
        await asyncio.sleep(0.05)
        refused = await all_of(turns, work, ["refuse", "refuse"])
        assert not approved.done()
        flushed.set()
        return await approved, refused

    approved, refused = run(asked())
    assert approved == [b'{"said":"on the disk"}']
    assert refused == [b'{"said":"refused"}'] * 2


def test_what_is_done_while_one_waits_for_the_disk_counts_as_done(
    at_once: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.turns._MOST_WAITING", 3)
    flushed = Event()

    def settle() -> list[dict[str, str]]:
        assert flushed.wait(20)
        return [{"said": "on the disk"}]

    def work(asked: Asked) -> Done:
        waits = asked[0][0] == "approve"
        return Done([PENDING], settle) if waits else Done([{"said": "refused"}])

    async def asked() -> list[list[bytes]]:
        approved = asyncio.create_task(all_of(at_once, work, ["approve"]))
        await asyncio.sleep(0.01)
        refused = [await all_of(at_once, work, ["refuse"]) for _ in range(20)]
        flushed.set()
        await approved
        return refused

    assert run(asked()) == [[b'{"said":"refused"}']] * 20


def test_what_is_wrong_with_one_is_told_to_it_alone(turns: Turns) -> None:
    def work(asked: Asked) -> Done:
        return Done(
            [InvalidRequest("wrong") if message else {"said": "right"} for message, _ in asked]
        )

    bodies = run(all_of(turns, work, [0, 1, 0]))
    assert bodies[0] == bodies[2] == b'{"said":"right"}'
    assert b'"message":"wrong"' in bodies[1]


def test_a_fault_of_the_work_is_told_to_all_and_the_next_are_served(turns: Turns) -> None:
    def work(asked: Asked) -> Done:
        raise ZeroDivisionError(str(len(asked)))

    async def asked() -> list[Any]:
        current_caller.set(LOCAL)
        jobs = [turns.answer_together(work, number) for number in range(3)]
        return await asyncio.gather(*jobs, return_exceptions=True)

    assert [type(result) for result in run(asked())] == [ZeroDivisionError] * 3
    assert len(run(all_of(turns, Work(), [1]))) == 1


def test_a_fault_while_waiting_for_the_disk_is_told_to_those_who_wait_for_it(
    turns: Turns,
) -> None:
    def settle() -> list[Any]:
        raise OSError("no disk")

    def work(asked: Asked) -> Done:
        return Done([PENDING] * len(asked), settle)

    async def asked() -> list[Any]:
        current_caller.set(LOCAL)
        jobs = [turns.answer_together(work, number) for number in range(2)]
        return await asyncio.gather(*jobs, return_exceptions=True)

    assert [type(result) for result in run(asked())] == [OSError] * 2


def test_an_event_loop_that_is_gone_before_it_looked_holds_up_no_other(at_once: Turns) -> None:
    async def gone() -> None:
        asyncio.get_running_loop().create_task(at_once.run(lambda: None))
        await asyncio.sleep(0)
        asyncio.get_running_loop().stop()

    loop = asyncio.new_event_loop()
    task = loop.create_task(gone())
    loop.run_forever()
    loop.close()
    del task
    assert len(run(all_of(at_once, Work(), [1, 2]))) == 2


def test_who_went_away_takes_nobody_else_along(turns: Turns) -> None:
    work = Work()

    async def asked() -> list[bytes]:
        current_caller.set(LOCAL)
        gone = asyncio.create_task(turns.answer_together(work, "gone"))
        staying = asyncio.create_task(all_of(turns, work, ["here"]))
        await asyncio.sleep(0)
        gone.cancel()
        return await staying

    assert run(asked()) == [b'{"message":"here","caller":"local"}']
    assert "gone" in [message for group in work.groups for message in group]


def test_closing_finishes_what_is_under_way_and_closing_twice_is_harmless() -> None:
    turns, began, done = Turns(), Event(), []

    async def asked() -> None:
        def work() -> None:
            began.set()
            done.append(1)

        job = asyncio.create_task(turns.run(work))
        await asyncio.to_thread(began.wait, 20)
        turns.close()
        await job

    run(asked())
    turns.close()
    assert done == [1]
