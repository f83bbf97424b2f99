"""Drift checks in a worker: whichever worker is first makes the one that is due, and one alone.

Nothing here runs on the thread of the decisions: the store is asked on other threads, and the
check itself is another process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from time import monotonic
from typing import Any

import orjson
from fastapi import Response

from api.drift_work import Check
from api.failures import failure_of
from errors import Conflict, NotReady, ServiceError, StoreError
from monitoring.drift.records import DriftRecords
from monitoring.drift_desk import DriftDesk
from monitoring.observer import DriftChecked
from risk.events import timestamp
from stores.lease import Claim, Standing

__all__ = ["MANUAL", "DriftRuns"]

MANUAL = "manual:"
"""What the ticks begin with that nobody scheduled."""

_LOGGER = logging.getLogger("usdcop.drift")
_POLLS = 4  # within one length of the lease
_LONGEST_ANSWER = 4.0  # seconds; BentoML cuts a request off at `traffic.timeout`


class DriftRuns:
    """The checks of one worker, on its event loop."""

    def __init__(self, desk: DriftDesk) -> None:
        self._desk = desk
        self._poll_seconds = desk.lease.seconds / _POLLS
        self._check: Check | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_run: dict[str, Any] | None = None
        self._last_error: dict[str, Any] | None = None
        self._troubled = self._closed = False

    @property
    def records(self) -> DriftRecords:
        """What the checks found."""
        return self._desk.records

    def status(self) -> dict[str, Any]:
        """How the checks of this worker stand: next run, newest run, newest error."""
        tick = self._desk.schedule.next_tick(self._desk.clock()) if self._desk.enabled else None
        return {
            "enabled": self._desk.enabled,
            "next_run": None if tick is None else timestamp(tick.due),
            "running": None if self._check is None else self._check.tick,
            "last_run": self._last_run,
            "last_error": self._last_error,
        }

    async def catch_up(self) -> None:
        """See to it that the check that is due is made, by this worker or by another one.

        It waits while somebody else makes it, and takes it over when that one dies.
        """
        while not self._closed:
            try:
                tick, known = await asyncio.to_thread(self._wanted)
                if tick is None:
                    return
                if await self._settled(tick, known):
                    continue
            except StoreError as error:
                self._complain(None, f"the store of the drift checks: {error}")
            await asyncio.sleep(self._poll_seconds)

    async def check_now(self, new_id: str) -> dict[str, Any]:
        """Make a check now; its verdict if there is one within four seconds.

        Args:
            new_id: names this check.

        Raises:
            Conflict: one is running, here or elsewhere.
            NotReady: it failed before it had a verdict, or this worker is about to stop.
            StoreError: nobody knows whether one is running.
        """
        if self._closed:
            raise NotReady("the service is about to stop; ask again")
        until = monotonic() + _LONGEST_ANSWER
        tick = f"{MANUAL}{new_id}"
        claim = await asyncio.to_thread(self._desk.lease.claim, tick, resume=False)
        if claim.standing is Standing.HELD:
            check = self._begun(claim.tick)
            if claim.tick == tick:
                return await self._answer(check, until)
        raise Conflict(
            f"the check {claim.tick} is running; its result will be at /v1/drift/latest",
            code="drift_check_running",
            detail={"tick": claim.tick},
        )

    async def answer(self, new_id: str) -> Response:
        """`check_now` as an answer to a caller."""
        try:
            content = await self.check_now(new_id)
        except ServiceError as error:
            failure = failure_of(error)
            return Response(failure.body, failure.status, media_type="application/json")
        return Response(orjson.dumps(content), media_type="application/json")

    async def close(self) -> None:
        """End what is under way, and begin nothing more; another worker makes that check again."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._desk.close)

    def _wanted(self) -> tuple[str | None, tuple[str, ...]]:
        """The check to be seen to now, or one that was begun and not finished; None: all is done.

        Beside it, what was done when it was chosen: by the time that it is claimed, others may have
        made it and newer ones, and then it is not to be made any more.

        Checks that became due while an earlier one was made come one after the other. Those that
        are later than the grace are left out, and all before the newest that is done.
        """
        desk, done = self._desk, self._desk.lease.done()
        now = desk.clock()
        due: list[str] = []
        tick = desk.schedule.next_tick(now - desk.grace)
        while tick is not None and tick.due <= now:
            due.append(tick.name)
            tick = desk.schedule.next_tick(tick.due)
        places = [place for place, name in enumerate(due) if name in done]
        # Where nobody knows of any, only the newest is made: the others are history.
        missing = due[places[-1] + 1 :] if places else due[-1:]
        return missing[0] if missing else desk.lease.open_tick(), done

    async def _settled(self, tick: str, known: tuple[str, ...]) -> bool:
        claim: Claim = await asyncio.to_thread(self._desk.lease.claim, tick, known=known)
        if claim.standing is Standing.HELD and self._closed:
            await asyncio.to_thread(self._give_back, failed=False, done=False)
        elif claim.standing is Standing.HELD:
            self._begun(claim.tick)
            await asyncio.wait(self._tasks)
            return False
        return claim.standing is Standing.DONE and claim.tick == tick

    async def _answer(self, check: Check, until: float) -> dict[str, Any]:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - monotonic())):
                verdict = await asyncio.shield(check.verdict)
                if verdict is None:
                    reason = (self._last_error or {}).get("message", "its log says why")
                    raise NotReady(f"the check failed: {reason}", code="drift_check_failed")
                return {**verdict, "report": check.report or "pending"}
        return {"state": "running", "tick": check.tick, "report": "pending"}

    def _begun(self, tick: str) -> Check:
        """Run a check that the lease is held for; a caller that goes away does not end it."""
        check = self._check = Check(tick, self._desk.lease)
        task = asyncio.create_task(self._run(check))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return check

    async def _run(self, check: Check) -> None:
        begun, failure = monotonic(), "it was broken off"
        try:
            if await asyncio.to_thread(self._is_published, check.tick):
                failure = ""
            else:
                program = self._desk.program(check.tick, self._desk.lease.holder)
                failure = await check.run(self._desk.start, program) or ""
                self._note(check, monotonic() - begun, failure)
        except StoreError as error:
            failure = str(error)
            self._complain(check.tick, failure)
        except Exception as error:  # noqa: BLE001 - the edge of a background run: logged, counted
            failure = f"{type(error).__name__}: {error}"
            self._note(check, monotonic() - begun, failure)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(self._give_back, failed=False, done=False))
            raise
        finally:
            self._check = None
            check.end()
        await asyncio.to_thread(self._give_back, failed=bool(failure), done=not failure)

    def _is_published(self, tick: str) -> bool:
        """Whether somebody published all of it and died before telling the lease."""
        for entry in self._desk.records.history(5):
            if entry.get("tick") == tick:
                return isinstance(entry.get("report"), dict)
        return False

    def _give_back(self, *, failed: bool, done: bool) -> None:
        lease = self._desk.lease
        try:
            kept = lease.finish() if done else lease.release(failed=failed)
        except StoreError as error:
            # It runs out, and whoever takes it over finds what was published.
            _LOGGER.warning("the lease could not be given back: %s", error)
            kept = True
        lease.forget()
        if not kept:
            _LOGGER.warning("the lease was taken over by another process")

    def _note(self, check: Check, seconds: float, failure: str) -> None:
        entry, report = check.told, check.report or {}
        state = "failed" if failure else str(entry.get("state", "unknown"))
        self._last_run = {
            "tick": check.tick,
            "state": state,
            "finished_at": timestamp(self._desk.clock()),
            "seconds": seconds,
            "report": report.get("method"),
        }
        if failure:
            self._complain(check.tick, failure)
        else:
            self._troubled = False
            _LOGGER.info("the drift check of %s: %s, %.1f s", check.tick, state, seconds)
        self._desk.observer.observe(
            DriftChecked(
                state=state,
                seconds=seconds,
                report=str(report.get("method", "none")),
                trigger="manual" if check.tick.startswith(MANUAL) else "scheduled",
            )
        )

    def _complain(self, tick: str | None, message: str) -> None:
        """Log the first of a row of equal troubles, and keep the newest for whoever asks."""
        known = self._troubled and (self._last_error or {}).get("message") == message
        self._troubled = True
        if not known:
            _LOGGER.error("drift check %s: %s", tick or "", message)
        self._last_error = {
            "tick": tick,
            "message": message,
            "at": timestamp(self._desk.clock()),
        }
