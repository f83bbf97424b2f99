"""What a worker needs to make drift checks, in one place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from monitoring.drift.records import DriftRecords
from monitoring.observer import Observer
from monitoring.schedule import Schedule
from stores.documents import Documents
from stores.lease import Lease

__all__ = ["DriftDesk", "Ending", "Process", "Start"]


class Ending(Protocol):
    """How a process ended."""

    @property
    def failure(self) -> str | None:
        """Why it counts as failed, in one line; None when it does not."""
        ...


class Process(Protocol):
    """A process that runs beside the event loop."""

    def lines(self) -> AsyncIterator[bytes]:
        """What it writes, line by line, until it ends."""
        ...

    async def wait(self) -> Ending:
        """How it ended."""
        ...

    def kill(self) -> None:
        """End it now, with all it started."""
        ...


Start = Callable[[Sequence[str]], Awaitable[Process]]
"""Starts a program within its limits; OSError when that cannot be."""


@dataclass(frozen=True, slots=True)
class DriftDesk:
    """The parts of the checks of one worker.

    Attributes:
        records: where the program publishes what it found.
        documents: where the lease is.
        lease: of this worker, on the store that all workers share.
        schedule: when checks are due.
        grace: how late a check is still made.
        program: the command for a tick and a holder.
        start: starts it within its limits.
        clock: aware time, UTC.
        observer: is told of every check.
        enabled: False: only on demand.
    """

    records: DriftRecords
    documents: Documents
    lease: Lease
    schedule: Schedule
    grace: timedelta
    program: Callable[[str, str], Sequence[str]]
    start: Start
    clock: Callable[[], datetime]
    observer: Observer
    enabled: bool = True

    def close(self) -> None:
        """Release the stores. Closing twice is harmless."""
        self.records.close()
        self.documents.close()
