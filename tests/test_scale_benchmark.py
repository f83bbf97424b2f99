"""The soak and the scale benchmark count and judge rightly; what they measure is not asserted."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from benchmarks.decisions import again, drafts_in, grow
from benchmarks.line import length_of
from benchmarks.paced import Pacer, paced
from benchmarks.pauses import Activity, Pause, Sleeper, during, pauses_of, told, worker_in
from benchmarks.soak_beside import Sample, growth_per_hour, rotate
from benchmarks.usage import Usage, disk_times, first_limit
from observation import DecisionRequest
from risk.ledger.memory import MemoryLedger
from risk.ledger.sqlite import SqliteLedger
from risk.verification import examine
from tests.answering import answering
from tests.recorded_decisions import recorded_decision

MS = 1_000_000
SLOW, PAUSE_SECONDS = 10, 0.2


@pytest.fixture
def port() -> Iterator[int]:
    """A server that stands still once, on its eleventh answer."""
    lock = threading.Lock()

    def answer(number: int) -> tuple[int, bytes]:
        with lock:
            if number == SLOW:
                sleep(PAUSE_SECONDS)
        return 200, b"{}"

    with answering(answer) as found:
        yield found


def sleeper(**columns: list[int]) -> Sleeper:
    names = ("late_at", "late", "at", "worked", "waited", "written")
    return Sleeper(*(np.array(columns.get(name, []), np.int64) for name in names))


def usage(
    *workers: float, redis: float | None = None, machine: float = 0.5, disk: float = 0.1
) -> Usage:
    return Usage(1.0, workers, redis, machine, 0.0, disk, 0.0)


def pause(begin: int, end: int, *, generator_late: int = 0) -> Pause:
    return Pause(begin * MS, end * MS, (end - begin) * MS, 1, generator_late * MS)


def test_every_request_that_was_due_in_a_pause_of_the_server_has_it_in_its_latency(
    port: int,
) -> None:
    found = paced(port, [("/", b"{}")], per_second=100, seconds=0.5, connections=2, mark=b"nothing")
    assert len(found.due) == len(found.done) == len(found.late) == 50
    assert (np.diff(found.due) > 0).all()
    # A closed loop of two connections would have seen two slow answers. The pause lasts for
    # twenty requests; some are let off, for the machine may be busy.
    assert int((found.done - found.due > 20 * MS).sum()) >= 10
    assert (found.failed, found.marked) == (0, 0)


def test_a_request_that_waited_for_a_connection_was_not_sent_late_by_the_generator() -> None:
    pacer = Pacer(begin=0, per_second=1000, total=3)
    pacer.note_sent(0)
    pacer.note_freed(30 * MS)
    pacer.note_sent(30 * MS + 5)
    assert list(pacer.late) == [0, 5]
    assert pacer.next_due == 2 * MS
    pacer.note_sent(40 * MS)
    assert list(pacer.late) == [0, 5, 10 * MS]
    assert pacer.next_due is None


def test_an_answer_is_whole_when_its_head_says_so() -> None:
    assert length_of(b"HTTP/1.1 200 OK\r\nContent-Len") is None
    answer = b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 2\r\n\r\n{}"
    assert length_of(answer) == len(answer)
    with pytest.raises(ConnectionError, match="without its length"):
        length_of(b"HTTP/1.1 200 OK\r\n\r\ncontent-length: 2\r\n")


def test_slow_requests_that_overlap_are_one_pause() -> None:
    due = np.array([0, 10, 20, 30, 100, 200], np.int64) * MS
    done = np.array([50, 51, 52, 53, 101, 221], np.int64) * MS
    late = np.array([0, 0, 3, 0, 0, 0], np.int64) * MS
    first, second = pauses_of(due, done, late)
    assert (first.begin, first.end, first.worst) == (0, 53 * MS, 50 * MS)
    assert (first.requests, first.generator_late) == (4, 3 * MS)
    assert (second.begin, second.end, second.requests) == (200 * MS, 221 * MS, 1)
    assert pauses_of(due, due + 20 * MS, late) == []


def test_a_pause_is_not_the_services_only_if_it_would_be_none_without_what_was_late() -> None:
    assert pause(0, 30).is_of_service(9 * MS)
    assert not pause(0, 30).is_of_service(10 * MS)
    assert not pause(0, 30, generator_late=10).is_of_service(0)


def test_only_what_a_sleeper_noted_within_a_pause_counts_as_the_machine_being_late() -> None:
    seen = sleeper(late_at=[100 * MS, 130 * MS], late=[6 * MS, 7 * MS], written=[35 * MS])
    assert seen.machine_late(pause(101, 120)) == 0
    assert seen.machine_late(pause(99, 124)) == 7 * MS
    assert seen.checkpoints(pause(30, 60))
    assert not seen.checkpoints(pause(36, 60))


def test_a_pause_is_told_with_what_went_on_in_it() -> None:
    activities = [
        Activity("log rotation", 45 * MS, 46 * MS),
        Activity("drift check", 10 * MS, 90 * MS),
        Activity("drift check", 300 * MS, 400 * MS),
        Activity("later", 60 * MS, 70 * MS),
    ]
    seen = sleeper(
        at=[20 * MS, 30 * MS, 60 * MS], worked=[5 * MS, 9 * MS, 31 * MS], waited=[0, MS, 4 * MS]
    )
    assert during(pause(40, 60), activities) == ["drift check", "log rotation"]
    assert worker_in(pause(40, 60), seen) == (22.0, 3.0)
    assert worker_in(pause(40, 61), seen) is None
    ((when, words),) = told(pause(40, 61), 0, activities, seen).items()
    assert when == "0.04 s"
    assert "drift check, log rotation" in words
    assert "of the service" in words


def test_what_is_used_up_first_is_named() -> None:
    assert "one worker" in first_limit(usage(0.97), 0.3)
    assert "all workers" in first_limit(usage(0.9, 0.95), 0.3)
    assert "Redis" in first_limit(usage(0.4, 0.4, redis=0.9, machine=0.95), 0.3)
    assert "machine" in first_limit(usage(0.9, 0.6, machine=0.99), 0.3)
    assert "generator" in first_limit(usage(0.5), 0.99)
    assert "disk" in first_limit(usage(0.5, disk=0.9), 0.3)
    assert "waits" in first_limit(usage(0.5), 0.3)


def test_a_disk_that_the_kernel_does_not_list_is_not_known() -> None:
    line = " 254 0 vda 1 0 8 2 3 4 5 6 0 665 7 0 0 0 0 103 43"
    assert disk_times(line, os.makedev(254, 0)) == (665, 103)
    assert disk_times(line, os.makedev(254, 1)) is None


def test_memory_that_grows_has_a_slope() -> None:
    samples = [Sample(30.0 * number, 200.0 + number, 40, 0) for number in range(10)]
    assert growth_per_hour(samples) == pytest.approx(120.0)
    assert growth_per_hour(samples[:4]) is None


def test_a_rotated_log_goes_on_in_the_same_file(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"before\n")
        assert rotate(log) == 7
        writer.write(b"after\n")
    assert log.read_bytes() == b"after\n"
    assert (tmp_path / "server.log.1").read_bytes() == b"before\n"


def test_a_ledger_that_was_filled_with_decisions_again_verifies(tmp_path: Path) -> None:
    now = datetime(2026, 3, 2, 13, 5, tzinfo=UTC)
    request = DecisionRequest(np.zeros(45, np.float32), observed_at=now)
    first = MemoryLedger()
    first.append([recorded_decision(request, now, f"decision-{n}", "HOLD") for n in range(3)])
    drafts = again(drafts_in(first, 10), "again", now + timedelta(hours=1))
    ledger = SqliteLedger(tmp_path / "state.db")
    grow(ledger, drafts, 700)
    grow(ledger, drafts, 1234)
    examination = examine(ledger, progress=lambda _: None)
    ledger.close()
    assert examination.is_intact
    assert examination.events == 1234
    assert len({draft.event_id for draft in islice(drafts, 50)}) == 50
