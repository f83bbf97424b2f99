"""Stand-ins for what alerts go through: a clock, a sender that remembers, an HTTP listener."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Event, Lock, Thread
from time import monotonic, sleep
from typing import Any

from monitoring.alerts.board import AlertRules, Message, Target
from monitoring.alerts.causes import Cause, Condition, Look
from monitoring.alerts.dispatcher import Surroundings
from monitoring.alerts.episodes import Teller
from monitoring.alerts.sender import DeliveryFailed, Sender
from tests.book import MONDAY_NOON_UTC
from tests.fakes import RecordingObserver

RULES = AlertRules(
    quiet=timedelta(minutes=15),
    settled=timedelta(seconds=10),
    escalate=timedelta(minutes=15),
    retry=timedelta(seconds=10),
    give_up=timedelta(hours=1),
)
TARGET = Target("aaaa", "1 (json)")
ALL = frozenset(Cause)
HALTED = Condition(Cause.HALT, "HALTED", "trading is HALTED by tester", escalates=True)
NEAR = Condition(Cause.LIMIT, "trades", "trades is at 90% of its limit")
TRIPPED = Condition(Cause.BREAKER, "daily_loss", "the circuit breaker is open", escalates=True)


def look(*conditions: Condition, judged: frozenset[Cause] = ALL) -> Look:
    return Look(conditions, judged)


@dataclass
class Time:
    """A clock and a timer that a test moves together."""

    now: datetime = MONDAY_NOON_UTC
    seconds: float = 0.0
    targets: tuple[Target, ...] = (TARGET,)
    prefix: str = "id"
    _ids: Any = field(default_factory=count)

    def wait(self, **duration: float) -> None:
        self.now += timedelta(**duration)
        self.seconds += timedelta(**duration).total_seconds()

    def new_id(self) -> str:
        return f"{self.prefix}-{next(self._ids)}"

    def teller(self) -> Teller:
        return Teller(self.now, RULES, self.targets, self.new_id)


@dataclass
class FakeSender:
    """Remembers what arrived; refuses, or hangs, as it is told."""

    targets: tuple[Target, ...] = (TARGET,)
    arrived: list[tuple[str, str]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    hangs: set[str] = field(default_factory=set)
    let_go: Event = field(default_factory=Event)
    _lock: Any = field(default_factory=Lock)

    def send(self, mark: str, message: Message) -> None:
        if mark in self.hangs:
            self.let_go.wait(20)
        if mark in self.refuses:
            raise DeliveryFailed("the target cannot be reached")
        with self._lock:
            self.arrived.append((mark, message.message_id))


def surroundings(sender: Sender, time: Time, timeout_seconds: float = 15.0) -> Surroundings:
    return Surroundings(
        sender=sender,
        rules=RULES,
        clock=lambda: time.now,
        timer=lambda: time.seconds,
        new_id=time.new_id,
        observer=RecordingObserver(),
        timeout_seconds=timeout_seconds,
    )


def eventually(condition: Callable[[], bool], seconds: float = 20.0, every: float = 0.02) -> None:
    until = monotonic() + seconds
    while not condition():
        assert monotonic() < until, "it did not come about in time"
        sleep(every)


class Listener:
    """An HTTP target of Apprise on loopback; it can be down, and come back on the same port."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/secret-token"

    @property
    def titles(self) -> list[str]:
        return [message["title"] for message in self.received]

    def start(self) -> None:
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                del format, arguments

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *reason: object) -> None:
        self.stop()
