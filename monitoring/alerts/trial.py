"""A test message to every target at once: who would be told, if something were wrong?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from threading import Thread

from monitoring.alerts.board import Message, MessageKind, Target
from monitoring.alerts.causes import Cause, Severity
from monitoring.alerts.sender import DeliveryFailed, Sender

__all__ = ["try_targets"]


def try_targets(
    sender: Sender, *, book: str, now: datetime, timeout_seconds: float, timer: Callable[[], float]
) -> dict[str, str | None]:
    """Send a test message, and wait until each target has taken it, refused it, or is too late.

    Args:
        sender: to the targets.
        book: named in the title.
        now: aware.
        timeout_seconds: how long they may take together.
        timer: seconds of a clock that never goes back.

    Returns:
        Each target as it is shown, to why it did not take the message; None where it did.
    """
    message = _message(book, now)
    outcomes: dict[str, str | None] = {
        target.shown: f"no answer within {timeout_seconds:g} s" for target in sender.targets
    }
    # Daemons: a target that hangs must not keep the process from ending.
    threads = [
        Thread(target=_try, args=(sender, target, message, outcomes), daemon=True)
        for target in sender.targets
    ]
    for thread in threads:
        thread.start()
    until = timer() + timeout_seconds
    for thread in threads:
        thread.join(max(0.0, until - timer()))
    return dict(outcomes)


def _try(sender: Sender, target: Target, message: Message, outcomes: dict[str, str | None]) -> None:
    try:
        sender.send(target.mark, message)
    except DeliveryFailed as failure:
        outcomes[target.shown] = str(failure)
    except Exception as failure:  # noqa: BLE001 - a thread's edge; its text may hold secrets
        outcomes[target.shown] = f"sending it failed with {type(failure).__name__}"
    else:
        outcomes[target.shown] = None


def _message(book: str, now: datetime) -> Message:
    return Message(
        message_id="test",
        episode_id="test",
        cause=Cause.PREFLIGHT,
        severity=Severity.REPORT,
        kind=MessageKind.OPENED,
        title=f"TEST: alerts arrive (book {book})",
        body=f"A test of the alerts at {now:%Y-%m-%d %H:%M:%S %Z}. Nothing is wrong.",
        made_at=now,
        deliveries=(),
    )
