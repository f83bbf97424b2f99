"""An open-loop load generator: requests at a fixed rate, whether or not answers come.

    python -m benchmarks.paced --out times.npz < work.json

One process. Each request has the time at which it is due, and its latency counts from there, also
when it had to wait for a free connection: a pause of the server is seen by every request that was
due in it, and not by the one that happened to be under way.
"""

from __future__ import annotations

import argparse
import gc
import json
import selectors
import sys
import time
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.line import Line, request_of

__all__ = ["Paced", "Pacer", "load_times", "paced"]

_HEAD_NS: Final = 50_000_000
_SILENCE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Paced:
    """When each request was due, and answered; all of the machine's monotonic clock.

    Attributes:
        due: nanoseconds, ascending.
        done: when the whole answer was there, nanoseconds.
        late: nanoseconds after `due` at which it was sent although a connection was free: what the
            generator itself was late.
        failed: answers that were not 200.
        marked: answers with the mark.
    """

    due: NDArray[np.int64]
    done: NDArray[np.int64]
    late: NDArray[np.int64]
    failed: int
    marked: int


@dataclass(slots=True)
class Pacer:
    """Which request is due when, and how late it is sent through no fault of the server.

    Args:
        begin: when the first is due, nanoseconds.
        per_second: requests.
        total: requests.
    """

    begin: int
    per_second: float
    total: int
    sent: int = 0
    _freed_at: int = 0
    late: array[int] = field(default_factory=lambda: array("q"))

    def due(self, number: int) -> int:
        """When a request is due, nanoseconds."""
        return self.begin + int(number * 1e9 / self.per_second)

    @property
    def next_due(self) -> int | None:
        """When the next one is due; None after the last."""
        return None if self.sent == self.total else self.due(self.sent)

    def note_sent(self, now: int) -> int:
        """The next one is sent; which that is."""
        number, self.sent = self.sent, self.sent + 1
        self.late.append(now - max(self.due(number), self._freed_at))
        return number

    def note_freed(self, now: int) -> None:
        """All connections were taken until now."""
        self._freed_at = now


def paced(
    port: int,
    bodies: Sequence[tuple[str, bytes]],
    *,
    per_second: float,
    seconds: float,
    connections: int,
    mark: bytes,
) -> Paced:
    """Ask at this rate for so long, then wait for the last answer.

    Args:
        port: on loopback.
        bodies: path and JSON of each request, in turn.
        per_second: requests.
        seconds: in which they are due.
        connections: at most so many requests are under way; others wait, and their time counts.
        mark: an answer that has it is counted.

    Raises:
        ConnectionError: the server closed a connection, or fell silent.
    """
    exchange = _Exchange(
        [Line(port) for _ in range(connections)],
        [request_of(path, body) for path, body in bodies],
        Pacer(time.monotonic_ns() + _HEAD_NS, per_second, int(per_second * seconds)),
        mark,
    )
    exchange.run()
    pacer = exchange.pacer
    due = np.array([pacer.due(number) for number in range(pacer.total)], np.int64)
    late = np.array(pacer.late, np.int64)
    return Paced(due, np.array(exchange.done, np.int64), late, exchange.failed, exchange.marked)


class _Exchange:
    """Requests that go out and answers that come in, until all have come."""

    def __init__(
        self, lines: Sequence[Line], requests: Sequence[bytes], pacer: Pacer, mark: bytes
    ) -> None:
        self.pacer = pacer
        self._lines, self._free = lines, deque(lines)
        self._requests, self._mark = cycle(requests), mark
        self.done = array("q", bytes(8 * pacer.total))
        self.answered = self.failed = self.marked = 0

    def run(self) -> None:
        # `select` waits to the microsecond; the others round up to the next millisecond.
        with selectors.SelectSelector() as ready:
            for line in self._lines:
                ready.register(line.socket, selectors.EVENT_READ, line)
            while self.answered < self.pacer.total:
                self._send_due()
                wait = self._wait()
                events = ready.select(_SILENCE_SECONDS if wait is None else wait)
                if not events and wait is None:
                    raise ConnectionError(f"no answer for {_SILENCE_SECONDS:.0f} seconds")
                for key, _ in events:
                    self._receive(key.data)
        for line in self._lines:
            line.socket.close()

    def _send_due(self) -> None:
        pacer = self.pacer
        while self._free and (due := pacer.next_due) is not None:
            now = time.monotonic_ns()
            if due > now:
                return
            self._free.popleft().send(pacer.note_sent(now), next(self._requests))

    def _wait(self) -> float | None:
        """Seconds until something is to be sent; None if only an answer is waited for."""
        due = self.pacer.next_due
        if due is None or not self._free:
            return None
        return max(0, due - time.monotonic_ns()) / 1e9

    def _receive(self, line: Line) -> None:
        answer = line.received()
        if answer is None:
            return
        now = time.monotonic_ns()
        self.done[line.number] = now
        self.answered += 1
        self.failed += not answer.startswith(b"HTTP/1.1 200")
        self.marked += self._mark in answer
        if not self._free:
            self.pacer.note_freed(now)
        self._free.append(line)


def load_times(path: Path) -> Paced:
    """What the program has written."""
    with np.load(path) as found:
        due, done, late = found["due"], found["done"], found["late"]
        return Paced(due, done, late, int(found["failed"]), int(found["marked"]))


def main() -> int:
    """What to do comes as JSON, as the arguments of `paced`; the times go to a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paced")
    parser.add_argument("--out", type=Path, required=True)
    told = parser.parse_args()
    work = json.load(sys.stdin)
    bodies = [(path, body.encode()) for path, body in work.pop("bodies")]
    mark = work.pop("mark").encode()
    # What it makes has no cycles, and a collection would look like a pause of the server.
    gc.disable()
    found = paced(work.pop("port"), bodies, mark=mark, **work)
    np.savez(
        told.out,
        due=found.due,
        done=found.done,
        late=found.late,
        failed=np.int64(found.failed),
        marked=np.int64(found.marked),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
