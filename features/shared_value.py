"""A value that processes share through a store, and that outlives the store's outages.

While the store answers, it is the one truth. While it does not, changes are made to the copy of
this process, and put into the store once it answers again: nobody has to do anything for that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Final, Generic, TypeVar

from errors import InvalidRequest, StoreCorrupt, StoreError, StoreUnavailable
from stores.documents import ABSENT, Document, Documents

__all__ = ["Codec", "SharedValue"]

Value = TypeVar("Value")

_ATTEMPTS: Final = 50


@dataclass(frozen=True)
class Codec(Generic[Value]):
    """How a value is written, read and joined.

    Attributes:
        empty: before anything was written.
        encode: to bytes.
        decode: from bytes; InvalidRequest when they are none of ours.
        join: the store's value, and one of this process that the store does not have yet; where
            both say something of the same thing, that of this process holds.
        since: of an earlier value and a later one, what the later one has that the earlier one
            has not, or has otherwise.
    """

    empty: Value
    encode: Callable[[Value], bytes]
    decode: Callable[[bytes], Value]
    join: Callable[[Value, Value], Value]
    since: Callable[[Value, Value], Value]


class SharedValue(Generic[Value]):
    """One value under one name. Thread-safe.

    Args:
        documents: the store; closing it is the caller's.
        name: of the document.
        codec: how the value is written.
    """

    def __init__(self, documents: Documents, name: str, codec: Codec[Value]) -> None:
        self._documents, self._name, self._codec = documents, name, codec
        self._lock = RLock()
        self._value, self._document = codec.empty, ABSENT
        # What the store had when it was last seen: only what differs from it is put back, so
        # that what others have corrected meanwhile stays corrected.
        self._synced, self._unstored = codec.empty, False
        self._degraded: str | None = None

    @property
    def backend(self) -> str:
        """Which kind of store it is in while that answers."""
        return self._documents.name

    @property
    def degraded(self) -> str | None:
        """Why the newest call went without the store; None when it did not."""
        return self._degraded

    def read(self) -> Value:
        """The newest value; of this process while the store does not answer."""
        with self._lock:
            self._has_caught_up()
            return self._value

    def update(self, change: Callable[[Value], Value]) -> Value:
        """Replace the value by what `change` makes of it.

        Args:
            change: from the newest value to the next, or to the same object for no change; is
                called again when somebody else was faster. What it raises is raised, and nothing
                is changed.
        """
        with self._lock:
            for _ in range(_ATTEMPTS):
                reached = self._has_caught_up()
                changed = change(self._value)
                if changed is self._value:
                    return changed
                try:
                    if reached and self._write(changed, self._document.version):
                        return changed
                except StoreError as error:
                    self._degraded, reached = str(error), False
                if not reached:
                    break
            else:
                self._degraded = str(self._contended())
            self._value, self._unstored = changed, True
            return changed

    def _has_caught_up(self) -> bool:
        try:
            self._catch_up()
        except StoreError as error:
            self._degraded = str(error)
            return False
        self._degraded = None
        return True

    def _catch_up(self) -> None:
        """Take over what the store has, and give it what it lacks."""
        for _ in range(_ATTEMPTS):
            found = self._documents.read(self._name)
            if found == self._document and not self._unstored:
                return
            stored = self._decoded(found)
            if found.version <= self._document.version and found != self._document:
                # A store that went backwards may lack anything that this process still knows.
                self._synced, self._unstored = self._codec.empty, True
            if not self._unstored:
                self._take(stored, found)
                return
            own = self._codec.since(self._synced, self._value)
            if self._write(self._codec.join(stored, own), found.version):
                return
        raise self._contended()

    def _write(self, value: Value, expected: int) -> bool:
        body = self._codec.encode(value)
        if not self._documents.write(self._name, body, expected=expected):
            return False
        self._take(value, Document(expected + 1, body))
        return True

    def _take(self, value: Value, document: Document) -> None:
        self._value, self._document = value, document
        self._synced, self._unstored = value, False

    def _contended(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._name}: others kept writing it")

    def _decoded(self, document: Document) -> Value:
        if not document.version:
            return self._codec.empty
        try:
            return self._codec.decode(document.body)
        except InvalidRequest as error:
            raise StoreCorrupt(
                f"the document of {self._name} in {self._documents.name} is damaged, and left as "
                f"it is: {error}; once it is deleted, this process puts its own in its place"
            ) from error
