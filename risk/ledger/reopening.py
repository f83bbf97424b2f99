"""A ledger that is opened when it can be: a service starts, and says HOLD until then."""

from collections.abc import Callable, Sequence
from threading import Lock

from errors import StoreError
from risk.events import Draft, Event, EventKind
from risk.ledger.protocol import Head, Ledger, Record

__all__ = ["ReopeningLedger"]


class ReopeningLedger:
    """Opens a ledger at first use, and tries again at the next use if that failed.

    Args:
        name: which kind of store it is.
        opened: opens the ledger; raises StoreError when it cannot be opened now.
    """

    def __init__(self, name: str, opened: Callable[[], Ledger]) -> None:
        self.name = name
        self._open = opened
        self._lock = Lock()
        self._ledger: Ledger | None = None
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why it could not be opened, or why the newest append failed."""
        return self._trouble if self._ledger is None else self._ledger.trouble

    def head(self) -> Head:
        """The newest sequence, its hash, and the state."""
        return self._opened().head()

    def presumed(self) -> Head:
        """The newest head that is known here."""
        return self._opened().presumed()

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        """Store events, in order, all or none."""
        return self._opened().append(drafts, expected=expected, durable=durable)

    def persist(self) -> None:
        """Wait until what was appended survives the loss of power."""
        self._opened().persist()

    def by_id(self, event_id: str) -> Event | None:
        """The event with this id."""
        return self._opened().by_id(event_id)

    def by_key(self, key: str) -> Event | None:
        """The event that binds this idempotency key."""
        return self._opened().by_key(key)

    def recent(
        self, kinds: Sequence[EventKind], *, limit: int, before: int | None = None
    ) -> list[Event]:
        """Events of these kinds, newest first."""
        return self._opened().recent(kinds, limit=limit, before=before)

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records as stored, oldest first, beyond sequence `after`."""
        return self._opened().scan(after=after, limit=limit)

    def close(self) -> None:
        """Close it if it was opened."""
        if self._ledger is not None:
            self._ledger.close()

    def _opened(self) -> Ledger:
        if self._ledger is not None:
            return self._ledger
        with self._lock:
            if self._ledger is None:
                try:
                    self._ledger = self._open()
                except StoreError as error:
                    self._trouble = str(error)
                    raise
            return self._ledger
