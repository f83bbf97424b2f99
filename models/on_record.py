"""Promotions as events of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from models.promotions import Promotion
from risk.calendar import SessionCalendar
from risk.events import Draft, Event, EventKind
from risk.ledger.protocol import Ledger
from risk.ledger.retry import on_newest_state

__all__ = ["LedgerPromotions"]

_ALL = 1_000_000


class LedgerPromotions:
    """Which versions are live, read from and put into the ledger.

    Args:
        ledger: of the book.
        calendar: gives an event its session date.
        clock: aware time.
        new_id: a unique name for an event.
    """

    absence = None

    def __init__(
        self,
        ledger: Ledger,
        calendar: SessionCalendar,
        clock: Callable[[], datetime],
        new_id: Callable[[datetime], str],
    ) -> None:
        self._ledger = ledger
        self._calendar = calendar
        self._clock = clock
        self._new_id = new_id

    def current(self) -> Mapping[str, str]:
        """Model name to its live version, for every model that was ever promoted."""
        return self._ledger.head().state.live_models

    def history(self, name: str) -> Sequence[Promotion]:
        """Every promotion of a model, oldest first."""
        return [
            Promotion(
                name=event.payload["model"],
                version=event.payload["version"],
                reason=event.payload["reason"],
                actor=event.actor,
                at=event.at,
            )
            for event in self._events(EventKind.MODEL_PROMOTED)
            if event.payload["model"] == name
        ]

    def served(self, name: str) -> Sequence[str]:
        """Versions that services started with, on record, oldest first."""
        return [
            model["version"]
            for event in self._events(EventKind.CONFIGURATION)
            for model in event.payload["values"]["models"]
            if model["name"] == name
        ]

    def promote(self, name: str, version: str, reason: str, actor: str) -> None:
        """Put on record that a version is live.

        Raises:
            StoreError: nothing was stored.
        """
        now = self._clock()
        draft = Draft(
            kind=EventKind.MODEL_PROMOTED,
            event_id=self._new_id(now),
            at=now,
            day=self._calendar.day(now),
            actor=actor,
            payload={"model": name, "version": version, "reason": reason},
        )
        on_newest_state(
            self._ledger,
            lambda state: self._ledger.append([draft], expected=state.sequence, durable=True),
            what=f"the promotion of {name}:{version}",
        )

    def versions_on_record(self) -> AbstractSet[tuple[str, str]]:
        """(name, version) of every model that a promotion or a configuration names."""
        promoted = {
            (event.payload["model"], event.payload["version"])
            for event in self._events(EventKind.MODEL_PROMOTED)
        }
        served = {
            (model["name"], model["version"])
            for event in self._events(EventKind.CONFIGURATION)
            for model in event.payload["values"]["models"]
        }
        return promoted | served

    def _events(self, kind: EventKind) -> list[Event]:
        return self._ledger.recent([kind], limit=_ALL)[::-1]
