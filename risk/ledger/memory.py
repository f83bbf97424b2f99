"""A ledger in memory, for replays and tests: every promise but that of surviving the process."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from operator import attrgetter
from threading import Lock
from typing import NamedTuple

from errors import KeyTaken
from risk.events import Draft, Event, EventKind
from risk.ledger.protocol import EMPTY, Head, Record, advance

__all__ = ["MemoryLedger"]

_HISTORY = frozenset({EventKind.DECISION, EventKind.BATCH, EventKind.MARK, EventKind.POSITION})
"""What nobody looks up again once it is folded, unless it binds a key."""


class _Kept(NamedTuple):
    """A record and the hash before it.

    An event is made of it anew each time it is asked for, since one that was looked into holds
    its content decoded, which takes more room than the bytes.
    """

    record: Record
    previous_hash: str

    def event(self) -> Event:
        record, kind = self.record, EventKind(self.record.kind)
        return Event(record.sequence, kind, self.previous_hash, record.hash, record.body)


_sequence = attrgetter("record.sequence")


class MemoryLedger:
    """Events in lists, as bytes. Threads may share it; processes cannot.

    Args:
        newest: how many events are kept that bind nothing and are only history: decisions and
            batches without a key, marks, positions. Older ones are forgotten: no reading finds
            them, and an id of theirs may be used again. The head, its hash and its state are
            those of a ledger that keeps all. None keeps all.
    """

    name = "memory"
    trouble = None

    def __init__(self, *, newest: int | None = None) -> None:
        self._newest = newest
        self._lock = Lock()
        self._head = EMPTY
        self._lasting: list[_Kept] = []
        self._passing: list[_Kept] = []
        self._by_id: dict[str, _Kept] = {}
        self._by_key: dict[str, _Kept] = {}

    def head(self) -> Head:
        """The newest sequence, its hash, and the state."""
        return self._head

    def presumed(self) -> Head:
        """The head: nobody else moves it."""
        return self._head

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        """Store events, in order, all or none. `durable` promises nothing here."""
        del durable
        with self._lock:
            events, head = advance(self._head, drafts, expected)
            self._refuse_taken(drafts)
            for draft, event in zip(drafts, events, strict=True):
                self._keep(draft, event)
            self._forget()
            self._head = head
        return events

    def persist(self) -> None:
        """Nothing here survives the process."""

    def by_id(self, event_id: str) -> Event | None:
        """The event with this id."""
        kept = self._by_id.get(event_id)
        return None if kept is None else kept.event()

    def by_key(self, key: str) -> Event | None:
        """The event that binds this idempotency key."""
        kept = self._by_key.get(key)
        return None if kept is None else kept.event()

    def recent(
        self, kinds: Sequence[EventKind], *, limit: int, before: int | None = None
    ) -> list[Event]:
        """Events of these kinds, newest first."""
        with self._lock:
            end = self._head.sequence + 1 if before is None else before
            found = merge(
                _backwards(self._lasting, kinds, end),
                _backwards(self._passing if _HISTORY.intersection(kinds) else [], kinds, end),
                key=_sequence,
                reverse=True,
            )
            return [kept.event() for kept in islice(found, limit)]

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records as stored, oldest first, beyond sequence `after`."""
        with self._lock:
            found = _page(self._lasting, after, limit) + _page(self._passing, after, limit)
        return [kept.record for kept in sorted(found, key=_sequence)[:limit]]

    def close(self) -> None:
        """Nothing is held open."""

    def _keep(self, draft: Draft, event: Event) -> None:
        # A copy takes the room of what it holds; what orjson returns, that which it was made in.
        body = bytes(memoryview(event.body))
        kind, event_id = event.kind.value, draft.event_id
        record = Record(event.sequence, kind, event_id, draft.key, event.hash, body)
        kept = _Kept(record, event.previous_hash)
        self._by_id[draft.event_id] = kept
        if draft.key is not None:
            self._by_key[draft.key] = kept
        passes = draft.key is None and draft.kind in _HISTORY
        (self._passing if passes else self._lasting).append(kept)

    def _forget(self) -> None:
        if self._newest is None or len(self._passing) <= self._newest:
            return
        old = len(self._passing) - self._newest
        for kept in self._passing[:old]:
            del self._by_id[kept.record.event_id]
        del self._passing[:old]

    def _refuse_taken(self, drafts: Sequence[Draft]) -> None:
        ids: set[str] = set()
        keys: set[str] = set()
        for draft in drafts:
            if draft.event_id in self._by_id or draft.event_id in ids:
                raise KeyTaken(f"event id {draft.event_id!r} is on record already")
            ids.add(draft.event_id)
            if draft.key is None:
                continue
            if draft.key in self._by_key or draft.key in keys:
                raise KeyTaken(f"key {draft.key!r} is on record already")
            keys.add(draft.key)


def _backwards(kept: list[_Kept], kinds: Sequence[EventKind], end: int) -> Iterator[_Kept]:
    """Those of these kinds before sequence `end`, newest first."""
    places = range(bisect_left(kept, end, key=_sequence) - 1, -1, -1)
    return (each for each in map(kept.__getitem__, places) if each.record.kind in kinds)


def _page(kept: list[_Kept], after: int, limit: int) -> list[_Kept]:
    """The first of those beyond sequence `after`, at most `limit`."""
    begin = bisect_left(kept, after + 1, key=_sequence)
    return kept[begin : begin + limit]
