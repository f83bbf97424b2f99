"""What every ledger promises.

One append is atomic: all of its events are stored in order, with the state folded from them,
or none is. An event is stored before `append` returns. Several threads and processes may
append at once; each sees the others' events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from errors import StateMoved
from risk.events import GENESIS, Draft, Event, EventKind, stamp
from risk.fold import changes_state, fold
from risk.state import RiskState

__all__ = ["EMPTY", "Head", "Ledger", "Record", "advance"]


@dataclass(frozen=True, slots=True)
class Head:
    """Where the ledger stands.

    Attributes:
        sequence: of the newest event; 0 when there is none.
        hash: of the newest event; `GENESIS` when there is none.
        state: the fold of all events.
    """

    sequence: int
    hash: str
    state: RiskState


EMPTY = Head(0, GENESIS, RiskState())
"""A ledger without events."""


class Record(NamedTuple):
    """An event as it is stored, not interpreted: what verification reads.

    Attributes:
        sequence: its place.
        kind, event_id, key: as they are indexed beside the body, which holds them too.
        hash: as stored.
        body: the bytes that were hashed.
    """

    sequence: int
    kind: str
    event_id: str
    key: str | None
    hash: str
    body: bytes


class Ledger(Protocol):
    """An append-only log of events and the state they add up to.

    Every method raises `StoreUnavailable` when the store cannot be reached now and
    `StoreCorrupt` when what it holds is not what was written.
    """

    @property
    def name(self) -> str:
        """Which kind of store this is, e.g. `sqlite`."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the newest append failed; None when it did not."""
        ...

    def head(self) -> Head:
        """The newest sequence, its hash, and the state."""
        ...

    def presumed(self) -> Head:
        """The newest head that is known here, without asking the store: it may be an old one.

        What is judged on it is right only if it is appended with its state as the expected one.
        """
        ...

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        """Store events, in order, all or none.

        Args:
            drafts: at least one.
            expected: the state's `sequence` that the events were judged on; None for events
                that hold whatever the state has become since.
            durable: `persist` it before this returns.

        Returns:
            The events as stored.

        Raises:
            StateMoved: the state is no longer the expected one; nothing was stored.
            KeyTaken: an event with the same key or id is on record; nothing was stored.
        """
        ...

    def persist(self) -> None:
        """Wait until what was appended survives the loss of power, and not only of the process."""
        ...

    def by_id(self, event_id: str) -> Event | None:
        """The event with this id."""
        ...

    def by_key(self, key: str) -> Event | None:
        """The event that binds this idempotency key."""
        ...

    def recent(
        self, kinds: Sequence[EventKind], *, limit: int, before: int | None = None
    ) -> list[Event]:
        """Events of these kinds, newest first, at most `limit`, older than sequence `before`."""
        ...

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records as stored, oldest first: at most `limit` of those beyond sequence `after`.

        What was altered or is missing is not looked for; `risk.verification` does that.
        """
        ...

    def close(self) -> None:
        """Release what the ledger holds open. Closing twice is harmless."""
        ...


def advance(
    head: Head, drafts: Sequence[Draft], expected: int | None
) -> tuple[tuple[Event, ...], Head]:
    """Give drafts their places after `head` and fold them: the step that every ledger takes.

    Raises:
        StateMoved: `expected` is not the state's sequence.
        ValueError: there is nothing to append, or an event that changes the state came
            without the sequence that it was judged on.
    """
    if not drafts:
        raise ValueError("an append needs at least one event")
    if expected is not None and head.state.sequence != expected:
        raise StateMoved(
            f"the risk state is at sequence {head.state.sequence}, not {expected} any more"
        )
    events = []
    state, sequence, previous = head.state, head.sequence, head.hash
    for draft in drafts:
        event = stamp(draft, sequence=sequence + 1, previous_hash=previous)
        if changes_state(draft.kind, draft.payload):
            if expected is None:
                raise ValueError(f"a {draft.kind} event changes the state: say which it expects")
            state = fold(state, event)
        events.append(event)
        sequence, previous = event.sequence, event.hash
    return tuple(events), Head(sequence, previous, state)
