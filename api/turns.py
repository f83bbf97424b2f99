"""Everything that touches the ledger: one piece of work after the other, in the order of arrival.

What may take long (a batch, bars, an act of a person, everything where the ledger is on another
machine) has its turn on a thread. A decision on an embedded ledger has it on the event loop, once
the thread is done with what came before: two threads that share one interpreter hand it to each
other at every call of SQLite, which cost 115 of 700 microseconds, measured in one process. The
flush that approvals need is part of the turn, one for all of it, as in Redis's own event loop: to
wait for it on another thread made 1,218 instead of 1,639 answers a second. So the event loop stands
still while the disk is slow, or a foreign program keeps the file locked, but once: after a slow
turn decisions have theirs on the thread, until all has been quick for a second. Decisions that wait
at the same time are made together.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice, takewhile
from queue import SimpleQueue
from threading import Lock, Thread
from time import monotonic
from typing import Any, TypeVar

import orjson
from fastapi import Response

from api.access import current_caller
from api.failures import failure_of
from errors import NotReady, ServiceError

__all__ = ["Turns", "Work"]

_MOST_WAITING = 1024
_LONGEST_WAIT = 4.0  # seconds; BentoML cuts a request off at `traffic.timeout`, in words of its own
_MOST_TOGETHER = 16  # some 6 ms, in which the event loop does nothing else
_SLOW = 0.05  # seconds; a turn of this length waited for something
_SLOW_FOR = 1.0  # seconds after it, in which decisions have their turns on the thread

Result = TypeVar("Result")

Work = Callable[[Sequence[Any]], Sequence[Any]]
"""What is done with several items: a result for each, in their order; an exception is raised."""


class _Job:
    """A piece of work, and the future of who waits for it."""

    __slots__ = ("_claim", "due", "future", "item", "loop", "work")

    def __init__(self, work: Work, item: object, loop: asyncio.AbstractEventLoop) -> None:
        self.work, self.item, self.loop = work, item, loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.due = monotonic() + _LONGEST_WAIT
        self._claim = Lock()

    def claimed(self) -> bool:
        """Whether whoever asks is the first to: either the thread begins it, or it is too late."""
        return self._claim.acquire(blocking=False)

    def finish(self, result: object) -> None:
        """Tell who waits, if somebody still does."""
        if self.future.done():
            return
        if isinstance(result, BaseException):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


class Turns:
    """The line, and the thread behind it. What waits in it belongs to one event loop at a time.

    Args:
        name: of the thread.
        at_once: whether works of several items have their turn on the event loop.
    """

    def __init__(self, name: str = "ledger", *, at_once: bool = False) -> None:
        self._at_once = at_once
        # Who has not had their turn, whether somebody has it on the thread, and which event loop is
        # about to look. Of the event loop alone.
        self._line: deque[_Job] = deque()
        self._away = False
        self._looking: asyncio.AbstractEventLoop | None = None
        self._quick_from = 0.0
        self._waiting: dict[_Job, None] = {}  # in the order of their arrival
        self._watched: asyncio.AbstractEventLoop | None = None
        self._given: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._thread = Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def answer(self, work: Callable[[str], dict[str, Any]]) -> Response:
        """Answer with what the work gives for the name of the caller, or with its error."""
        caller = current_caller.get().name
        return await self._answered(_alone, lambda: work(caller))

    async def answer_together(self, work: Work, message: object) -> Response:
        """Answer with what the work gives for a message.

        Args:
            work: gets a pair (message, name of its caller) of each that waits for it now.
            message: of this caller.
        """
        return await self._answered(work, (message, current_caller.get().name))

    async def run(self, work: Callable[[], Result]) -> Result:
        """Wait for a turn, and for what the work gives.

        Raises:
            NotReady: too many wait, or the turn did not come in time; the work was not begun.
        """
        result: Result = await self._turn(_alone, work)
        return result

    def close(self) -> None:
        """Finish what is under way. Closing twice is harmless."""
        self._given.put(None)
        self._thread.join()
        while self._line:
            _tell(self._do(self._next()))

    async def _answered(self, work: Work, item: object) -> Response:
        try:
            content = await self._turn(work, item)
        except ServiceError as error:
            failure = failure_of(error)
            return Response(failure.body, failure.status, media_type="application/json")
        return Response(orjson.dumps(content), media_type="application/json")

    async def _turn(self, work: Work, item: object) -> Any:
        if len(self._waiting) >= _MOST_WAITING:
            raise NotReady(
                f"{len(self._waiting)} requests are waiting; send this one again later",
                code="overloaded",
            )
        loop = asyncio.get_running_loop()
        job = _Job(work, item, loop)
        self._waiting[job] = None
        self._line.append(job)
        self._look_soon(loop)
        # One timer for all that wait: one for each would cost as much as the turn itself.
        if self._watched is not loop:
            self._watched = loop
            loop.call_later(_LONGEST_WAIT, self._refuse_late)
        try:
            return await job.future
        finally:
            del self._waiting[job]

    def _refuse_late(self) -> None:
        """Tell those whose turn did not come in time, and look again when the next is due."""
        loop, now = self._watched, monotonic()
        for job in takewhile(lambda job: job.due <= now, list(self._waiting)):
            # What runs already is waited for: what it puts on record must be told.
            if job.loop is loop and job.claimed():
                job.finish(_not_begun())
        self._watched = None
        waiting = [job for job in self._waiting if job.due > now]
        if waiting and loop is not None:
            self._watched = loop
            loop.call_later(waiting[0].due - now, self._refuse_late)

    def _look_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the line once what has arrived meanwhile is read."""
        if self._line and not self._away and self._looking is not loop:
            self._looking = loop
            loop.call_soon(self._look)

    def _look(self) -> None:
        """Give those at the head of the line their turn."""
        self._looking = None
        if self._away or not self._line:
            return
        jobs = self._next()
        here = self._at_once and jobs[0].work is not _alone and monotonic() >= self._quick_from
        if not here:
            self._away = True
            self._given.put(jobs)
            return
        self._look_soon(jobs[0].loop)
        _tell(self._do(jobs))

    def _next(self) -> list[_Job]:
        """Take the first out of the line, and those behind it that wait for the same work."""
        first = self._line[0]
        most = 1 if first.work is _alone else _MOST_TOGETHER
        like = takewhile(
            lambda job: job.work == first.work and job.loop is first.loop, islice(self._line, most)
        )
        return [self._line.popleft() for _ in list(like)]

    def _serve(self) -> None:
        while (jobs := self._given.get()) is not None:
            self._come_back(jobs[0].loop, self._do(jobs))

    def _come_back(self, loop: asyncio.AbstractEventLoop, results: _Results) -> None:
        """Have the event loop tell what came of the turn on the thread, and go on."""
        try:
            loop.call_soon_threadsafe(self._go_on, loop, results)
        except RuntimeError:  # nobody waits any more on a closed loop; on another one somebody may
            self._away = False
            with contextlib.suppress(IndexError, RuntimeError):
                self._line[0].loop.call_soon_threadsafe(self._look)

    def _go_on(self, loop: asyncio.AbstractEventLoop, results: _Results) -> None:
        self._away = False
        self._look_soon(loop)
        _tell(results)

    def _do(self, jobs: Sequence[_Job]) -> _Results:
        """What came of them."""
        jobs = [job for job in jobs if job.claimed()]
        if not jobs:
            return []
        work, began = jobs[0].work, monotonic()
        try:
            results = list(zip(jobs, work([job.item for job in jobs]), strict=True))
        except BaseException as error:  # noqa: BLE001 - told to those who wait
            results = [(job, error) for job in jobs]
        ended = monotonic()
        if work is not _alone and ended - began > _SLOW:
            self._quick_from = ended + _SLOW_FOR
        return results


def _alone(works: Sequence[Callable[[], Any]]) -> Sequence[Any]:
    return [work() for work in works]


_Results = Sequence[tuple[_Job, object]]


def _tell(results: _Results) -> None:
    for job, result in results:
        job.finish(result)


def _not_begun() -> NotReady:
    return NotReady(
        f"the request waited {_LONGEST_WAIT:g} s and was not begun; send it again",
        code="overloaded",
    )
