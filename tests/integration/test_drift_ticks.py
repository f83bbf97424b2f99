"""Two services of two workers each on one Redis, which are killed while they check."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

from monitoring.drift.redis_records import RedisDriftRecords
from stores.documents import Document
from stores.lease import Lease, Standing
from stores.redis_documents import RedisDocuments
from stores.redis_link import RedisLink
from tests.monitoring.ticking import Every
from tests.redis_server import new_book, shared_server

ROOT = Path(__file__).parents[2]
SECONDS = 1.0
TICKS = 20


def start(book: str, holder: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "tests.integration.drift_jobs", str(shared_server().port)]
    return subprocess.Popen(
        [*words, book, holder, str(SECONDS)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


def holder_of(document: Document, workers: dict[str, subprocess.Popen[bytes]]) -> str | None:
    return next((name for name in workers if f'"holder": "{name}"'.encode() in document.body), None)


def test_every_tick_is_made_once_while_workers_are_killed() -> None:
    book, chance = new_book(), random.Random(3)
    link = RedisLink(**shared_server().address, timeout_ms=5000)
    documents, records = RedisDocuments(book, link), RedisDriftRecords(book, lambda: link)
    names = [f"service {number // 2} worker {number % 2}" for number in range(4)]
    running = {name: start(book, name) for name in names}
    killed = 0
    try:
        until = monotonic() + 150
        while len(records.history(100)) < TICKS + 1:
            assert monotonic() < until, records.history(100)
            sleep(0.05)
            # Whoever makes a check is killed in the middle of it, now and then.
            name = holder_of(documents.read("lease"), running)
            if name is not None and killed < 6 and chance.random() < 0.1:
                running[name].send_signal(signal.SIGKILL)
                running.pop(name).wait()
                killed += 1
                fresh = f"{name.split(' again')[0]} again {killed}"
                running[fresh] = start(book, fresh)
    finally:
        for process in running.values():
            process.kill()
            process.wait()

    entries = records.history(100)
    # The newest may have been broken off by the end of this test.
    ticks = [entry["tick"] for entry in entries]
    assert max(Counter(ticks).values()) == 1
    assert killed == 6
    # On a busy machine a check may fail three times, and is given up then.
    schedule = Every(SECONDS)
    due = [schedule.latest_due(datetime.fromisoformat(tick)).name for tick in ticks]
    assert ticks == sorted(due, reverse=True)
    assert all(entry["report"] == {"method": "none"} for entry in entries[1:])
    last = Lease(documents, "lease", holder="last", seconds=1.0, timer=monotonic)
    assert {last.claim(tick).standing for tick in ticks[1:]} == {Standing.DONE}
    assert datetime.fromisoformat(ticks[0]) <= datetime.now(UTC)
    link.close()
