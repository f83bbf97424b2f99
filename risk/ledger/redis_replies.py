"""What the scripts of `redis_scripts` answer, read back into heads, events, records and faults."""

import json
from typing import Any

from errors import LedgerRegressed, StoreCorrupt, StoreError, StoreUnavailable
from risk.events import Event, EventKind
from risk.ledger.protocol import Head, Record
from risk.ledger.redis_scripts import LAYOUT
from risk.state import RiskState

__all__ = ["Reader", "encoded_state", "text_of"]

_REMEDY = "`usdcop ledger verify` tells more; restore it from a backup"


class Reader:
    """Reads replies about one book.

    Args:
        place: names the book and where it is, for messages.
    """

    def __init__(self, place: str) -> None:
        self.place = place

    def fault(self, reply: list[Any], known: Head) -> StoreError | None:
        """The error that a reply stands for, if it does."""
        status, *words = reply
        if status == b"absent":
            return StoreUnavailable(
                f"there is no ledger for {self.place}; start the service once, or set "
                "redis.host, redis.db and book to where it is"
            )
        if status == b"version":
            return StoreCorrupt(
                f"{self.place} is of version {text_of(words[0])}, not {LAYOUT}; use the program "
                "that wrote it, or name another book"
            )
        if status == b"damaged":
            return StoreCorrupt(f"{self.place} is damaged: {text_of(words[0])}; {_REMEDY}")
        if status == b"regressed":
            return LedgerRegressed(
                f"{self.place} ends at sequence {int(words[0])} "
                f"({text_of(words[1])[:12] or 'nothing is there'}) and does not hold sequence "
                f"{known.sequence} ({known.hash[:12]}), which this process has seen there: "
                "records were lost or replaced. `usdcop ledger reconcile --reason …` accepts it"
            )
        return None

    def head(self, reply: list[Any], known: Head) -> Head:
        """The head in a reply to a caller who knows another one.

        Raises:
            StoreCorrupt: its state cannot be read.
        """
        if reply[0] == b"same":
            return known
        sequence, digest, state_sequence = int(reply[1]), text_of(reply[2]), int(reply[3])
        # Decoding the state is the costly part, and most events leave it as it is.
        if state_sequence == known.state.sequence:
            return Head(sequence, digest, known.state)
        return Head(sequence, digest, self._state(reply[4], state_sequence))

    def event(self, fields: list[Any]) -> Event:
        """An event from its fields.

        Raises:
            StoreCorrupt: there is no such kind.
        """
        sequence, kind, previous, digest, body = fields
        try:
            known_kind = EventKind(text_of(kind))
        except ValueError:
            raise StoreCorrupt(
                f"{self.place} is damaged: record {int(sequence)} is of the unknown kind "
                f"{text_of(kind)!r}"
            ) from None
        return Event(int(sequence), known_kind, text_of(previous), text_of(digest), body)

    @staticmethod
    def record(fields: list[Any]) -> Record:
        """A record from its fields, whatever they hold."""
        sequence, kind, event_id, key, digest, body = fields
        bound = None if key is None else text_of(key)
        return Record(int(sequence), text_of(kind), text_of(event_id), bound, text_of(digest), body)

    def _state(self, stored: bytes, sequence: int) -> RiskState:
        try:
            state = RiskState.from_json(json.loads(stored))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._unreadable(error) from None
        if state.sequence != sequence:
            raise self._unreadable(f"it is of sequence {state.sequence}, not {sequence}")
        return state

    def _unreadable(self, reason: object) -> StoreCorrupt:
        return StoreCorrupt(f"{self.place}: the stored state cannot be read ({reason}); {_REMEDY}")


def encoded_state(state: RiskState) -> str:
    """A state as it is stored."""
    return json.dumps(state.to_json(), sort_keys=True)


def text_of(value: bytes) -> str:
    """Text for people or comparison; bytes that are no UTF-8 are marked, not refused."""
    return value.decode(errors="replace")
