"""How episodes begin, go on and end. Pure: every step goes from one board to the next.

A step that changes nothing returns the very board that it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from errors import NotFound
from monitoring.alerts.board import AlertRules, Board, Episode, MessageKind, Target
from monitoring.alerts.causes import Cause, Condition, Look, severity_of
from monitoring.alerts.messages import posted
from monitoring.alerts.retention import trimmed

__all__ = [
    "Acknowledgement",
    "Notice",
    "Teller",
    "acknowledged",
    "announced",
    "closed",
    "observed",
    "opened",
]

_SETTLED: Final = frozenset({Cause.BREAKER, Cause.HALT})
_MOST_DOUBLINGS: Final = 4


@dataclass(frozen=True, slots=True)
class Teller:
    """What a step needs beside the board.

    Attributes:
        now: aware.
        rules: how alerts are told.
        targets: of this service.
        new_id: makes a unique name.
    """

    now: datetime
    rules: AlertRules
    targets: Sequence[Target]
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who takes note of what; without cause and name it is of all that is open.

    Attributes:
        actor: who.
        cause: of this cause only.
        episode_id: of this episode only.
        note: in their words.
    """

    actor: str
    cause: Cause | None = None
    episode_id: str | None = None
    note: str = ""

    def covers(self, episode: Episode) -> bool:
        """Whether it is about an episode."""
        return self.cause in {None, episode.cause} and self.episode_id in {
            None,
            episode.episode_id,
        }


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that is told once and does not stand: it is over as soon as it is told.

    Attributes:
        name: unique; what was announced under it is not announced again.
        cause, key: what it is about.
        summary: in one line, for the list.
        text: what is sent.
        page: the same as HTML, for targets that show it; empty without.
    """

    name: str
    cause: Cause
    key: str
    summary: str
    text: str
    page: str = ""


def observed(board: Board, look: Look, teller: Teller) -> Board:
    """Take a look: what is new is told, what stands may be told again, what is gone ends."""
    found = {(condition.cause, condition.key): condition for condition in look.conditions}
    after = board
    for episode in board.open:
        condition = found.pop(episode.about, None)
        if condition is not None:
            after = _standing(after, episode, condition, teller)
        elif episode.cause in look.judged:
            after = _vanishing(after, episode, teller)
    for condition in found.values():
        if condition.opens:
            after = opened(after, condition, teller)
    return board if after is board else trimmed(after)


def opened(board: Board, condition: Condition, teller: Teller) -> Board:
    """Begin an episode, and tell it."""
    episode = Episode(
        episode_id=teller.new_id(),
        cause=condition.cause,
        key=condition.key,
        severity=severity_of(condition.cause),
        message=condition.message,
        opened_at=teller.now,
        told_at=teller.now,
    )
    board = replace(board, open=(*board.open, episode))
    return _told(board, episode, MessageKind.OPENED, teller)


def closed(board: Board, episode: Episode, teller: Teller) -> Board:
    """End an episode, and tell it."""
    over = replace(episode, resolved_at=teller.now)
    return _told(board.with_episode(over), over, MessageKind.RESOLVED, teller)


def announced(board: Board, notice: Notice, teller: Teller) -> Board:
    """Tell something that is over already; the same board when it was told before."""
    if any(found.episode_id == notice.name for found in board.closed):
        return board
    episode = Episode(
        episode_id=notice.name,
        cause=notice.cause,
        key=notice.key,
        severity=severity_of(notice.cause),
        message=notice.summary,
        opened_at=teller.now,
        told_at=teller.now,
        resolved_at=teller.now,
    )
    board = replace(board, closed=(*board.closed, episode))
    board = _told(board, episode, MessageKind.OPENED, teller)
    page = notice.page if board.messages[-1].deliveries else ""
    message = replace(board.messages[-1], body=notice.text, page=page)
    return trimmed(replace(board, messages=(*board.messages[:-1], message)))


def acknowledged(board: Board, by: Acknowledgement, now: datetime) -> Board:
    """Somebody takes note: no more reminders. What was acknowledged already stays as it is.

    Raises:
        NotFound: no episode of that name is known.
    """
    known = {episode.episode_id for episode in (*board.open, *board.closed)}
    if by.episode_id is not None and by.episode_id not in known:
        raise NotFound(
            f"no alert {by.episode_id!r} is known; GET /v1/alerts lists them",
            code="alert_not_found",
        )
    for episode in board.open:
        if by.covers(episode) and episode.acknowledged_at is None:
            board = board.with_episode(
                replace(episode, acknowledged_at=now, acknowledged_by=by.actor, note=by.note)
            )
    return board


def _standing(board: Board, episode: Episode, condition: Condition, teller: Teller) -> Board:
    after = episode
    if episode.absent_since is not None:
        after = replace(after, absent_since=None)
    if episode.told_at > teller.now:  # the clock went back
        after = replace(after, told_at=teller.now)
    if condition.escalates and _is_due_again(board, after, teller):
        after = replace(after, told_at=teller.now, reminders=after.reminders + 1)
        return _told(board.with_episode(after), after, MessageKind.REMINDER, teller)
    return board if after is episode else board.with_episode(after)


def _is_due_again(board: Board, episode: Episode, teller: Teller) -> bool:
    if episode.acknowledged_at is not None or board.waits_for(episode.episode_id):
        return False
    pause = teller.rules.escalate * (1 << min(episode.reminders, _MOST_DOUBLINGS))
    return teller.now - episode.told_at >= pause


def _vanishing(board: Board, episode: Episode, teller: Teller) -> Board:
    since = episode.absent_since
    if since is None or since > teller.now:
        return board.with_episode(replace(episode, absent_since=teller.now))
    rules = teller.rules
    wait = rules.settled if episode.cause in _SETTLED else rules.quiet
    return closed(board, episode, teller) if teller.now - since >= wait else board


def _told(board: Board, episode: Episode, kind: MessageKind, teller: Teller) -> Board:
    return posted(board, episode, kind, teller.now, teller.rules, teller.targets)
