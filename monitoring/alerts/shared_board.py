"""The board that processes share, and the one of a host, which outlives its own store."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Final, NamedTuple, Protocol

from errors import InvalidRequest, StoreError, StoreUnavailable
from monitoring.alerts.board import Board
from monitoring.alerts.board_json import decoded, encoded
from monitoring.alerts.retention import joined
from stores.documents import ABSENT, Document, Documents

__all__ = ["BoardStore", "Change", "HostBoard", "SharedBoard", "Step"]

_ATTEMPTS: Final = 50

Step = Callable[[Board], Board]
"""From the newest board to the next; the same object for no change. May be called again."""


class Change(NamedTuple):
    """What a step did: the board that it was given, and the one that is stored since."""

    before: Board
    after: Board


class BoardStore(Protocol):
    """Keeps a board. Thread-safe."""

    @property
    def degraded(self) -> str | None:
        """Why the newest call went without the store; None when it did not."""
        ...

    @property
    def known(self) -> Board:
        """The board as this process saw it last; waits for nothing."""
        ...

    def read(self) -> Board:
        """The newest board."""
        ...

    def update(self, step: Step) -> Change:
        """Go one step. What it raises is raised, and nothing is changed."""
        ...


class SharedBoard:
    """A board in a document; every call raises StoreError when the store does not answer.

    A document that is no board is put aside under another name and begun anew: what stands then
    is told once more, which is better than not at all.

    Args:
        documents: the store; closing it is the caller's.
        name: of the document.
    """

    def __init__(self, documents: Documents, name: str) -> None:
        self._documents, self._name = documents, name
        self._lock = RLock()
        self._document, self._board = ABSENT, Board()
        self._degraded: str | None = None

    @property
    def degraded(self) -> str | None:
        """Why the newest call failed."""
        return self._degraded

    @property
    def known(self) -> Board:
        """The board as this process saw it last."""
        return self._board

    def read(self) -> Board:
        """The newest board."""
        return self.update(lambda board: board).after

    def update(self, step: Step) -> Change:
        """Go one step from the newest board."""
        with self._lock:
            try:
                change = self._update(step)
            except StoreError as error:
                self._degraded = str(error)
                raise
            self._degraded = None
            return change

    def _update(self, step: Step) -> Change:
        for _ in range(_ATTEMPTS):
            self._catch_up()
            before = self._board
            after = step(before)
            if after is before or self._write(after):
                return Change(before, after)
        raise StoreUnavailable(f"{self._name}: others kept writing it")

    def _catch_up(self) -> None:
        found = self._documents.read(self._name)
        if found == self._document:
            return
        try:
            board = decoded(found.body)
        except InvalidRequest:
            self._put_aside(found)
            board = Board()
        self._document, self._board = found, board

    def _put_aside(self, found: Document) -> None:
        name = f"{self._name}-damaged"
        self._documents.write(name, found.body, expected=self._documents.read(name).version)

    def _write(self, board: Board) -> bool:
        body, version = encoded(board), self._document.version
        if not self._documents.write(self._name, body, expected=version):
            return False
        self._document, self._board = Document(version + 1, body), board
        return True


class HostBoard:
    """A board that goes on in memory while its store does not answer, and is put back later.

    Meanwhile each process tells on its own: more than once is better than not at all.

    Args:
        shared: the board in the store.
    """

    def __init__(self, shared: SharedBoard) -> None:
        self._shared = shared
        self._lock = RLock()
        self._own: Board | None = None

    @property
    def degraded(self) -> str | None:
        """Why the newest call went without the store."""
        return self._shared.degraded

    @property
    def known(self) -> Board:
        """The board as this process has it."""
        return self._shared.known if self._own is None else self._own

    def read(self) -> Board:
        """The newest board; of this process while the store does not answer."""
        return self.update(lambda board: board).after

    def update(self, step: Step) -> Change:
        """Go one step, in the store or else in memory."""
        with self._lock:
            try:
                self._put_back()
                return self._shared.update(step)
            except StoreError:
                before = self.known
                after = step(before)
                if after is not before:
                    self._own = after
                return Change(before, after)

    def _put_back(self) -> None:
        own = self._own
        if own is not None:
            self._shared.update(lambda board: joined(board, own))
            self._own = None
