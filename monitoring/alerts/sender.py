"""What takes a message to where people read it."""

from __future__ import annotations

from typing import Protocol

from monitoring.alerts.board import Message, Target

__all__ = ["DeliveryFailed", "NoTargets", "Sender"]


class DeliveryFailed(Exception):
    """A target did not take a message. The text holds neither its address nor its secrets."""


class Sender(Protocol):
    """Sends messages. Thread-safe; several targets may be sent to at once."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """Where it can send to."""
        ...

    def send(self, mark: str, message: Message) -> None:
        """Send to the target of this mark; may take long.

        Raises:
            DeliveryFailed: the target did not take it.
        """
        ...


class NoTargets:
    """A sender without targets: alerts are listed and logged, and nobody is told."""

    targets: tuple[Target, ...] = ()

    def send(self, mark: str, message: Message) -> None:
        """There is nobody to send to."""
        raise DeliveryFailed(f"there is no target for {message.title}: {mark}")
