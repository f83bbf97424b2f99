"""A lease: of all who want to run the same piece of work, one runs it, and it is run once.

It is a document that its holder keeps writing. No clock of another host is believed: whoever waits
sees, on a clock of its own that never goes back, that the document has not moved for the lease's
length, and then takes it over by a write that succeeds only if it still has not. The holder counts
from before its newest write, so it knows first that it has lost it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from threading import Lock
from typing import Final

from errors import StoreCorrupt
from stores.documents import Document, Documents
from stores.lease_body import LeaseBody

__all__ = ["Claim", "Lease", "Standing"]

_MOST_FAILURES: Final = 3
_MARGIN: Final = 0.8


class Standing(StrEnum):
    """What a claim came to."""

    HELD = "held"
    """Whoever claimed it holds it: run `Claim.tick`, renew, then finish or release."""
    BUSY = "busy"
    """Somebody else holds it, or is not known to be dead yet."""
    DONE = "done"
    """That piece of work is done, or was given up after failing three times."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim came to.

    Attributes:
        standing: see there.
        tick: what is held, or what keeps it busy: with HELD it may be an older one than was
            asked for, whose holder is dead. It goes first.
        holder: who holds it.
    """

    standing: Standing
    tick: str
    holder: str


class Lease:
    """One lease, as one process sees it. Thread-safe; it blocks while the store does.

    Args:
        documents: where it is kept; closing them is the caller's.
        name: of the document.
        holder: of this process; no other one, and no earlier one, has the same name.
        seconds: how long it lasts without being renewed.
        timer: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        documents: Documents,
        name: str,
        *,
        holder: str,
        seconds: float,
        timer: Callable[[], float],
    ) -> None:
        self._documents, self._name, self._holder = documents, name, holder
        self._seconds, self._timer = seconds, timer
        self._lock = Lock()
        self._seen: Document | None = None
        self._seen_at = 0.0
        self._held: str | None = None
        self._until = 0.0

    @property
    def holder(self) -> str:
        """Name of this process."""
        return self._holder

    @property
    def seconds(self) -> float:
        """How long it lasts without being renewed."""
        return self._seconds

    @property
    def seconds_left(self) -> float:
        """How long this process may act on it without renewing it; 0 when it holds nothing."""
        with self._lock:
            return 0.0 if self._held is None else max(0.0, self._until - self._timer())

    def claim(
        self, tick: str, *, resume: bool = True, known: tuple[str, ...] | None = None
    ) -> Claim:
        """Try to hold it for a piece of work.

        Args:
            tick: names the piece of work; the same name is never run twice.
            resume: whether another one runs it when its holder dies.
            known: what was `done` when the piece of work was chosen. Where more is done by now,
                another one may be due, and nothing is begun: the standing is BUSY.

        Raises:
            StoreError: nobody knows who holds it.
        """
        with self._lock:
            if self._held is not None:
                return Claim(Standing.BUSY, self._held, self._holder)
            begun = self._timer()
            document = self._documents.read(self._name)
            body = self._decoded(document)
            if tick in body.done:
                return Claim(Standing.DONE, tick, "")
            outdated = known is not None and known != body.done
            if outdated or (body.open and not self._is_free(document, body)):
                return Claim(Standing.BUSY, body.tick, body.holder)
            if body.open and body.failures >= _MOST_FAILURES:
                return self._given_up(document, body)
            if body.open and (body.resume or body.tick == tick):
                wanted = replace(body, holder=self._holder, beat=body.beat + 1)
            else:
                # What is not to be resumed is not run under its name again either.
                kept = body.closed() if body.open else body
                wanted = LeaseBody(tick, self._holder, resume, body.beat + 1, 0, kept.done)
            if not self._write(wanted, document):
                return Claim(Standing.BUSY, body.tick or tick, "")
            self._held, self._until = wanted.tick, begun + self._seconds * _MARGIN
            return Claim(Standing.HELD, wanted.tick, self._holder)

    def done(self) -> tuple[str, ...]:
        """The newest five hundred that are done, or were given up, in that order.

        Raises:
            StoreError: nobody knows.
        """
        with self._lock:
            return self._decoded(self._documents.read(self._name)).done

    def open_tick(self) -> str | None:
        """What was begun and is to be run to its end, by its holder or by another one; or None.

        Raises:
            StoreError: nobody knows.
        """
        with self._lock:
            body = self._decoded(self._documents.read(self._name))
            return body.tick if body.open and body.resume else None

    def renew(self) -> bool:
        """Hold it for another length; False when somebody else holds it: stop the work.

        Raises:
            StoreError: it could not be renewed now; `seconds_left` goes on falling.
        """
        with self._lock:
            if self._held is None:
                return False
            begun = self._timer()
            found = self._own()
            if found is None:
                self._held = None
                return False
            document, body = found
            if self._write(replace(body, beat=body.beat + 1), document):
                self._until = begun + self._seconds * _MARGIN
                return True
            self._held = None
            return False

    def finish(self) -> bool:
        """Say that the work is done, for good; False when somebody else holds it by now.

        Raises:
            StoreError: it could not be said now.
        """
        return self._end(LeaseBody.closed)

    def release(self, *, failed: bool) -> bool:
        """Let somebody else run it, at once; False when somebody else holds it by now.

        Args:
            failed: the work itself failed; after the third time it is given up.

        Raises:
            StoreError: it could not be said now; others wait until it runs out.
        """
        return self._end(
            lambda body: replace(
                body, holder="", beat=body.beat + 1, failures=body.failures + bool(failed)
            )
        )

    def forget(self) -> None:
        """Hold it no longer, without telling: it runs out."""
        with self._lock:
            self._held = None

    def _end(self, change: Callable[[LeaseBody], LeaseBody]) -> bool:
        with self._lock:
            if self._held is None:
                return False
            found = self._own()
            ended = found is not None and self._write(change(found[1]), found[0])
            self._held = None
            return ended

    def _own(self) -> tuple[Document, LeaseBody] | None:
        """The document, if it is of this process; one that was removed is made again.

        A write of this process that was not answered may have been stored: whose it is says the
        holder, and not the version.
        """
        document = self._documents.read(self._name)
        body = self._decoded(document)
        if document.version == 0:
            return document, LeaseBody(str(self._held), self._holder, resume=True)
        if body.holder == self._holder and body.tick == self._held:
            return document, body
        return None

    def _is_free(self, document: Document, body: LeaseBody) -> bool:
        if body.holder in {"", self._holder}:
            return True
        now = self._timer()
        if document != self._seen:
            self._seen, self._seen_at = document, now
        return now - self._seen_at >= self._seconds

    def _given_up(self, document: Document, body: LeaseBody) -> Claim:
        if self._write(body.closed(), document):
            return Claim(Standing.DONE, body.tick, "")
        return Claim(Standing.BUSY, body.tick, "")

    def _write(self, body: LeaseBody, document: Document) -> bool:
        return self._documents.write(self._name, body.encoded(), expected=document.version)

    def _decoded(self, document: Document) -> LeaseBody:
        if document.version == 0:
            return LeaseBody()
        try:
            return LeaseBody.decoded(document.body)
        except (ValueError, TypeError, KeyError) as error:
            raise StoreCorrupt(
                f"{self._name} in {self._documents.name} is no lease; delete it: it is made again"
            ) from error
