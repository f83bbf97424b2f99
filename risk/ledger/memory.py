"""A ledger in memory, for replays and tests: every promise but that of surviving the process."""

from collections.abc import Sequence
from threading import Lock

from errors import KeyTaken
from risk.events import Draft, Event, EventKind
from risk.ledger.protocol import EMPTY, Head, Record, advance

__all__ = ["MemoryLedger"]


class MemoryLedger:
    """Events in a list. Threads may share it; processes cannot."""

    name = "memory"
    trouble = None

    def __init__(self) -> None:
        self._lock = Lock()
        self._head = EMPTY
        self._events: list[Event] = []
        self._records: list[Record] = []
        self._by_id: dict[str, Event] = {}
        self._by_key: dict[str, Event] = {}

    def head(self) -> Head:
        """The newest sequence, its hash, and the state."""
        return self._head

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        """Store events, in order, all or none. `durable` promises nothing here."""
        del durable
        with self._lock:
            events, head = advance(self._head, drafts, expected)
            self._refuse_taken(drafts)
            self._events.extend(events)
            for draft, event in zip(drafts, events, strict=True):
                self._records.append(_record(draft, event))
                self._by_id[draft.event_id] = event
                if draft.key is not None:
                    self._by_key[draft.key] = event
            self._head = head
        return events

    def by_id(self, event_id: str) -> Event | None:
        """The event with this id."""
        return self._by_id.get(event_id)

    def by_key(self, key: str) -> Event | None:
        """The event that binds this idempotency key."""
        return self._by_key.get(key)

    def recent(
        self, kinds: Sequence[EventKind], *, limit: int, before: int | None = None
    ) -> list[Event]:
        """Events of these kinds, newest first."""
        end = len(self._events) if before is None else max(0, min(before - 1, len(self._events)))
        found: list[Event] = []
        for event in reversed(self._events[:end]):
            if len(found) >= limit:
                break
            if event.kind in kinds:
                found.append(event)
        return found

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records as stored, oldest first, beyond sequence `after`."""
        begin = max(0, after)
        return self._records[begin : begin + limit]

    def close(self) -> None:
        """Nothing is held open."""

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


def _record(draft: Draft, event: Event) -> Record:
    return Record(
        event.sequence, event.kind.value, draft.event_id, draft.key, event.hash, event.body
    )
