"""What a decision needs, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from config.settings import RiskLimits
from features.schema import Schema
from monitoring.observer import Observer
from reading import Models
from risk.acts import Act
from risk.calendar import SessionCalendar
from risk.ledger.protocol import Ledger

__all__ = ["Desk"]


@dataclass(frozen=True, slots=True)
class Desk:
    """All that a decision needs, built once by `bootstrap`.

    Attributes:
        models: the loaded models.
        ledger: where decisions go on record.
        limits: in force.
        calendar: sessions by date.
        capital_usd: what fractions refer to, unless a request names its own.
        configuration: hash of limits and models, on record with their values.
        clock: aware time, UTC.
        timer: nanoseconds of a clock that never goes back.
        new_id: a unique name for an event at this time.
        halt_requested: whether the halt file is there.
        observer: told of every decision.
        schema: of the observation; None when nobody has named its numbers.
    """

    models: Models
    ledger: Ledger
    limits: RiskLimits
    calendar: SessionCalendar
    capital_usd: float
    configuration: str
    clock: Callable[[], datetime]
    timer: Callable[[], int]
    new_id: Callable[[datetime], str]
    halt_requested: Callable[[], bool]
    observer: Observer
    schema: Schema | None = None

    def act(self, now: datetime, actor: str) -> Act:
        """Somebody does something to the book."""
        return Act(
            ledger=self.ledger,
            own_limits=self.limits,
            configuration=self.configuration,
            calendar=self.calendar,
            now=now,
            new_id=self.new_id,
            actor=actor,
        )
