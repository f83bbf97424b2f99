"""A call to a monitor, for as long as the service is able to decide.

Every worker asks for the beat of an interval; the one that gets it calls. A worker that is not able
to decide asks for none, so that another one that is calls in its place. To get a beat is a write to
the store that the ledger is in, or to the folder of its file: a store that takes no writes is
silent too.
"""

from __future__ import annotations

import asyncio
import logging

from application import Application
from errors import StoreError
from monitoring.day.pulse import BeatFailed, Pulse

__all__ = ["Heart", "unable_to_decide"]

_LOGGER = logging.getLogger("usdcop.heartbeat")


def unable_to_decide(application: Application) -> str | None:
    """Why every decision would be HOLD whatever the market does; None when none has to be.

    A halt is no such reason: it is meant.
    """
    ledger = application.ledger
    try:
        recorded = ledger.head().state.configuration
    except StoreError as error:
        return str(error)
    if ledger.trouble is not None:
        return ledger.trouble
    if recorded not in {None, application.desk.configuration}:
        return "the book has other limits or models on record: CONFIG_MISMATCH"
    return None


class Heart:
    """The beats of one worker.

    Args:
        application: that decides.
        pulse: tells the monitor.
        seconds: from one beat to the next.
    """

    def __init__(self, application: Application, pulse: Pulse, seconds: float) -> None:
        self._application, self._pulse, self._seconds = application, pulse, seconds
        self._newest: int | None = None
        self._complaint: str | None = None

    async def keep_beating(self) -> None:
        """Beat for as long as the event loop turns. Calls are made on threads."""
        pause = min(1.0, self._seconds / 4)
        while True:
            try:
                await asyncio.to_thread(self.step)
            except Exception:
                _LOGGER.exception("a heartbeat failed; the next one comes")
            await asyncio.sleep(pause)

    def step(self) -> None:
        """Call, if a beat is due and nobody has made it."""
        beat = int(self._application.desk.clock().timestamp() // self._seconds)
        if beat == self._newest:
            return
        reason = unable_to_decide(self._application)
        self._complain(self._called(beat) if reason is None else f"no heartbeat: {reason}")

    def _called(self, beat: int) -> str | None:
        """Why the beat was not made; None when it was, by whomever."""
        try:
            taken = self._application.day.take_beat(beat)
            self._newest = beat
            if taken:
                self._pulse.beat()
        except StoreError as error:
            return f"no heartbeat: {error}"
        except BeatFailed as error:
            return f"the heartbeat was not taken: {error}"
        return None

    def _complain(self, reason: str | None) -> None:
        """Log the first of a row of equal troubles, and their end."""
        if reason == self._complaint:
            return
        if reason is None:
            _LOGGER.warning("the heart beats again")
        else:
            _LOGGER.error("%s", reason)
        self._complaint = reason
