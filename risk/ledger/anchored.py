"""A ledger that went backwards is found out: what was acknowledged is remembered elsewhere.

A failover that lost the last second, a backup that was restored, a file that was deleted and
comes back empty: the store is whole in itself, and yet it holds less than it told us. Every
service keeps the highest sequence and hash that it was acknowledged in a memory of its own, and
holds the store against it at each use.

What is remembered is read before the store is asked, so that an answer which another thread or
process has overtaken meanwhile raises no false alarm. While nobody else appends, no further
access to the store is made.
"""

from collections.abc import Callable, Sequence
from itertools import takewhile
from threading import Lock
from typing import NamedTuple, Protocol

from errors import LedgerRegressed, StoreError
from risk.events import Draft, Event, EventKind
from risk.ledger.protocol import Head, Ledger, Record

__all__ = ["Acknowledged", "AcknowledgedMemory", "AnchorInMemory", "AnchoredLedger"]

_ACCEPTANCES = 10
_SHOWN = 12


class Acknowledged(NamedTuple):
    """The newest place in the ledger that this service was told of.

    Attributes:
        sequence: of the newest event.
        hash: of that event.
        losses: how often a loss of records was accepted; what was remembered before counts no
            more, however high its sequence.
        reconciled: hash of the newest event that accepts a loss, up to this place; empty when
            there is none. It says nothing about losses of what came after it.
    """

    sequence: int
    hash: str
    losses: int = 0
    reconciled: str = ""

    @property
    def order(self) -> tuple[int, int]:
        """Of two that were remembered, the one with the higher order counts."""
        return self.losses, self.sequence


class AcknowledgedMemory(Protocol):
    """Keeps the newest place across restarts. Several services may share one."""

    def read(self) -> Acknowledged | None:
        """What is remembered; None when nothing is.

        Raises:
            StoreError: there is something, and it cannot be read.
        """
        ...

    def write(self, acknowledged: Acknowledged) -> None:
        """Remember it, unless something of a higher order is remembered.

        Raises:
            StoreError: it cannot be kept.
        """
        ...

    def close(self) -> None:
        """Release what is held open. Closing twice is harmless."""
        ...


class AnchorInMemory:
    """Forgets with the process: for tests, and for a service that replays."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: Acknowledged | None = None

    def read(self) -> Acknowledged | None:
        """What is remembered; None when nothing is."""
        return self._kept

    def write(self, acknowledged: Acknowledged) -> None:
        """Remember it, unless something of a higher order is remembered."""
        with self._lock:
            self._kept = _higher(self._kept, acknowledged)

    def close(self) -> None:
        """Nothing is held open."""


class AnchoredLedger:
    """Any ledger, held against what it acknowledged before.

    `head` and `append` raise LedgerRegressed when the store holds less than was acknowledged,
    or something else in its place. An event of kind RECONCILED in the ledger says that a person
    has accepted the loss: of everything that was remembered up to its `remembered_sequence`.

    Args:
        inner: the ledger.
        memory: of what it acknowledged.
        regressed: is told of the ledger and the complaint, before LedgerRegressed is raised: the
            place to halt the book on what is left, so that no other service trades on it.
    """

    def __init__(
        self,
        inner: Ledger,
        memory: AcknowledgedMemory,
        regressed: Callable[[Ledger, str], None] | None = None,
    ) -> None:
        self._inner = inner
        self._memory = memory
        self._regressed = regressed
        # The memory may fail; what this process was told it knows all the same.
        self._own = AnchorInMemory()
        self._trouble: str | None = None

    @property
    def name(self) -> str:
        """Which kind of store it is."""
        return self._inner.name

    @property
    def trouble(self) -> str | None:
        """Why the newest append failed, or why what it acknowledged could not be remembered."""
        return self._inner.trouble or self._trouble

    def head(self) -> Head:
        """The newest sequence, its hash, and the state.

        Raises:
            LedgerRegressed: the store holds less, or something else, than it acknowledged.
        """
        known = self._recalled()
        head = self._inner.head()
        self._remember(known, self._verified(known, head.sequence, head.hash))
        return head

    def presumed(self) -> Head:
        """The newest head that is known here; a ledger in trouble is asked what it holds."""
        return self._inner.presumed() if self.trouble is None else self.head()

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        """Store events, in order, all or none.

        Raises:
            LedgerRegressed: they are stored, but on a store that holds less, or something else,
                than it acknowledged.
        """
        known = self._recalled()
        events = self._inner.append(drafts, expected=expected, durable=durable)
        verified = self._verified(known, events[0].sequence - 1, events[0].previous_hash)
        self._remember(known, _moved(verified, events))
        return events

    def persist(self) -> None:
        """Wait until what was appended survives the loss of power."""
        self._inner.persist()

    def by_id(self, event_id: str) -> Event | None:
        """The event with this id."""
        return self._inner.by_id(event_id)

    def by_key(self, key: str) -> Event | None:
        """The event that binds this idempotency key."""
        return self._inner.by_key(key)

    def recent(
        self, kinds: Sequence[EventKind], *, limit: int, before: int | None = None
    ) -> list[Event]:
        """Events of these kinds, newest first."""
        return self._inner.recent(kinds, limit=limit, before=before)

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records as stored, oldest first, beyond sequence `after`."""
        return self._inner.scan(after=after, limit=limit)

    def close(self) -> None:
        """Release what the ledger and the memory hold open."""
        self._inner.close()
        self._memory.close()

    def _recalled(self) -> Acknowledged | None:
        try:
            return _higher(self._own.read(), self._memory.read())
        except StoreError as error:
            self._trouble = str(error)
            raise

    def _remember(self, known: Acknowledged | None, acknowledged: Acknowledged) -> None:
        if acknowledged == known and self._trouble is None:
            return
        self._own.write(acknowledged)
        try:
            self._memory.write(acknowledged)
        except StoreError as error:
            # The store holds it, so the answer stands.
            self._trouble = str(error)
        else:
            self._trouble = None

    def _verified(self, known: Acknowledged | None, sequence: int, digest: str) -> Acknowledged:
        """What to remember of a place in the store, once it does not contradict what is known."""
        if known is None:
            return Acknowledged(sequence, digest, reconciled=self._newest_loss())
        if _is_at(known, sequence, digest):
            return known
        # Another thread or process of this host has probably moved it, and has verified it.
        latest = self._recalled()
        if latest is not None and _is_at(latest, sequence, digest):
            return latest
        place = known._replace(sequence=sequence, hash=digest)
        if sequence > known.sequence and self._holds(known):
            return place._replace(reconciled=self._newest_loss())
        return self._forgiven(known, place)

    def _holds(self, known: Acknowledged) -> bool:
        """Whether the record at a place that is not the newest any more is still the same."""
        if known.sequence == 0:
            return True
        records = self._inner.scan(after=known.sequence - 1, limit=1)
        return bool(records) and _is_at(known, records[0].sequence, records[0].hash)

    def _forgiven(self, known: Acknowledged, place: Acknowledged) -> Acknowledged:
        """Where the store stands, if a person has accepted that what is known was lost."""
        events = self._inner.recent([EventKind.RECONCILED], limit=_ACCEPTANCES)
        for event in takewhile(lambda event: event.hash != known.reconciled, events):
            accepted = event.payload.get("remembered_sequence")
            if isinstance(accepted, int) and accepted >= known.sequence:
                return place._replace(losses=known.losses + 1, reconciled=events[0].hash)
        self._trouble = complaint = _complaint(self.name, known, place)
        if self._regressed is not None:
            self._regressed(self._inner, complaint)
        raise LedgerRegressed(complaint)

    def _newest_loss(self) -> str:
        events = self._inner.recent([EventKind.RECONCILED], limit=1)
        return events[0].hash if events else ""


def _moved(verified: Acknowledged, events: Sequence[Event]) -> Acknowledged:
    """The place after an append of this service."""
    reconciled = verified.reconciled
    for event in events:
        if event.kind is EventKind.RECONCILED:
            reconciled = event.hash
    return Acknowledged(events[-1].sequence, events[-1].hash, verified.losses, reconciled)


def _higher(one: Acknowledged | None, other: Acknowledged | None) -> Acknowledged | None:
    if one is None or other is None:
        return one or other
    return other if other.order > one.order else one


def _is_at(known: Acknowledged, sequence: int, digest: str) -> bool:
    return (known.sequence, known.hash) == (sequence, digest)


def _complaint(name: str, known: Acknowledged, place: Acknowledged) -> str:
    acknowledged = f"sequence {known.sequence} ({known.hash[:_SHOWN]}…) was acknowledged"
    if place.sequence < known.sequence:
        found = f"it ends at {place.sequence} ({place.hash[:_SHOWN]}…) now"
    else:
        found = "another record stands in its place now"
    return (
        f"the {name} ledger went backwards: {acknowledged}, but {found}; `usdcop ledger reconcile "
        "--reason …` accepts the loss; trading stays halted until a person resumes"
    )
