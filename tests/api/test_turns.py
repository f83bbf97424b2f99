"""Turns: who has theirs where, with whom, and what is told when."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from functools import partial
from threading import Event, current_thread
from typing import Any

import pytest

from api.access import LOCAL, current_caller
from api.turns import Turns
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

    def __call__(self, asked: Asked) -> list[Any]:
        self.groups.append([message for message, _ in asked])
        self.threads.add(current_thread().name)
        return [{"message": message, "caller": caller} for message, caller in asked]


async def all_of(turns: Turns, work: Any, messages: Sequence[Any]) -> list[bytes]:
    current_caller.set(LOCAL)
    responses = await asyncio.gather(*(turns.answer_together(work, each) for each in messages))
    return [bytes(response.body) for response in responses]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_each_gets_the_result_of_its_own_message(turns: Turns) -> None:
    bodies = run(all_of(turns, Work(), list(range(100))))
    assert bodies == [b'{"message":%d,"caller":"local"}' % number for number in range(100)]


def test_what_waits_at_the_same_time_is_done_together_in_its_order(turns: Turns) -> None:
    work = Work()
    run(all_of(turns, work, list(range(70))))
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

    def decide(asked: Asked) -> list[Any]:
        had.extend(message for message, _ in asked)
        return [{} for _ in asked]

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


def test_after_a_slow_turn_decisions_have_theirs_on_the_thread_until_all_is_quick_again(
    at_once: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.turns._SLOW", 0.01)
    monkeypatch.setattr("api.turns._SLOW_FOR", 0.2)
    work, slow = Work(), True

    def sometimes_slow(asked: Asked) -> list[Any]:
        if slow:
            time.sleep(0.02)
        return work(asked)

    def threads() -> set[str]:
        work.threads.clear()
        run(all_of(at_once, sometimes_slow, [1, 2]))
        return set(work.threads)

    here, aside = {current_thread().name}, {"turns"}
    assert [threads(), threads(), threads()] == [here, aside, aside]
    slow = False
    assert threads() == aside
    time.sleep(0.25)
    assert [threads(), threads()] == [here, here]


def test_while_a_slow_disk_is_waited_for_on_the_thread_the_event_loop_goes_on(
    at_once: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.turns._SLOW", 0.0)
    let_go, work = Event(), Work()

    def stuck(asked: Asked) -> list[Any]:
        assert let_go.wait(20)
        return work(asked)

    async def asked() -> list[bytes]:
        await all_of(at_once, work, ["slow"])
        waiting = asyncio.create_task(all_of(at_once, stuck, ["approve", "refuse"]))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        let_go.set()
        return await waiting

    assert len(run(asked())) == 2


def test_a_long_act_does_not_send_decisions_to_the_thread(
    at_once: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.turns._SLOW", 0.01)
    work = Work()
    run(at_once.run(lambda: time.sleep(0.02)))
    run(all_of(at_once, work, [1]))
    assert work.threads == {current_thread().name}


def test_what_is_wrong_with_one_is_told_to_it_alone(turns: Turns) -> None:
    def work(asked: Asked) -> list[Any]:
        return [InvalidRequest("wrong") if message else {"said": "right"} for message, _ in asked]

    bodies = run(all_of(turns, work, [0, 1, 0]))
    assert bodies[0] == bodies[2] == b'{"said":"right"}'
    assert b'"message":"wrong"' in bodies[1]


def test_a_fault_of_the_work_is_told_to_all_and_the_next_are_served(turns: Turns) -> None:
    def work(asked: Asked) -> list[Any]:
        raise ZeroDivisionError(str(len(asked)))

    async def asked() -> list[Any]:
        current_caller.set(LOCAL)
        jobs = [turns.answer_together(work, number) for number in range(3)]
        return await asyncio.gather(*jobs, return_exceptions=True)

    assert [type(result) for result in run(asked())] == [ZeroDivisionError] * 3
    assert len(run(all_of(turns, Work(), [1]))) == 1


def test_a_work_that_gives_another_number_of_results_is_a_fault_told_to_all(turns: Turns) -> None:
    def one_for_all(asked: Asked) -> list[Any]:
        return [{"said": len(asked)}]

    async def asked() -> list[Any]:
        current_caller.set(LOCAL)
        jobs = [turns.answer_together(one_for_all, number) for number in range(2)]
        return await asyncio.gather(*jobs, return_exceptions=True)

    assert [type(result) for result in run(asked())] == [ValueError] * 2
    assert len(run(all_of(turns, Work(), [1]))) == 1


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
