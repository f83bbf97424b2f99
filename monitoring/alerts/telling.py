"""Says what a step of the board told, to whoever counts and logs."""

from __future__ import annotations

from monitoring.alerts.shared_board import Change
from monitoring.observer import AlertTold, Observer

__all__ = ["tell"]


def tell(change: Change, observer: Observer) -> None:
    """Observe each message that the step added: only the process that stored it says so."""
    if change.after is change.before:
        return
    known = {message.message_id for message in change.before.messages}
    for message in change.after.messages:
        if message.message_id not in known:
            observer.observe(
                AlertTold(
                    cause=message.cause.value,
                    severity=message.severity.value,
                    kind=message.kind.value,
                    title=message.title,
                    body=message.body,
                )
            )
