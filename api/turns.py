"""Everything that touches the ledger, one piece of work after the other, on a thread of its own.

The event loop never waits for a disk, and one process never contends with itself.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import orjson
from fastapi import Response

from api.access import current_caller
from api.failures import failure_of
from errors import NotReady, ServiceError

__all__ = ["Turns"]

_MOST_WAITING = 1024
_LONGEST_WAIT = 4.0  # seconds; BentoML cuts a request off at `traffic.timeout`, in words of its own

Result = TypeVar("Result")


class Turns:
    """The one thread, and the queue before it.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str = "ledger") -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._waiting = 0

    async def answer(self, work: Callable[[str], dict[str, Any]]) -> Response:
        """Answer with what the work gives for the name of the caller, or with its error."""
        caller = current_caller.get().name
        try:
            content = await self.run(lambda: work(caller))
        except ServiceError as error:
            failure = failure_of(error)
            return Response(failure.body, failure.status, media_type="application/json")
        return Response(orjson.dumps(content), media_type="application/json")

    async def run(self, work: Callable[[], Result]) -> Result:
        """Wait for a turn, and for what the work gives.

        Raises:
            NotReady: too many wait, or the turn did not come in time; the work was not begun.
        """
        if self._waiting >= _MOST_WAITING:
            raise NotReady(
                f"{self._waiting} requests are waiting; send this one again later",
                code="overloaded",
            )
        self._waiting += 1
        job = self._thread.submit(work)
        try:
            async with asyncio.timeout(_LONGEST_WAIT):
                return await asyncio.shield(asyncio.wrap_future(job))
        except TimeoutError:
            if job.cancel():
                raise NotReady(
                    f"the request waited {_LONGEST_WAIT:g} s and was not begun; send it again",
                    code="overloaded",
                ) from None
            # It runs already: what it puts on record must be told.
            return await asyncio.wrap_future(job)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Finish what is under way."""
        self._thread.shutdown(wait=True)
