"""What is remembered of alerts: open and past episodes, and the messages about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, ConfigDict

from monitoring.alerts.causes import Cause, Severity

__all__ = [
    "AlertRules",
    "Board",
    "Delivery",
    "DeliveryState",
    "Episode",
    "Message",
    "MessageKind",
    "Target",
]

_STRICT: Final = ConfigDict(extra="forbid")


class DeliveryState(StrEnum):
    """How far a message is on its way to one target."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class MessageKind(StrEnum):
    """What a message tells of an episode."""

    OPENED = "opened"
    REMINDER = "reminder"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Target:
    """Where messages go.

    Attributes:
        mark: tells it from others, also across restarts; says nothing about its address.
        shown: position and scheme, e.g. `1 (json)`.
        pages_only: it gets no reports.
    """

    mark: str
    shown: str
    pages_only: bool = False


@dataclass(frozen=True, slots=True)
class AlertRules:
    """How alerts are told.

    Attributes:
        book: whose alerts they are; part of every title.
        quiet: how long a measured cause must stay away before it is over.
        settled: the same for a halt or the breaker, which do not flicker.
        escalate: time to the first reminder; each further one takes twice as long.
        retry: time from a failed delivery to the next; each further one takes twice as long.
        give_up: age at which a message that cannot be delivered is given up.
    """

    book: str = "default"
    quiet: timedelta = timedelta(minutes=15)
    settled: timedelta = timedelta(seconds=10)
    escalate: timedelta = timedelta(minutes=15)
    retry: timedelta = timedelta(seconds=10)
    give_up: timedelta = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way to one target.

    Attributes:
        mark, shown: of the target.
        state: how far it is.
        attempts: made so far.
        next_at: not to be tried before.
        error: of the newest attempt, without an address; empty when there is none.
        claim: of whoever is sending it now; None when nobody is.
    """

    __pydantic_config__ = _STRICT
    mark: str
    shown: str
    next_at: AwareDatetime
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    error: str = ""
    claim: str | None = None

    @property
    def pending(self) -> bool:
        """Whether it is still to be delivered."""
        return self.state is DeliveryState.PENDING


@dataclass(frozen=True, slots=True)
class Message:
    """What is told of an episode.

    Attributes:
        message_id: unique.
        episode_id, cause, severity: of the episode.
        kind: what it tells.
        title, body: as they are sent.
        made_at: when it became due.
        deliveries: one for each target.
        page: the body as HTML, for targets that show it; empty when there is none, and once
            nobody waits for it.
    """

    __pydantic_config__ = _STRICT
    message_id: str
    episode_id: str
    cause: Cause
    severity: Severity
    kind: MessageKind
    title: str
    body: str
    made_at: AwareDatetime
    deliveries: tuple[Delivery, ...]
    page: str = ""

    @property
    def pending(self) -> bool:
        """Whether it is still to be delivered to somebody."""
        return any(delivery.pending for delivery in self.deliveries)

    def to(self, mark: str) -> Delivery | None:
        """The delivery to a target."""
        return next((found for found in self.deliveries if found.mark == mark), None)


@dataclass(frozen=True, slots=True)
class Episode:
    """A cause from its first to its last sight.

    Attributes:
        episode_id: unique.
        cause, key: what it is about.
        severity: of its messages.
        message: what was seen first.
        opened_at: when that was.
        told_at: when it was told last; reminders count from here.
        reminders: how many there were.
        absent_since: since when it has not been seen; None while it stands.
        resolved_at: when it was over; None while it is open.
        acknowledged_at, acknowledged_by, note: who took note of it.
    """

    __pydantic_config__ = _STRICT
    episode_id: str
    cause: Cause
    key: str
    severity: Severity
    message: str
    opened_at: AwareDatetime
    told_at: AwareDatetime
    reminders: int = 0
    absent_since: AwareDatetime | None = None
    resolved_at: AwareDatetime | None = None
    acknowledged_at: AwareDatetime | None = None
    acknowledged_by: str | None = None
    note: str = ""

    @property
    def about(self) -> tuple[Cause, str]:
        """What it is about: at most one open episode is about the same."""
        return self.cause, self.key


@dataclass(frozen=True, slots=True)
class Board:
    """All that is remembered. Bounded.

    Attributes:
        open: episodes that are not over, oldest first.
        closed: newest of those that are, oldest first.
        messages: of these episodes, and all that are still to be delivered, oldest first.
    """

    __pydantic_config__ = _STRICT
    open: tuple[Episode, ...] = ()
    closed: tuple[Episode, ...] = ()
    messages: tuple[Message, ...] = ()

    def about(self, cause: Cause, key: str) -> Episode | None:
        """The open episode about this."""
        return next((found for found in self.open if found.about == (cause, key)), None)

    def message(self, message_id: str) -> Message | None:
        """The message of this name."""
        return next((found for found in self.messages if found.message_id == message_id), None)

    def with_episode(self, episode: Episode) -> Board:
        """Replace an open episode by its next version, which may be over."""
        if episode.resolved_at is None:
            return replace(
                self,
                open=tuple(
                    episode if found.episode_id == episode.episode_id else found
                    for found in self.open
                ),
            )
        rest = tuple(found for found in self.open if found.episode_id != episode.episode_id)
        return replace(self, open=rest, closed=(*self.closed, episode))

    def with_delivery(self, message_id: str, delivery: Delivery) -> Board:
        """Replace a delivery by its next version."""
        return replace(
            self,
            messages=tuple(
                _with_delivery(message, delivery) if message.message_id == message_id else message
                for message in self.messages
            ),
        )

    def waits_for(self, episode_id: str) -> bool:
        """Whether a message of this episode is still to be delivered to somebody."""
        return any(found.episode_id == episode_id and found.pending for found in self.messages)


def _with_delivery(message: Message, delivery: Delivery) -> Message:
    deliveries = tuple(
        delivery if found.mark == delivery.mark else found for found in message.deliveries
    )
    after = replace(message, deliveries=deliveries)
    # A page is long, and the board is read every second.
    return after if after.pending else replace(after, page="")
