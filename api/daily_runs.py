"""Work that is done once for each session, by whichever worker is first, and by one alone.

It runs on a thread: no decision waits for it. A worker that dies at it is followed by another one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from errors import StoreError
from monitoring.schedule import Schedule, Tick
from stores.lease import Lease, Standing

__all__ = ["DailyRuns", "DailyWork"]

_LOGGER = logging.getLogger("usdcop.day")
_POLLS = 4  # within one length of the lease


@dataclass(frozen=True, slots=True)
class DailyWork:
    """A piece of work.

    Attributes:
        name: for the log.
        schedule: when it is due.
        still: whether the one of a tick is still worth doing at a time.
        run: does it. Doing it again must do no harm: a worker may die before it has said so.
        lease: of this worker, on a store that all of them share.
        clock: aware time, UTC.
    """

    name: str
    schedule: Schedule
    still: Callable[[Tick, datetime], bool]
    run: Callable[[Tick], object]
    lease: Lease
    clock: Callable[[], datetime]


class DailyRuns:
    """One piece of work in one worker, on its event loop."""

    def __init__(self, work: DailyWork) -> None:
        self._work = work
        self._poll_seconds = work.lease.seconds / _POLLS
        self._complaint = ""

    async def catch_up(self) -> None:
        """See to it that the newest that is due is done, by this worker or by another one.

        It waits while somebody else does it, and takes it over when that one dies.
        """
        while True:
            try:
                if await self._is_settled():
                    self._complaint = ""
                    return
            except StoreError as error:
                self._complain(f"the store: {error}")
            await asyncio.sleep(self._poll_seconds)

    async def _is_settled(self) -> bool:
        work = self._work
        now = work.clock()
        tick = await asyncio.to_thread(work.schedule.latest_due, now)
        if tick is None or not work.still(tick, now):
            return True
        claim = await asyncio.to_thread(work.lease.claim, tick.name)
        if claim.standing is Standing.HELD and claim.tick != tick.name:
            # An older one, whose worker died: its time is over.
            await asyncio.to_thread(work.lease.finish)
            claim = await asyncio.to_thread(work.lease.claim, tick.name)
        if claim.standing is Standing.HELD:
            return await self._run(tick)
        return claim.standing is Standing.DONE and claim.tick == tick.name

    async def _run(self, tick: Tick) -> bool:
        """Whether it is done."""
        lease, done = self._work.lease, False
        renewing = asyncio.create_task(self._renew())
        try:
            await asyncio.to_thread(self._work.run, tick)
            done = True
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(_give_back, lease, failed=False, done=False))
            raise
        except StoreError as error:
            self._complain(str(error))
        except Exception:  # the edge of a background run: logged, and tried twice more
            _LOGGER.exception("the %s of %s failed", self._work.name, tick.name)
        finally:
            renewing.cancel()
        await asyncio.to_thread(_give_back, lease, failed=not done, done=done)
        return done

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await asyncio.to_thread(self._work.lease.renew)
            except StoreError as error:
                self._complain(f"its lease: {error}")

    def _complain(self, message: str) -> None:
        """Log the first of a row of equal troubles."""
        if message != self._complaint:
            _LOGGER.error("%s: %s", self._work.name, message)
        self._complaint = message


def _give_back(lease: Lease, *, failed: bool, done: bool) -> None:
    try:
        if done:
            lease.finish()
        else:
            lease.release(failed=failed)
    except StoreError as error:
        _LOGGER.warning("a lease could not be given back: %s", error)  # it runs out
    lease.forget()
