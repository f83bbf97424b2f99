"""The shared ledger: one book in Redis, which processes of many hosts append to at once.

An append is folded and hashed here, on the head that this process knows, and stored by one
script that first looks whether that still is the head. If it is, the append took one round
trip; if not, the reply brings the newest head and the append is folded again. How long what
was stored survives is for the server's configuration to say: see `redis_checks`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from threading import Lock
from time import monotonic
from typing import Any

from errors import KeyTaken, LedgerRegressed, StoreCorrupt, StoreUnavailable
from risk.events import Draft, Event, EventKind
from risk.ledger.protocol import EMPTY, Head, Record, advance
from risk.ledger.redis_replies import Reader, encoded_state, text_of
from risk.ledger.redis_scripts import (
    APPEND,
    CREATE,
    FIND,
    HEAD,
    LAYOUT,
    RECENT,
    SCAN,
)
from stores.redis_link import RedisLink, Unanswered
from stores.redis_script import Script

__all__ = ["RedisLedger"]

# How long an append goes on while others keep being faster, and how long it waits for its turn.
_CONTENDED_SECONDS = 1.0
_QUEUED_SECONDS = 1.0
_ACCEPTANCES = 10


class RedisLedger:
    """The events of one book in Redis.

    Args:
        book: whose ledger; different books share nothing but the server.
        host, port, db, password: where Redis is.
        timeout_ms: how long one call may take. With a server that is gone or frozen no call
            takes longer than four thirds of it, and most fail at once.
        create: make the book's ledger if Redis holds nothing of it. A process that serves must
            not: a key space that went missing is not an empty ledger.
        lazy: reach for Redis at the first call and not now, so that a service can start while
            Redis is down.

    Raises:
        StoreUnavailable: Redis cannot be reached, or has no ledger of this book.
        StoreCorrupt: what it has is of another version, or its end does not fit its head.
    """

    name = "redis"

    def __init__(
        self,
        book: str,
        *,
        host: str,
        port: int = 6379,
        db: int = 0,
        password: str | None = None,
        timeout_ms: int = 150,
        create: bool = True,
        lazy: bool = False,
    ) -> None:
        self._keys = keys_of(book)
        self._link = RedisLink(
            host=host, port=port, db=db, password=password, timeout_ms=timeout_ms
        )
        self._read = Reader(f"book {book!r} in {self._link.name}")
        self._may_create = create
        # The newest head that was seen, and the newest event up to there that accepts a loss.
        self._known, self._loss = EMPTY, ""
        self._turn, self._learning = Lock(), Lock()
        self._refusal: str | None = None
        if not lazy:
            try:
                self.head()
            except BaseException:
                self.close()
                raise

    @property
    def trouble(self) -> str | None:
        """Why the newest append failed, or why Redis counts as down; None when neither is so."""
        return self._link.failure or self._refusal

    def head(self) -> Head:
        """The newest sequence, its hash, and the state."""
        known = self._known
        return self._learn(self._run(HEAD, known), known)

    def presumed(self) -> Head:
        """The newest head that is known here, without asking the store."""
        return self._known

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        """Store events, in order, all or none. `appendfsync` decides what is durable."""
        del durable
        try:
            with self._in_turn():
                events = self._append(drafts, expected)
        except (StoreUnavailable, StoreCorrupt, LedgerRegressed) as error:
            self._refusal = None if self._link.failure else str(error)
            raise
        self._refusal = None
        return events

    def persist(self) -> None:
        """The server's `appendfsync` decides."""

    def by_id(self, event_id: str) -> Event | None:
        """The event with this id."""
        return self._one("id", event_id)

    def by_key(self, key: str) -> Event | None:
        """The event that binds this idempotency key."""
        return self._one("key", key)

    def recent(
        self, kinds: Sequence[EventKind], *, limit: int, before: int | None = None
    ) -> list[Event]:
        """Events of these kinds, newest first."""
        events: list[Event] = []
        while len(events) < limit:
            older = events[-1].sequence if events else before
            page = self._run(
                RECENT,
                self._known,
                limit - len(events),
                "" if older is None else older,
                *dict.fromkeys(kinds),
            )
            events += [self._read.event(fields) for fields in page[1]]
            if page[0] == b"all":
                break
        return events

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records as stored, oldest first; id, key and kind as far as the indexes confirm them.

        Also of a book that is damaged in other parts.
        """
        records: list[Record] = []
        while len(records) < limit:
            beyond = records[-1].sequence if records else after
            page = self._ask(SCAN, EMPTY, beyond + 1, limit - len(records))
            records += [self._read.record(fields) for fields in page[1]]
            if page[0] == b"all":
                break
        return records

    def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        self._link.close()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Appends of one process would only get into each other's way."""
        if not self._turn.acquire(timeout=_QUEUED_SECONDS):
            raise StoreUnavailable(
                f"{self._read.place}: too many appends wait; nothing was stored, send it again"
            )
        try:
            yield
        finally:
            self._turn.release()

    def _append(self, drafts: Sequence[Draft], expected: int | None) -> tuple[Event, ...]:
        known = self._known
        if expected is not None and expected != known.state.sequence:
            known = self.head()
        until = monotonic() + _CONTENDED_SECONDS
        while True:
            events, head = advance(known, drafts, expected)
            reply = self._store(known, head, drafts, events)
            if reply[0] == b"stored":
                losses = [event.hash for event in events if event.kind is EventKind.RECONCILED]
                self._know(head, losses[-1] if losses else None)
                return events
            if reply[0] == b"taken":
                raise KeyTaken(f"{text_of(reply[1])} {text_of(reply[2])!r} is on record already")
            known = self._learn(reply, known)
            if monotonic() > until:
                raise StoreUnavailable(
                    f"{self._read.place}: others kept appending; nothing was stored, send it again"
                )

    def _store(
        self, known: Head, head: Head, drafts: Sequence[Draft], events: Sequence[Event]
    ) -> list[Any]:
        _refuse_doubles(drafts)
        state = "" if head.state is known.state else encoded_state(head.state)
        fields: list[Any] = []
        for draft, event in zip(drafts, events, strict=True):
            key = "" if draft.key is None else f"={draft.key}"
            fields += [event.sequence, event.kind.value, draft.event_id, key]
            fields += [event.hash, event.body]
        try:
            return self._run(APPEND, known, head.state.sequence, state, *fields)
        except Unanswered as error:
            raise StoreUnavailable(
                f"{error}; whether this was stored is not known, the same report may be sent again"
            ) from None

    def _one(self, name: str, value: str) -> Event | None:
        reply = self._run(FIND, self._known, name, value)
        return None if reply[0] == b"nothing" else self._read.event(reply[1])

    def _run(self, script: Script, known: Head, *arguments: Any) -> list[Any]:
        reply = self._ask(script, known, *arguments)
        if reply[0] == b"absent" and self._may_create:
            self._ask(CREATE, EMPTY, LAYOUT, encoded_state(EMPTY.state))
            reply = self._ask(script, known, *arguments)
        if reply[0] == b"regressed" and self._is_accepted(known):
            # This call still fails; the next one takes the ledger as it is now.
            with self._learning:
                self._known = EMPTY
        if (fault := self._read.fault(reply, known)) is not None:
            raise fault
        self._may_create = False
        return reply

    def _ask(self, script: Script, known: Head, *arguments: Any) -> list[Any]:
        told = [known.sequence, known.hash, known.state.sequence]
        return self._link.run(script, self._keys, [*told, *arguments])

    def _is_accepted(self, known: Head) -> bool:
        """Whether a person has accepted that what is known here was lost, since it is known."""
        reply = self._ask(RECENT, EMPTY, _ACCEPTANCES, "", EventKind.RECONCILED.value)
        events = [self._read.event(fields) for fields in reply[1]] if reply[0] == b"all" else []
        return any(
            event.payload.get("remembered_sequence", 0) >= known.sequence
            for event in takewhile(lambda event: event.hash != self._loss, events)
        )

    def _learn(self, reply: list[Any], known: Head) -> Head:
        """The head in a reply; from now on the store must hold it."""
        head = self._read.head(reply, known)
        if head is not known:
            self._know(head, text_of(reply[5]))
        return head

    def _know(self, head: Head, loss: str | None) -> None:
        with self._learning:
            if head.sequence > self._known.sequence:
                self._known = head
                self._loss = self._loss if loss is None else loss


def keys_of(book: str) -> list[str]:
    """The keys of a book, in the order that the scripts know them.

    >>> keys_of("desk")[0]
    'usdcop:{desk}:head'
    """
    if not book or "{" in book or "}" in book:
        raise ValueError(f"a book's name has no braces and is not empty: {book!r}")
    return [f"usdcop:{{{book}}}:{part}" for part in ("head", "events", "ids", "keys", "kinds")]


def _refuse_doubles(drafts: Sequence[Draft]) -> None:
    for what, names in (
        ("event id", [draft.event_id for draft in drafts]),
        ("key", [draft.key for draft in drafts if draft.key is not None]),
    ):
        if len(set(names)) < len(names):
            raise KeyTaken(f"one append has the same {what} twice")
