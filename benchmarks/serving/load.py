"""A load generator in a process of its own: closed loop, keep-alive, raw sockets.

    python -m benchmarks.serving.load < work.json

Each of `clients` connections sends its next request as soon as it has the answer to the last. The
request bytes are made beforehand and an answer is only looked at for its length, its status and
for what marks it, so that the generator costs little; it reports the share of the time in which
it was busy itself.
"""

from __future__ import annotations

import json
import resource
import selectors
import socket
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

from benchmarks.line import request_of

__all__ = ["load"]

_LENGTH = b"content-length: "
_MOST = 1 << 18


class _Client:
    """One connection."""

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = requests
        self._chunks: list[bytes] = []
        self._missing = -1
        self.sent_at = 0

    def send(self) -> None:
        """The next request."""
        request = next(self._requests)
        self._chunks, self._missing = [], -1
        self.sent_at = time.perf_counter_ns()
        self.socket.sendall(request)

    def received(self) -> bytes | None:
        """Read; the whole answer once it is there."""
        chunk = self.socket.recv(_MOST)
        if not chunk:
            raise ConnectionError("the server closed a connection")
        self._chunks.append(chunk)
        if self._missing < 0:
            head = chunk if len(self._chunks) == 1 else b"".join(self._chunks)
            end = head.find(b"\r\n\r\n")
            if end < 0:
                return None
            begin = head.lower().find(_LENGTH, 0, end) + len(_LENGTH)
            if begin < len(_LENGTH):
                raise ConnectionError("an answer came without its length")
            length = int(head[begin : head.index(b"\r", begin)])
            self._missing = end + 4 + length - len(head)
        else:
            self._missing -= len(chunk)
        if self._missing > 0:
            return None
        return chunk if len(self._chunks) == 1 else b"".join(self._chunks)


def load(
    port: int,
    bodies: Sequence[tuple[str, bytes]],
    *,
    clients: int,
    seconds: float,
    mark: bytes,
    warm_seconds: float = 0.0,
) -> dict[str, Any]:
    """Ask for so long.

    Args:
        port: on loopback.
        bodies: path and JSON of each request, taken in turn by whoever is free.
        clients: connections.
        seconds: until no new request is sent, after the warm-up.
        mark: an answer that has it is counted as marked.
        warm_seconds: at the beginning; what is sent then is no part of latencies and seconds.

    Returns:
        latencies in nanoseconds; the seconds that they took together; of all requests, those of
        the warm-up among them: answered, not 200, marked; and the busy share of this process.

    Raises:
        ConnectionError: the server closed a connection, or an answer has no length.
    """
    requests = cycle([request_of(path, body) for path, body in bodies])
    connections = [_Client(port, requests) for _ in range(clients)]
    used, began = _processor_seconds(), time.perf_counter_ns()
    outcome = _Outcome(mark, began + int(warm_seconds * 1e9))
    _exchange(connections, outcome, began + int((warm_seconds + seconds) * 1e9))
    ended = time.perf_counter_ns()
    busy = (_processor_seconds() - used) / ((ended - began) / 1e9)
    for client in connections:
        client.socket.close()
    return {
        "latencies": outcome.latencies.tolist(),
        "seconds": (ended - outcome.first_sent_at) / 1e9 if outcome.latencies else 0.0,
        "answered": outcome.answered,
        "failed": outcome.failed,
        "marked": outcome.marked,
        "busy": busy,
    }


class _Outcome:
    """What came back.

    Args:
        mark: to be looked for.
        warm_until: what was sent earlier is not timed, nanoseconds.
    """

    def __init__(self, mark: bytes, warm_until: int) -> None:
        self._mark, self._warm_until = mark, warm_until
        self.latencies = array("q")
        self.answered = self.failed = self.marked = 0
        self.first_sent_at = 0

    def note(self, answer: bytes, sent_at: int, now: int) -> None:
        """An answer that has come in whole."""
        self.answered += 1
        self.failed += not answer.startswith(b"HTTP/1.1 200")
        self.marked += self._mark in answer
        if sent_at < self._warm_until:
            return
        self.latencies.append(now - sent_at)
        if not self.first_sent_at or sent_at < self.first_sent_at:
            self.first_sent_at = sent_at


def _exchange(connections: Sequence[_Client], outcome: _Outcome, deadline: int) -> None:
    with selectors.DefaultSelector() as ready:
        for client in connections:
            ready.register(client.socket, selectors.EVENT_READ, client)
            client.send()
        waiting = len(connections)
        while waiting:
            for key, _ in ready.select():
                client = key.data
                answer = client.received()
                if answer is None:
                    continue
                now = time.perf_counter_ns()
                outcome.note(answer, client.sent_at, now)
                if now < deadline:
                    client.send()
                else:
                    waiting -= 1


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """What to do comes as JSON, and so does what came of it."""
    work = json.load(sys.stdin)
    bodies = [(path, body.encode()) for path, body in work.pop("bodies")]
    mark = work.pop("mark").encode()
    json.dump(load(work.pop("port"), bodies, mark=mark, **work), sys.stdout)


if __name__ == "__main__":
    main()
