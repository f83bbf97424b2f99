"""Messages on their way: claimed, sent, then marked. Pure: from one board to the next.

Whoever sends a message claims it first, so that no two do. One that dies between the sending and
the mark leaves its claim behind; once that is taken over the message goes out a second time: at
least once, and exactly once as long as nobody is killed in that moment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from monitoring.alerts.board import AlertRules, Board, Delivery, DeliveryState, Message
from monitoring.alerts.causes import Cause, Condition
from monitoring.alerts.episodes import Teller, closed, opened
from monitoring.alerts.retention import trimmed

__all__ = ["Due", "claimed", "delivered", "due", "expired", "failed"]

_LONGEST_RETRY: Final = timedelta(minutes=10)
_MOST_DOUBLINGS: Final = 16
_LEAST_ATTEMPTS: Final = 5


class Due(NamedTuple):
    """A message that can be sent to a target now."""

    message: Message
    delivery: Delivery


def due(
    board: Board, now: datetime, marks: Collection[str], abandoned: Collection[str]
) -> Iterator[Due]:
    """What can be sent now, oldest first; of an episode one message after the other.

    Args:
        board: to be looked at.
        now: aware.
        marks: of the targets that can be reached from here.
        abandoned: claims whose owners are taken to be dead.
    """
    held_up: set[tuple[str, str]] = set()
    for message in board.messages:
        for delivery in message.deliveries:
            place = (message.episode_id, delivery.mark)
            if not delivery.pending or place in held_up:
                continue
            held_up.add(place)
            free = delivery.claim is None or delivery.claim in abandoned
            if delivery.mark in marks and free and _has_come(delivery, now):
                yield Due(message, delivery)


def _has_come(delivery: Delivery, now: datetime) -> bool:
    # Further ahead than any retry is planned: the clock went back.
    return delivery.next_at <= now or delivery.next_at - now > _LONGEST_RETRY


def claimed(board: Board, message_id: str, before: Delivery, claim: str) -> Board:
    """Claim a delivery, if it is still as it was seen; the same board when it is not."""
    message = board.message(message_id)
    if message is None or message.to(before.mark) != before:
        return board
    return board.with_delivery(message_id, replace(before, claim=claim))


def delivered(board: Board, message_id: str, mark: str, teller: Teller) -> Board:
    """It arrived. The target works: an episode about its failures ends."""
    delivery = _pending(board, message_id, mark)
    if delivery is None:
        return board
    arrived = replace(
        delivery,
        state=DeliveryState.DELIVERED,
        attempts=delivery.attempts + 1,
        error="",
        claim=None,
    )
    board = board.with_delivery(message_id, arrived)
    episode = board.about(Cause.DELIVERY, delivery.shown)
    return trimmed(board if episode is None else closed(board, episode, teller))


def failed(
    board: Board, message_id: str, mark: str, claim: str, error: str, teller: Teller
) -> Board:
    """It did not arrive: try again later, each time later, and give it up in the end.

    A failure of somebody whose claim was taken over counts for nothing.

    Args:
        board: before.
        message_id: of the message.
        mark: of the target.
        claim: that it was sent under.
        error: in words, without an address.
        teller: time, rules and targets.
    """
    message, delivery = board.message(message_id), _pending(board, message_id, mark)
    if message is None or delivery is None or delivery.claim != claim:
        return board
    attempts, now, rules = delivery.attempts + 1, teller.now, teller.rules
    if attempts >= _LEAST_ATTEMPTS and now - message.made_at >= rules.give_up:
        return _given_up(board, message, replace(delivery, attempts=attempts), error, teller)
    later = replace(
        delivery,
        attempts=attempts,
        next_at=now + _pause(attempts, rules),
        error=error,
        claim=None,
    )
    return board.with_delivery(message_id, later)


def expired(board: Board, teller: Teller) -> Board:
    """Give up what nobody has tried for long: its target is in no configuration any more."""
    latest = teller.now - 2 * teller.rules.give_up - _LONGEST_RETRY
    for message in board.messages:
        if message.made_at >= latest:
            continue
        for delivery in message.deliveries:
            if delivery.pending:
                error = delivery.error or "no service has this target"
                board = _given_up(board, message, delivery, error, teller)
    return board


def _pending(board: Board, message_id: str, mark: str) -> Delivery | None:
    message = board.message(message_id)
    delivery = None if message is None else message.to(mark)
    return delivery if delivery is not None and delivery.pending else None


def _pause(attempts: int, rules: AlertRules) -> timedelta:
    return min(_LONGEST_RETRY, rules.retry * (1 << min(attempts - 1, _MOST_DOUBLINGS)))


def _given_up(
    board: Board, message: Message, delivery: Delivery, error: str, teller: Teller
) -> Board:
    over = replace(delivery, state=DeliveryState.GIVEN_UP, error=error, claim=None)
    board = board.with_delivery(message.message_id, over)
    # A failure to tell of failures is told to nobody, or it would never end.
    known = board.about(Cause.DELIVERY, delivery.shown) is not None
    if message.cause is not Cause.DELIVERY and not known:
        words = (
            f"target {delivery.shown} got no message for {teller.rules.give_up}: {error}; "
            "the rest of them is in GET /v1/alerts"
        )
        others = [target for target in teller.targets if target.mark != delivery.mark]
        condition = Condition(Cause.DELIVERY, delivery.shown, words)
        board = opened(board, condition, replace(teller, targets=others))
    return trimmed(board)
