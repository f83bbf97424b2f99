"""Callers of a service that dies under them: what a desk sends, and what it notes of the answers.

A caller that gets no answer does what a desk would: it sends the same order, the same result or
the same release again until it is told what became of it. Everything else is sent once.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

from benchmarks.connection import Connection, NoAnswer
from benchmarks.journal import Journal
from benchmarks.observations import known_vectors

__all__ = ["LIMITS", "Traffic"]

LIMITS: Mapping[str, str] = {
    "MAX_TRADES_PER_DAY": "12",
    "MAX_UNRESOLVED_ORDERS": "3",
    "MAX_DAILY_LOSS": "-0.01",
    "MAX_DRAWDOWN": "-0.02",
    "MAX_CONSECUTIVE_LOSSES": "4",
    "MIN_CONFIDENCE": "0.45",
    "HIGH_CONFIDENCE_THRESHOLD": "1.0",
    "COOLDOWN_AFTER_LOSS": "0",
    "COOLDOWN_AFTER_CIRCUIT_BREAK": "1",
    "APPROVAL_TTL_SECONDS": "3",
    "MARK_CONFIRM_SECONDS": "1",
    "MAX_DAILY_RESETS": "1000000",
}
"""So low that they are hit all the time; an operator resets what stands."""

_RETRY_SECONDS = 0.05
_UNFAMILIAR = 0.1
_AVAILABLE = {503, 504}
_IMPOSSIBLE = {"LEDGER_REGRESSED", "CONFIG_MISMATCH", "STALE_DATA", "OUTSIDE_TRADING_HOURS"}
_REQUESTS_PER_CONNECTION = 25


@dataclass
class _Shared:
    """What all callers know.

    Attributes:
        port: of the service.
        journal: what was acknowledged.
        storm: set while everybody hurries.
        over: set when they are to finish.
        orders: bodies of recent orders, for others to send again.
        approved: those of them that are known to be approved.
    """

    port: int
    journal: Journal
    storm: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)
    orders: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=40))
    approved: set[str] = field(default_factory=set)

    def pause(self, chance: random.Random) -> None:
        time.sleep(chance.uniform(0, 0.003) if self.storm.is_set() else chance.uniform(0.01, 0.06))


class _Participant(Thread, ABC):
    """Somebody who calls the service."""

    def __init__(self, name: str, seed: str, shared: _Shared) -> None:
        super().__init__(name=name, daemon=True)
        self.chance = random.Random(f"{seed} {name}")
        self.shared, self.journal = shared, shared.journal
        self.connection = Connection(shared.port)
        self.sent = 0

    def run(self) -> None:
        """Act until it is over."""
        try:
            while not self.shared.over.is_set():
                self.act()
            self.finish()
        except Exception as error:  # noqa: BLE001 - a caller that stops in silence proves nothing
            self.journal.wrong(f"{self.name} failed: {error!r}")
        finally:
            self.connection.close()

    @abstractmethod
    def act(self) -> None:
        """One thing."""

    def finish(self) -> None:
        """Leave nothing half done."""

    def ask(self, path: str, body: Mapping[str, Any], *, also: int = 200) -> dict[str, Any] | None:
        """The content of an acknowledgement; None when it is not known what happened.

        Args:
            path: of the route.
            body: to be sent.
            also: another status that is a proper answer.
        """
        self.sent += 1
        if self.sent % _REQUESTS_PER_CONNECTION == 0:
            self.connection.close()
        try:
            status, content = self.connection.post(path, body)
        except NoAnswer:
            self.journal.lost("no answer")
            time.sleep(_RETRY_SECONDS)
            return None
        if status in {200, also} and isinstance(content, dict):
            return content
        if status in _AVAILABLE:
            self.journal.lost(str(status))
            time.sleep(_RETRY_SECONDS)
            return None
        self.journal.wrong(f"{path} answered {status} {content} to {body}")
        return None

    def until_told(
        self, path: str, body: Mapping[str, Any], *, also: int = 200
    ) -> dict[str, Any] | None:
        """Send the same until there is an answer; None when it was a wrong one."""
        wrongs = len(self.journal.violations)
        while (content := self.ask(path, body, also=also)) is None:
            if len(self.journal.violations) > wrongs:
                return None
        return content


class _Caller(_Participant):
    """A strategy: orders, results, reports."""

    def __init__(self, name: str, seed: str, shared: _Shared) -> None:
        super().__init__(name, seed, shared)
        self.open: list[str] = []
        self.named = 0
        self.acts = {
            self._order: 30,
            self._again: 8,
            self._advice: 12,
            self._looks: 10,
            self._resolve: 30,
            self._trade: 3,
            self._mark: 4,
            self._position: 4,
        }

    def act(self) -> None:
        """One of them by chance."""
        (act,) = self.chance.choices(list(self.acts), list(self.acts.values()))
        act()
        self.shared.pause(self.chance)

    def finish(self) -> None:
        """No order stays without an outcome."""
        while self.open:
            self._resolve()

    def _new_id(self, what: str) -> str:
        self.named += 1
        return f"{what}-{self.name}-{self.named}"

    def _observation(self) -> list[float]:
        if self.chance.random() < _UNFAMILIAR:
            return [round(self.chance.gauss(0, 1), 6) for _ in range(45)]
        vectors = known_vectors()
        row: list[float] = vectors[self.chance.randrange(len(vectors))].tolist()
        return row

    def _order(self) -> None:
        body: dict[str, Any] = {
            "observation": self._observation(),
            "order_id": self._new_id("order"),
        }
        if self.chance.random() < 0.1:
            body["position"] = round(self.chance.uniform(-0.05, 0.05), 4)
        if self.chance.random() < 0.3:
            self.shared.orders.append(body)  # somebody else may send it at the same moment
        self._send_order(body)

    def _again(self) -> None:
        if self.shared.orders:
            self._send_order(self.chance.choice(self.shared.orders))

    def _send_order(self, body: Mapping[str, Any]) -> None:
        order_id = body["order_id"]
        was_approved = order_id in self.shared.approved
        while (answer := self._decide(body)) is None:
            pass
        if was_approved and not answer["replayed"]:
            self.journal.wrong(f"order {order_id} was approved, and is decided on anew: {answer}")
        if not answer["approved"] or answer["replayed"]:
            return
        self.shared.approved.add(order_id)
        self.shared.orders.append(body)
        self.open.append(order_id)

    def _decide(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """An answer that is on record; None otherwise."""
        answer = self.ask("/v1/inference", body)
        if answer is None:
            return None
        status, order_id = answer["risk_status"], body.get("order_id")
        if status in _IMPOSSIBLE or (status != "SYSTEM_ERROR" and answer["state_sequence"] is None):
            self.journal.wrong(f"a decision was {status}: {answer['reasons']}")
        if answer["state_sequence"] is None:
            self.journal.lost("SYSTEM_ERROR")
            time.sleep(_RETRY_SECONDS)
            return None
        del answer["latency_ms"]
        if answer["replayed"]:
            self.journal.repeated(str(order_id), answer["decision_id"])
            self._adopt(str(order_id))
            if not answer["approved"]:
                return answer
        bound = order_id is not None and answer["approved"]
        self.journal.acknowledge(
            "decision",
            answer["decision_id"],
            {**answer, "replayed": False},
            key=f"order:{order_id}" if bound else None,
            anew=not answer["replayed"],
        )
        self.journal.decided(status)
        return answer

    def _adopt(self, order_id: str) -> None:
        """An order that is approved, and whose approval nobody was told of."""
        if order_id not in self.shared.approved:
            self.shared.approved.add(order_id)
            self.open.append(order_id)

    def _advice(self) -> None:
        body: dict[str, Any] = {"observation": self._observation()}
        if self.chance.random() < 0.3:
            body["use_ensemble"] = False
        if self.chance.random() < 0.1:
            body["capital_usd"] = 50_000
        self._decide(body)

    def _looks(self) -> None:
        body: dict[str, Any] = {"observation": self._observation(), "dry_run": True}
        if self.chance.random() < 0.5:
            body = {**body, "order_id": self._new_id("dry"), "enforce_risk_checks": False}
        self._decide(body)

    def _resolve(self) -> None:
        """Say how the oldest open order ended."""
        if not self.open:
            return
        order_id = self.open.pop(0)
        if self.chance.random() < 0.3:
            self._release(order_id)
        else:
            self._report(order_id)

    def _trade(self) -> None:
        self._report(None)

    def _release(self, order_id: str) -> None:
        outcome = self.chance.choice(["cancelled", "rejected", "expired"])
        body = {"order_id": order_id, "outcome": outcome}
        content = self.until_told("/v1/orders/release", body, also=409)
        if content is None or "error" in content:
            if content is not None and content["error"]["code"] != "order_closed":
                self.journal.wrong(f"the release of {order_id} was answered {content}")
            return
        self.journal.acknowledge(
            "order_closed", content["event_id"], body, key=f"outcome:{order_id}"
        )

    def _report(self, order_id: str | None) -> None:
        percent = round(self.chance.gauss(0.0002, 0.002), 6)
        body: dict[str, Any] = {
            "trade_id": self._new_id("trade"),
            "order_id": order_id,
            "pnl": round(percent * 100_000, 2),
            "pnl_percent": percent,
            "unrealized_pnl_percent": 0.0,
        }
        if self.chance.random() < 0.2:
            body["position"] = round(self.chance.uniform(-0.04, 0.04), 4)
        first = None
        for _ in range(1 if self.chance.random() < 0.8 else 2):  # now and then it is sent again
            content = self.until_told("/v1/risk/trade-result", body)
            if content is None:
                return
            if first is not None and not content["duplicate"]:
                self.journal.wrong(f"{body['trade_id']} was acknowledged twice as a new trade")
            first = content
            known = {name: value for name, value in body.items() if name != "position"}
            key = f"trade:{body['trade_id']}"
            self.journal.acknowledge("trade_result", content["event_id"], known, key=key)

    def _mark(self) -> None:
        body = {
            "unrealized_pnl_percent": round(self.chance.gauss(0, 0.004), 6),
            "as_of": _now(),
        }
        content = self.ask("/v1/risk/mark", body)
        if content is not None:
            self.journal.acknowledge("mark", content["event_id"], body)

    def _position(self) -> None:
        body = {"position": round(self.chance.uniform(-0.04, 0.04), 4), "as_of": _now()}
        content = self.ask("/v1/risk/position", body)
        if content is not None:
            self.journal.acknowledge("position", content["event_id"], body)


class _Admin(_Participant):
    """Halts now and then, resumes, and resets what has run into a limit."""

    def act(self) -> None:
        """Look, and do what is due."""
        summary = self._look()
        if summary is not None:
            self._operate(summary)
        time.sleep(self.chance.uniform(0.05, 0.25))

    def finish(self) -> None:
        """Leave the book open, so that every order finds its end."""
        self._resume()

    def _look(self) -> dict[str, Any] | None:
        try:
            status, content = self.connection.get("/v1/risk/summary")
        except NoAnswer:
            return None
        return content if status == 200 else None

    def _operate(self, summary: Mapping[str, Any]) -> None:
        if summary["operator"]["mode"] != "ACTIVE":
            self._resume()
        elif self.chance.random() < 0.12:
            self._halt()
        stats, breaker = summary["daily_stats"], summary["breaker"]
        stands = any(cause["released_by"].startswith("a reset") for cause in breaker["causes"])
        full = stats["trades_today"] >= int(LIMITS["MAX_TRADES_PER_DAY"])
        if stands:
            self._reset("all")
        elif full or (breaker["state"] != "CLOSED" and self.chance.random() < 0.1):
            self._reset("daily")

    def _halt(self) -> None:
        mode = self.chance.choice(["HALTED", "REDUCING"])
        body = {"mode": mode, "reason": f"halt {self.sent}"}
        content = self.ask("/v1/risk/halt", body)
        if content is not None:
            self.journal.acknowledge("operator_halted", content["event_id"], body)

    def _resume(self) -> None:
        body = {"mode": "ACTIVE", "reason": f"resume {self.sent}"}
        content = self.until_told("/v1/risk/resume", body)
        # One whose answer was lost has changed it already: then there is no event of this one.
        if content is not None and content["event_id"] is not None:
            self.journal.acknowledge("operator_resumed", content["event_id"], body)

    def _reset(self, scope: str) -> None:
        body = {"scope": scope, "reason": f"reset {self.sent}"}
        content = self.ask("/v1/risk/reset", body)
        if content is not None:
            self.journal.acknowledge("reset", content["event_id"], body)


class Traffic:
    """All callers of one service.

    Args:
        port: of the service; it may be down for a while.
        seed: of what they do.
        journal: where they note what they are told.
        callers: how many strategies there are, beside the one admin.
    """

    def __init__(self, port: int, seed: int, journal: Journal, *, callers: int = 6) -> None:
        self._shared = _Shared(port, journal)
        self._participants: list[_Participant] = [
            *(_Caller(f"c{number}", str(seed), self._shared) for number in range(callers)),
            _Admin("admin", str(seed), self._shared),
        ]

    def __enter__(self) -> Traffic:
        for participant in self._participants:
            participant.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._shared.over.set()
        failed = reason[0] is not None
        for participant in self._participants:
            participant.join(1 if failed else 60)
            if participant.is_alive() and not failed:
                self._shared.journal.wrong(f"{participant.name} got no answer for a minute")

    @contextmanager
    def storm(self) -> Iterator[None]:
        """Everybody hurries, so that something is always under way."""
        self._shared.storm.set()
        try:
            yield
        finally:
            self._shared.storm.clear()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
