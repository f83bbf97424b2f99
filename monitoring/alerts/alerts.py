"""Everything about alerts, as the service uses it: look, tell, acknowledge, list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from errors import NotFound, StoreError
from monitoring.alerts.board import Board, Episode, Message
from monitoring.alerts.causes import Cause, Look
from monitoring.alerts.dispatcher import Dispatcher, Surroundings
from monitoring.alerts.episodes import (
    Acknowledgement,
    Notice,
    acknowledged,
    announced,
    observed,
)
from monitoring.alerts.shared_board import BoardStore
from monitoring.alerts.telling import tell
from monitoring.alerts.watcher import Watcher
from monitoring.observer import AlertAcknowledged

__all__ = ["Alerts", "Listed", "OnAcknowledged", "Part", "listed"]

OnAcknowledged = Callable[[frozenset[Cause], str], None]
"""Is told which causes somebody took note of, and who; may raise StoreError."""

# A look that took longer is not believed: somebody else has seen newer things since.
_STALE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Part:
    """One board, and the causes that are kept on it."""

    store: BoardStore
    causes: frozenset[Cause]


@dataclass(frozen=True, slots=True)
class Listed:
    """An episode and the messages about it, oldest first."""

    episode: Episode
    messages: tuple[Message, ...]


def listed(boards: Sequence[Board]) -> list[Listed]:
    """Open and past episodes of some boards, newest first."""
    found = [
        Listed(
            episode,
            tuple(one for one in board.messages if one.episode_id == episode.episode_id),
        )
        for board in boards
        for episode in (*board.open, *board.closed)
    ]
    return sorted(found, key=lambda each: each.episode.opened_at, reverse=True)


class Alerts:
    """The alerts of one worker. Thread-safe but for `tick`, which is for one thread.

    Args:
        parts: the board of the book, and the one of this host where that is another.
        watcher: looks at what alerts are about.
        surroundings: sender, rules, time.
        on_acknowledged: is told of acknowledgements.
        release: closes the stores.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        watcher: Watcher,
        surroundings: Surroundings,
        on_acknowledged: OnAcknowledged,
        release: Callable[[], None],
    ) -> None:
        self._parts, self._watcher, self._around = tuple(parts), watcher, surroundings
        self._on_acknowledged, self._release = on_acknowledged, release
        self._dispatchers = [Dispatcher(part.store, surroundings) for part in self._parts]

    @property
    def degraded(self) -> str | None:
        """Why alerts are not kept where they should be; None when they are."""
        reasons = [part.store.degraded for part in self._parts if part.store.degraded is not None]
        return "; ".join(reasons) or None

    def tick(self) -> None:
        """Look once, and send what is due. A store that does not answer is tried next time."""
        begun = self._around.timer()
        look = self._watcher.look(self._around.clock())
        for part, dispatcher in zip(self._parts, self._dispatchers, strict=True):
            try:
                self._take(part, look.of(part.causes), begun)
                dispatcher.step()
            except StoreError:
                continue  # `degraded` says so

    def recent(self) -> list[Listed]:
        """Open and past episodes, newest first."""
        return listed([self._read(part) for part in self._parts])

    def announce(self, notice: Notice) -> None:
        """Tell something once; announcing it again changes nothing.

        Raises:
            StoreError: it could not be stored; safe to try again.
        """
        part = next(part for part in self._parts if notice.cause in part.causes)
        change = part.store.update(lambda board: announced(board, notice, self._around.teller()))
        tell(change, self._around.observer)

    def boards(self) -> dict[frozenset[Cause], Board]:
        """The newest boards, by the causes that are kept on them; one that is away is left out."""
        found = {}
        for part in self._parts:
            with suppress(StoreError):
                found[part.causes] = part.store.read()
        return found

    def acknowledge(self, by: Acknowledgement) -> tuple[Episode, ...]:
        """Take note; returns what is open and covered. Doing it again changes nothing.

        Raises:
            NotFound: no episode of that name is known.
            StoreError: it could not be stored; safe to send again.
        """
        covered: list[Episode] = []
        unknown: list[NotFound] = []
        trouble: list[StoreError] = []
        for part in self._parts:
            step = partial(acknowledged, by=by, now=self._around.clock())
            try:
                board = part.store.update(step).after
            except NotFound as error:
                unknown.append(error)
            except StoreError as error:
                trouble.append(error)
            else:
                covered += [episode for episode in board.open if by.covers(episode)]
        found = len(unknown) + len(trouble) < len(self._parts)
        if trouble and not (by.episode_id is not None and found):
            raise trouble[0]
        if not found:
            raise unknown[0]
        self._tell_acknowledged(by, covered)
        return tuple(covered)

    def close(self) -> None:
        """Finish what is under way, and release the stores. Closing twice is harmless."""
        for dispatcher in self._dispatchers:
            dispatcher.close()
        self._release()

    def _take(self, part: Part, look: Look, begun: float) -> None:
        def step(board: Board) -> Board:
            if self._around.timer() - begun > _STALE_SECONDS:
                return board
            return observed(board, look, self._around.teller())

        tell(part.store.update(step), self._around.observer)

    def _read(self, part: Part) -> Board:
        try:
            return part.store.read()
        except StoreError:
            return part.store.known

    def _tell_acknowledged(self, by: Acknowledgement, covered: Sequence[Episode]) -> None:
        causes = {episode.cause for episode in covered}
        if by.cause is not None:
            causes.add(by.cause)
        self._on_acknowledged(frozenset(causes), by.actor)
        self._around.observer.observe(
            AlertAcknowledged(tuple(sorted(cause.value for cause in causes)), by.actor, by.note)
        )
