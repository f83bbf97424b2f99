"""Alerts: one look after the other, what is listed of them, and who takes note."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from fastapi import Response

from api.alert_messages import AcknowledgeRequest
from api.turns import Turns
from application import Application
from monitoring.alerts.alerts import Listed
from monitoring.alerts.board import Delivery, Episode
from monitoring.alerts.causes import Cause
from monitoring.alerts.episodes import Acknowledgement
from risk.events import timestamp

__all__ = ["AlertHandlers", "told_alerts", "watch_alerts"]

_LOGGER = logging.getLogger("usdcop.alerts")
_SECONDS = 1.0


async def watch_alerts(tick: Callable[[], None]) -> None:
    """Look and send for as long as the worker lives, on a thread: nothing else waits for it."""
    while True:
        await asyncio.sleep(_SECONDS)
        try:
            await asyncio.to_thread(tick)
        except Exception:
            _LOGGER.exception("a look at what alerts are about failed; the next one comes")


class AlertHandlers:
    """The POST route about alerts.

    Args:
        application: what `bootstrap` built.
        turns: of its own; decisions do not wait for it.
    """

    def __init__(self, application: Application, turns: Turns) -> None:
        self._alerts, self._turns = application.alerts, turns

    async def acknowledge(self, message: AcknowledgeRequest) -> Response:
        """Take note of open alerts."""
        return await self._turns.answer(lambda caller: self._acknowledge(message, caller))

    def _acknowledge(self, message: AcknowledgeRequest, caller: str) -> dict[str, Any]:
        by = Acknowledgement(
            actor=caller,
            cause=None if message.cause is None else Cause(message.cause),
            episode_id=message.id,
            note=message.note,
        )
        return {
            "acknowledged": [
                {
                    "id": episode.episode_id,
                    "cause": episode.cause.value,
                    "key": episode.key,
                    **_acknowledgement(episode),
                }
                for episode in self._alerts.acknowledge(by)
            ]
        }


def told_alerts(application: Application) -> dict[str, Any]:
    """Open and past alerts, newest first, as JSON values."""
    alerts = application.alerts
    listed = [_listed(each) for each in alerts.recent()]
    return {"alerts": listed, "degraded": alerts.degraded}


def _listed(listed: Listed) -> dict[str, Any]:
    episode = listed.episode
    return {
        "id": episode.episode_id,
        "cause": episode.cause.value,
        "key": episode.key,
        "severity": episode.severity.value,
        "state": _state(episode),
        "message": episode.message,
        "opened_at": timestamp(episode.opened_at),
        "resolved_at": None if episode.resolved_at is None else timestamp(episode.resolved_at),
        **_acknowledgement(episode),
        "note": episode.note,
        "messages": [
            {
                "kind": message.kind.value,
                "title": message.title,
                "made_at": timestamp(message.made_at),
                "deliveries": [_delivery(found) for found in message.deliveries],
            }
            for message in listed.messages
        ],
    }


def _state(episode: Episode) -> str:
    if episode.resolved_at is not None:
        return "resolved"
    return "open" if episode.acknowledged_at is None else "acknowledged"


def _acknowledgement(episode: Episode) -> dict[str, Any]:
    at = episode.acknowledged_at
    return {
        "acknowledged_at": None if at is None else timestamp(at),
        "acknowledged_by": episode.acknowledged_by,
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "target": delivery.shown,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "next_attempt_at": timestamp(delivery.next_at) if delivery.pending else None,
        "last_error": delivery.error or None,
    }
