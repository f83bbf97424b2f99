"""What a message about an episode says, and to whom it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from monitoring.alerts.board import (
    AlertRules,
    Board,
    Delivery,
    Episode,
    Message,
    MessageKind,
    Target,
)
from monitoring.alerts.causes import Severity

__all__ = ["posted"]

_WORDS: Final = {
    MessageKind.OPENED: "",
    MessageKind.REMINDER: "STILL ",
    MessageKind.RESOLVED: "RESOLVED ",
}


def posted(
    board: Board,
    episode: Episode,
    kind: MessageKind,
    now: datetime,
    rules: AlertRules,
    targets: Sequence[Target],
) -> Board:
    """Put a message about an episode into the outbox.

    Args:
        board: before.
        episode: as it is now.
        kind: what is told.
        now: aware.
        rules: name the book.
        targets: of this service; those for pages get no reports.
    """
    suffix = f"{kind}-{episode.reminders}" if kind is MessageKind.REMINDER else kind
    message = Message(
        message_id=f"{episode.episode_id}/{suffix}",
        episode_id=episode.episode_id,
        cause=episode.cause,
        severity=episode.severity,
        kind=kind,
        title=_title(episode, kind, rules),
        body=_body(episode, kind, now),
        made_at=now,
        deliveries=tuple(
            Delivery(target.mark, target.shown, now)
            for target in targets
            if episode.severity is Severity.PAGE or not target.pages_only
        ),
    )
    return replace(board, messages=(*board.messages, message))


def _title(episode: Episode, kind: MessageKind, rules: AlertRules) -> str:
    name = f"{episode.cause} {episode.key}".strip()
    return f"{_WORDS[kind]}{episode.severity.upper()}: {name} (book {rules.book})"


def _body(episode: Episode, kind: MessageKind, now: datetime) -> str:
    since = f"since {episode.opened_at:%Y-%m-%d %H:%M:%S %Z}"
    if kind is MessageKind.RESOLVED:
        return f"It is over, {since} until {now:%Y-%m-%d %H:%M:%S %Z}: {episode.message}"
    lines = [f"{episode.message} ({since})"]
    if episode.severity is Severity.PAGE:
        lines.append(f'Acknowledge: POST /v1/alerts/acknowledge {{"id": "{episode.episode_id}"}}')
    return "\n".join(lines)
