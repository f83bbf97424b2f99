"""What callers were told, and whether all of it is on record.

An acknowledged answer is one with status 200; a decision's also names the state that it was
judged on. What it said is kept as a digest, so that a long run fits into memory.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import orjson

from risk.ledger.protocol import Ledger, Record

__all__ = ["Journal", "digest_of", "recorded"]

Content = Mapping[str, Any]


def _part(*names: str) -> Callable[[Content], Content]:
    return lambda payload: {name: payload[name] for name in names}


def _answer(payload: Content) -> Content:
    answer: Content = payload["answer"]
    return {name: value for name, value in answer.items() if name != "latency_ms"}


_ACKNOWLEDGED: Mapping[str, Callable[[Content], Content]] = {
    "decision": _answer,
    "trade_result": _part("trade_id", "order_id", "pnl", "pnl_percent", "unrealized_pnl_percent"),
    "order_closed": _part("order_id", "outcome"),
    "position": _part("position", "as_of"),
    "mark": _part("unrealized_pnl_percent", "as_of"),
    "operator_halted": _part("mode", "reason"),
    "operator_resumed": _part("mode", "reason"),
    "reset": _part("scope", "reason"),
}
"""What of each kind of event a caller knows."""


def digest_of(kind: str, content: Content) -> bytes:
    """Names what was acknowledged."""
    text = orjson.dumps([kind, content], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).digest()[:16]


def recorded(record: Record) -> bytes | None:
    """The digest of what a caller knows of a record; None for what none is told of."""
    known = _ACKNOWLEDGED.get(record.kind)
    if known is None:
        return None
    return digest_of(record.kind, known(orjson.loads(record.body)["payload"]))


@dataclass
class Journal:
    """Acknowledged answers of all callers.

    Attributes:
        told: event id to its digest.
        bound: idempotency key to the event id that callers know.
        repeats: acknowledged answers to repeated orders, by order id.
        kinds: acknowledged answers by kind.
        statuses: `risk_status` of acknowledged decisions.
        unknown: requests whose answer was lost, or that were answered 503 or SYSTEM_ERROR.
        violations: answers that contradict each other, or that no caller should get.
    """

    told: dict[str, bytes] = field(default_factory=dict)
    bound: dict[str, str] = field(default_factory=dict)
    repeats: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def acknowledge(
        self,
        kind: str,
        event_id: str,
        content: Content,
        *,
        key: str | None = None,
        anew: bool = True,
    ) -> None:
        """Note an answer about an event; one that was only told again is not counted."""
        digest = digest_of(kind, content)
        with self._lock:
            self.kinds[kind] += anew
            if self.told.setdefault(event_id, digest) != digest:
                self.violations.append(f"two callers were told different things of {event_id}")
            if key is not None and self.bound.setdefault(key, event_id) != event_id:
                self.violations.append(
                    f"{key} was acknowledged as {self.bound[key]} and as {event_id}"
                )

    def decided(self, status: str) -> None:
        """Note the status of an acknowledged decision."""
        with self._lock:
            self.statuses[status] += 1

    def repeated(self, order_id: str, decision_id: str) -> None:
        """Note an answer to a repeated order."""
        with self._lock:
            self.kinds["order_replayed"] += 1
            self.repeats[order_id] += 1
            known = self.bound.setdefault(f"order:{order_id}", decision_id)
            if known != decision_id:
                self.violations.append(f"order {order_id} is {known} and {decision_id}")

    def lost(self, what: str) -> None:
        """Note a request of which its caller knows nothing."""
        with self._lock:
            self.unknown[what] += 1

    def wrong(self, what: str) -> None:
        """Note what should never be answered."""
        with self._lock:
            self.violations.append(what)

    def copy(self) -> Journal:
        """What was acknowledged up to now; the ledger must hold it."""
        with self._lock:
            return Journal(dict(self.told), dict(self.bound), Counter(self.repeats))

    def missing(self, ledger: Ledger, names: set[str], keys: set[str]) -> list[str]:
        """Ask the ledger for acknowledged events one by one: what it does not hold, in words."""
        found = []
        for name in names:
            event = ledger.by_id(name)
            if event is None:
                found.append(f"{name} was acknowledged and is not on record")
                continue
            body, place = event.body, event.sequence
            record = Record(place, event.kind.value, name, event.key, event.hash, body)
            if recorded(record) != self.told[name]:
                found.append(f"record {place} ({name}) is not what was acknowledged")
        for key in keys:
            event = ledger.by_key(key)
            if event is None or event.event_id != self.bound[key]:
                found.append(f"{key} does not lead to {self.bound[key]}, as was acknowledged")
        return found
