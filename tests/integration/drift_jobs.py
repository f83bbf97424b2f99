"""A small program in the place of the drift job, and workers that run it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from api.drift_runs import DriftRuns
from monitoring.drift.records import DriftRecords
from monitoring.drift.redis_records import RedisDriftRecords
from monitoring.drift_desk import DriftDesk
from monitoring.limited_process import LimitedProcess, Limits
from monitoring.observer import Observer
from monitoring.schedule import Schedule
from monitoring.scheduler import Scheduler
from stores.documents import Documents
from stores.lease import Lease
from stores.redis_documents import RedisDocuments
from stores.redis_link import RedisLink
from tests.fakes import RecordingObserver
from tests.monitoring.ticking import Every

LIMITS = Limits(30, 512)

PUBLISHES = """
import sys, time
from monitoring.drift.redis_records import RedisDriftRecords
from stores.redis_link import RedisLink
port, book, tick, holder = int(sys.argv[1]), *sys.argv[2:5]
link = RedisLink(host="127.0.0.1", port=port, timeout_ms=5000)
records = RedisDriftRecords(book, lambda: link)
entry = {"tick": tick, "state": "ok", "holder": holder}
records.publish(entry, None)
print('{"verdict": {"tick": "%s", "state": "ok"}}' % tick, flush=True)
time.sleep(0.1)
records.publish({**entry, "report": {"method": "none"}}, b"<html>")
print('{"report": {"method": "none"}}', flush=True)
"""
"""What the drift job does to the outside: its verdict, and then its report."""


def desk(
    documents: Documents,
    records: DriftRecords,
    program: Callable[[str, str], Sequence[str]],
    *,
    holder: str,
    schedule: Schedule,
    seconds: float = 1.0,
    limits: Limits = LIMITS,
    observer: Observer | None = None,
    **more: Any,
) -> DriftDesk:
    """The parts of a worker, with a lease of a second."""
    return DriftDesk(
        records=records,
        documents=documents,
        lease=Lease(documents, "lease", holder=holder, seconds=seconds, timer=time.monotonic),
        schedule=schedule,
        grace=timedelta(hours=1),
        program=program,
        start=lambda words: LimitedProcess.start(words, limits),
        clock=lambda: datetime.now(UTC),
        observer=observer or RecordingObserver(),
        **more,
    )


async def work(port: int, book: str, holder: str, seconds: float) -> None:
    """A worker: makes the checks that are due until it is killed."""

    def link() -> RedisLink:
        return RedisLink(host="127.0.0.1", port=port, timeout_ms=5000)

    schedule = Every(seconds)
    runs = DriftRuns(
        desk(
            RedisDocuments(book, link()),
            RedisDriftRecords(book, link),
            lambda tick, by: [sys.executable, "-c", PUBLISHES, str(port), book, tick, by],
            holder=holder,
            schedule=schedule,
        )
    )
    scheduler = Scheduler(schedule, runs.catch_up, grace_seconds=60)
    scheduler.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(work(int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])))
