"""What is kept of the past: a board never grows without bound."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from monitoring.alerts.board import Board, DeliveryState, Message
from monitoring.alerts.causes import Severity

__all__ = ["MOST_CLOSED", "MOST_DONE", "MOST_PENDING", "joined", "trimmed"]

MOST_CLOSED: Final = 50
MOST_DONE: Final = 100
MOST_PENDING: Final = 200


def trimmed(board: Board) -> Board:
    """Forget the oldest. Of messages that wait, reports go before pages, and say so."""
    closed = board.closed[-MOST_CLOSED:]
    kept = {episode.episode_id for episode in (*board.open, *closed)}
    messages = _without_the_oldest_pending(board.messages)
    done = [message for message in messages if not message.pending]
    forgotten = {
        message.message_id
        for place, message in enumerate(reversed(done))
        if place >= MOST_DONE or message.episode_id not in kept
    }
    messages = tuple(found for found in messages if found.message_id not in forgotten)
    return replace(board, closed=closed, messages=messages)


def joined(stored: Board, own: Board) -> Board:
    """A board, and one that a process kept for itself while it could not reach the first.

    Of an episode or a message that both have, the own one holds; of two episodes about the same
    the stored one, which others know.
    """
    own_episodes = {episode.episode_id: episode for episode in (*own.open, *own.closed)}
    own_messages = {message.message_id: message for message in own.messages}
    over = {episode.episode_id for episode in own.closed}
    known = {episode.episode_id for episode in (*stored.open, *stored.closed)}
    open_ = [
        own_episodes.get(episode.episode_id, episode)
        for episode in stored.open
        if episode.episode_id not in over
    ]
    about = {episode.about for episode in open_}
    open_ += [
        episode
        for episode in own.open
        if episode.episode_id not in known and episode.about not in about
    ]
    ended = {episode.episode_id for episode in stored.closed}
    closed = [*stored.closed, *(found for found in own.closed if found.episode_id not in ended)]
    there = {message.message_id for message in stored.messages}
    messages = [own_messages.get(found.message_id, found) for found in stored.messages]
    messages += [found for found in own.messages if found.message_id not in there]
    return trimmed(Board(tuple(open_), tuple(closed), tuple(messages)))


def _without_the_oldest_pending(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    waiting = [message for message in messages if message.pending]
    surplus = len(waiting) - MOST_PENDING
    if surplus <= 0:
        return messages
    waiting.sort(key=lambda message: message.severity is Severity.PAGE)  # stable: oldest first
    given_up = {message.message_id for message in waiting[:surplus]}
    return tuple(_given_up(found) if found.message_id in given_up else found for found in messages)


def _given_up(message: Message) -> Message:
    return replace(
        message,
        deliveries=tuple(
            replace(found, state=DeliveryState.GIVEN_UP, claim=None, error="too many messages wait")
            if found.pending
            else found
            for found in message.deliveries
        ),
    )
