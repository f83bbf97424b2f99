"""What goes on record: events, their canonical bytes, and the chain of hashes over them.

An event's body is canonical JSON (sorted keys, no spaces, UTF-8, no NaN). Its hash is
SHA-256 over the previous event's hash and the body, so that altering, dropping or reordering
any record breaks every hash after it. What is hashed are the bytes as they were stored, so that
records which an earlier writer left in ASCII hold as they are: none is encoded a second time.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from math import isfinite
from typing import Any, NamedTuple, Protocol

import orjson
from pydantic_core import from_json

__all__ = [
    "GENESIS",
    "Draft",
    "Event",
    "EventKind",
    "Foreseen",
    "Happening",
    "sealed",
    "stamp",
    "timestamp",
]

GENESIS = "0" * 64
"""The hash before the first event."""

_FORMAT = 1
_SORTED = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_ALWAYS_PLAIN = frozenset({str, int, bool, type(None)})


class EventKind(StrEnum):
    """What happened."""

    DECISION = "decision"
    BATCH = "batch"
    ORDER_REPLAYED = "order_replayed"
    ORDER_CLOSED = "order_closed"
    TRADE_RESULT = "trade_result"
    POSITION = "position"
    MARK = "mark"
    BREAKER_TRIPPED = "breaker_tripped"
    BREAKER_RELEASED = "breaker_released"
    OPERATOR_HALTED = "operator_halted"
    OPERATOR_RESUMED = "operator_resumed"
    RESET = "reset"
    CONFIGURATION = "configuration"
    CONFIGURATION_OFFERED = "configuration_offered"
    MODEL_PROMOTED = "model_promoted"
    RECONCILED = "reconciled"
    MARKET_CONFIRMED = "market_confirmed"
    DRIFT_ALARM = "drift_alarm"
    DRIFT_CLEARED = "drift_cleared"
    DRIFT_ACKNOWLEDGED = "drift_acknowledged"
    PREFLIGHT = "preflight"


class Draft(NamedTuple):
    """An event before it has a place in the ledger.

    Attributes:
        kind: what happened.
        event_id: unique name of the event.
        at: when, aware, UTC.
        day: the session date that it falls on, in the desk's time zone.
        actor: who caused it, by the name of the key.
        payload: the rest, JSON values only.
        key: idempotency key; the ledger holds at most one event with it.
    """

    kind: EventKind
    event_id: str
    at: datetime
    day: date
    actor: str
    payload: Mapping[str, Any]
    key: str | None = None


class Happening(Protocol):
    """What a state is folded from: an event, or one that is about to be."""

    @property
    def sequence(self) -> int:
        """Its place."""
        ...

    @property
    def kind(self) -> EventKind:
        """What happened."""
        ...

    @property
    def event_id(self) -> str:
        """Unique name."""
        ...

    @property
    def at(self) -> datetime:
        """When, aware, UTC."""
        ...

    @property
    def day(self) -> date:
        """The session date that it falls on."""
        ...

    @property
    def actor(self) -> str:
        """Who caused it."""
        ...

    @property
    def payload(self) -> Mapping[str, Any]:
        """What the kind of event says."""
        ...


class Foreseen:
    """A draft as the event that it would be, without the bytes.

    Args:
        draft: not on record.
        sequence: where it would stand.
    """

    __slots__ = ("actor", "at", "day", "event_id", "kind", "payload", "sequence")

    def __init__(self, draft: Draft, sequence: int) -> None:
        self.sequence, self.kind, self.event_id = sequence, draft.kind, draft.event_id
        self.at, self.day, self.actor = draft.at, draft.day, draft.actor
        self.payload = draft.payload


@dataclass(frozen=True)
class Event:
    """An event on record.

    Attributes:
        sequence: its place, from 1, without gaps.
        kind: what happened.
        previous_hash: the hash of the event before it, or `GENESIS`.
        hash: SHA-256 over `previous_hash` and `body`, 64 hexadecimal digits.
        body: the canonical bytes that were hashed; everything else is read from them.
    """

    sequence: int
    kind: EventKind
    previous_hash: str
    hash: str
    body: bytes

    @cached_property
    def content(self) -> dict[str, Any]:
        """The body, decoded."""
        decoded: dict[str, Any]
        try:
            decoded = from_json(self.body)
        except ValueError:
            # Records in ASCII may hold half a character, which only the standard library reads.
            decoded = json.loads(self.body)
        return decoded

    @property
    def event_id(self) -> str:
        """Unique name of the event."""
        return str(self.content["id"])

    @property
    def at(self) -> datetime:
        """When it happened, aware, UTC."""
        return datetime.fromisoformat(self.content["at"])

    @property
    def day(self) -> date:
        """The session date that it fell on."""
        return date.fromisoformat(self.content["day"])

    @property
    def actor(self) -> str:
        """Who caused it."""
        return str(self.content["actor"])

    @property
    def key(self) -> str | None:
        """Idempotency key, if it has one."""
        key = self.content["key"]
        return None if key is None else str(key)

    @property
    def payload(self) -> dict[str, Any]:
        """What the kind of event says."""
        payload: dict[str, Any] = self.content["payload"]
        return payload

    def is_intact(self) -> bool:
        """Whether this is what was written: body, place and kind, after this predecessor."""
        return (
            self.hash == _hash(self.previous_hash, self.body)
            and self.content["sequence"] == self.sequence
            and self.content["kind"] == self.kind
        )


def timestamp(at: datetime) -> str:
    """An aware time as ISO 8601 in UTC with microseconds.

    >>> timestamp(datetime(2026, 3, 2, 13, 5, tzinfo=UTC))
    '2026-03-02T13:05:00.000000+00:00'
    """
    # Not cached by the local time: the two passes of a clock that is set back are equal to it.
    return _text(at.astimezone(UTC))


@lru_cache(maxsize=256)
def _text(at: datetime) -> str:
    """One decision writes the same few times again and again."""
    return at.isoformat(timespec="microseconds")


def stamp(draft: Draft, *, sequence: int, previous_hash: str) -> Event:
    """Give a draft its place and its hash.

    Raises:
        ValueError: the payload holds NaN or an infinity.
        TypeError: it holds something that JSON has no word for.
    """
    return sealed(
        {
            "format": _FORMAT,
            "sequence": sequence,
            "kind": str(draft.kind),
            "id": draft.event_id,
            "at": timestamp(draft.at),
            "day": draft.day.isoformat(),
            "actor": draft.actor,
            "key": draft.key,
            "payload": draft.payload,
        },
        previous_hash,
    )


def sealed(content: Mapping[str, Any], previous_hash: str) -> Event:
    """An event of this content, with the hash that it has after its predecessor.

    Raises:
        ValueError: the content holds NaN or an infinity.
        TypeError: it holds something that JSON has no word for.
    """
    body = _canonical(content)
    kind = EventKind(content["kind"])
    return Event(content["sequence"], kind, previous_hash, _hash(previous_hash, body), body)


def _canonical(content: Mapping[str, Any]) -> bytes:
    try:
        body = orjson.dumps(content, option=_SORTED)
        if _is_plain(content):
            return body
    except TypeError:
        pass
    # orjson has no words for a great integer or half a character, and writes null for NaN.
    text = json.dumps(
        content, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )
    return text.encode(errors="replace")


def _is_plain(content: Mapping[str, Any]) -> bool:
    """Whether there is nothing in it but what JSON reads back as it was."""
    pending: list[Iterable[Any]] = [content.values()]
    for values in pending:  # which grows as it goes
        for value in values:
            kind = type(value)
            if kind in _ALWAYS_PLAIN or (kind is float and isfinite(value)):
                continue
            if kind is dict:
                pending.append(value.values())
            elif kind is list:
                pending.append(value)
            else:
                return False
    return True


def _hash(previous_hash: str, body: bytes) -> str:
    digest = hashlib.sha256(previous_hash.encode())
    digest.update(body)
    return digest.hexdigest()
