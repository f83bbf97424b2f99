"""What begins a check, or a report, when it is due. The only file that imports apscheduler.

APScheduler reads the time once and then sleeps until the next run. A clock that was set meanwhile
would move that run by as much, so it is looked at every few seconds and the next run corrected.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from monitoring.schedule import Schedule

__all__ = ["Scheduler"]

_LOGGER = logging.getLogger("usdcop.drift")
_JOB: Final = "due"
_LOOK_SECONDS: Final = 20.0


class _ScheduleTrigger(BaseTrigger):  # type: ignore[misc]  # apscheduler ships no types
    """APScheduler's way to ask for the next time."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def get_next_fire_time(
        self, previous_fire_time: datetime | None, now: datetime
    ) -> datetime | None:
        tick = self._schedule.next_tick(previous_fire_time or now)
        if tick is None or previous_fire_time is None or tick.due > now:
            return None if tick is None else tick.due
        # Of several that were missed only the newest is made: the others are not counted out.
        newest = self._schedule.latest_due(now)
        missed = newest is not None and newest.due > tick.due
        return newest.due if newest is not None and missed else tick.due


class Scheduler:
    """Calls what makes the due check, on the event loop that it was started on.

    Args:
        schedule: when.
        run: makes the newest check that is due, whoever else does too. While it runs it is not
            called again; what it raises is logged.
        grace_seconds: how late it may be called.
        look_seconds: how soon a clock that was set is noticed.
        what: is made, for the log.
    """

    def __init__(
        self,
        schedule: Schedule,
        run: Callable[[], Awaitable[None]],
        *,
        grace_seconds: int,
        look_seconds: float = _LOOK_SECONDS,
        what: str = "drift check",
    ) -> None:
        self._what = what
        self._schedule, self._run = schedule, run
        self._grace_seconds, self._look_seconds = grace_seconds, look_seconds
        self._scheduler: Any = AsyncIOScheduler(timezone=UTC)
        self._look: asyncio.Task[None] | None = None
        self._calling = False

    @property
    def next_run(self) -> datetime | None:
        """When it will be called next, UTC; None when it is stopped or nothing is due any more."""
        job = self._scheduler.get_job(_JOB) if self._look is not None else None
        return None if job is None else job.next_run_time

    def start(self) -> None:
        """Begin; the first call is due at once, for a check that was missed or not finished."""
        self._scheduler.start()
        self._plan()
        self._scheduler.add_job(
            self._called,
            misfire_grace_time=None,
            id=f"{_JOB}_at_start",
            name=f"{self._what} at start",
        )
        self._look = asyncio.create_task(self._keep_looking())

    def stop(self) -> None:
        """Call no more, and cancel a call that is under way. Stopping twice is harmless."""
        if self._look is not None:
            self._look.cancel()
            self._look = None
            self._scheduler.shutdown(wait=False)

    def correct(self) -> None:
        """Hold the next run against the clock as it is now."""
        expected = self._schedule.next_tick(datetime.now(UTC))
        planned = self.next_run
        if planned is None or (expected is not None and planned > expected.due):
            self._plan()
        else:
            self._scheduler.wakeup()

    def _plan(self) -> None:
        self._scheduler.add_job(
            self._called,
            _ScheduleTrigger(self._schedule),
            id=_JOB,
            name=self._what,
            replace_existing=True,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=self._grace_seconds,
        )

    async def _called(self) -> None:
        if self._calling:
            return
        self._calling = True
        try:
            await self._run()
        except asyncio.CancelledError:
            if self._look is not None:
                raise
        except Exception:  # the edge of a background run: logged, and due again next time
            _LOGGER.exception("a %s could not be made", self._what)
        finally:
            self._calling = False

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            self.correct()
