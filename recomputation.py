"""A decision on record, made again by the code that makes decisions now.

The record holds all that it was made from: the vector, the models' versions, the limits by their
hash, the state before and the time. `pipeline.decide` runs on these, and what it says is held
against what was answered, field by field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from config.settings import CalendarSettings, RiskLimits, TradingHours
from desk import Desk
from errors import NotFound, ServiceError
from features.own_schema import schema_from_document
from features.schema import USDCOP_M5, Schema
from monitoring.observer import Observers
from observation import DecisionRequest
from pipeline import decide
from reading import Models
from risk.calendar import SessionCalendar
from risk.configuration import configuration_hash, configuration_on_record
from risk.events import Draft, Event, EventKind
from risk.ledger.protocol import Head, Ledger, Record
from risk.state import RiskState
from risk.verdict import RiskStatus

__all__ = ["Difference", "Recomputed", "Recomputer"]

_NOT_DECIDED = {"latency_ms"}
"""Fields of an answer that say how it was served, not what was decided."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A field whose value comes out differently now.

    Attributes:
        field: its path in the answer, dotted.
        recorded, recomputed: both values.
    """

    field: str
    recorded: object
    recomputed: object


@dataclass(frozen=True, slots=True)
class Recomputed:
    """A decision made again.

    Attributes:
        decision_id: of the record.
        differences: where it comes out differently; none when it is identical.
        obstacle: why it cannot be made again; None when it was.
    """

    decision_id: str
    differences: tuple[Difference, ...] = ()
    obstacle: str | None = None

    @property
    def identical(self) -> bool:
        """Whether it came out the same to the last bit."""
        return not self.differences and self.obstacle is None


class Recomputer:
    """Makes decisions of one ledger again.

    Args:
        ledger: holds the decisions and the configurations that they name.
        models_of: loads the models that a configuration's values name.
    """

    def __init__(self, ledger: Ledger, models_of: Callable[[Mapping[str, Any]], Models]) -> None:
        self._ledger = ledger
        self._models_of = models_of
        self._desks: dict[str, _Desk | str] = {}

    def recompute(self, event: Event) -> Recomputed:
        """Make one decision again.

        Raises:
            NotFound: the event is no decision.
            StoreError: the ledger cannot be read.
        """
        if event.kind is not EventKind.DECISION:
            raise NotFound(f"{event.event_id} is a {event.kind.value} and no decision")
        record = event.payload
        recorded = record["answer"]
        if recorded["risk_status"] == RiskStatus.SYSTEM_ERROR and not recorded["models"]:
            return Recomputed(
                event.event_id, obstacle=f"the models had failed: {recorded['reasons'][0]}"
            )
        desk = self._desk(record["configuration"])
        if isinstance(desk, str):
            return Recomputed(event.event_id, obstacle=desk)
        answer = decide(DecisionRequest.from_json(event.payload, event.actor), desk.at(event))
        return Recomputed(event.event_id, tuple(_differences(recorded, answer)))

    def _desk(self, digest: str) -> _Desk | str:
        if digest not in self._desks:
            self._desks[digest] = self._find_desk(digest)
        return self._desks[digest]

    def _find_desk(self, digest: str) -> _Desk | str:
        values = configuration_on_record(self._ledger, digest)
        if values is None:
            return f"limits and models {digest[:12]} are not on record"
        if configuration_hash(values) != digest:
            return f"limits and models {digest[:12]} on record are not those of their hash"
        try:
            return _Desk(values, digest, self._models_of(values))
        except (ServiceError, ValidationError, KeyError) as error:
            return f"limits and models {digest[:12]} cannot be loaded: {error}"


class _Desk:
    """Models, limits and calendar of a configuration on record."""

    def __init__(self, values: Mapping[str, Any], digest: str, models: Models) -> None:
        self._digest = digest
        self._models = models
        self._limits = RiskLimits.model_validate(values["risk_limits"])
        self._calendar = SessionCalendar(
            TradingHours.model_validate(values["trading_hours"]),
            CalendarSettings.model_validate(values["calendar"]),
        )
        self._capital_usd: float = values["capital_usd"]
        self._schema = _schema_of(values)

    def at(self, event: Event) -> Desk:
        """The desk as it was when a decision was made."""
        return Desk(
            models=self._models,
            ledger=_Then(RiskState.from_json(event.payload["state"]), event.sequence - 1),
            limits=self._limits,
            calendar=self._calendar,
            capital_usd=self._capital_usd,
            configuration=self._digest,
            clock=lambda: event.at,
            timer=lambda: 0,
            new_id=lambda _: event.event_id,
            halt_requested=lambda: False,
            observer=Observers([]),
            schema=self._schema,
        )


def _schema_of(values: Mapping[str, Any]) -> Schema | None:
    """The feature schema of a configuration on record; None where nobody named the numbers."""
    if values.get("own_schema") is not None:
        return schema_from_document(values["own_schema"])
    return USDCOP_M5 if values["feature_schema"] == USDCOP_M5.hash else None


class _Then:
    """A ledger as it stood before one decision: the state, and no events. It keeps nothing."""

    name = "then"
    trouble = None

    def __init__(self, state: RiskState, sequence: int) -> None:
        self._head = Head(sequence, "", state)

    def head(self) -> Head:
        return self._head

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        del drafts, expected, durable
        return ()

    def presumed(self) -> Head:
        return self._head

    def persist(self) -> None:
        pass

    def by_id(self, event_id: str) -> Event | None:
        del event_id
        return None

    def by_key(self, key: str) -> Event | None:
        del key
        return None

    def recent(
        self, kinds: Sequence[EventKind], *, limit: int, before: int | None = None
    ) -> list[Event]:
        del kinds, limit, before
        return []

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        del after, limit
        return []

    def close(self) -> None:
        pass


def _differences(recorded: object, now: object, path: str = "") -> list[Difference]:
    """Where two answers differ, leaf by leaf."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        return [
            difference
            for name in sorted({*recorded, *now} - _NOT_DECIDED)
            for difference in _differences(
                recorded.get(name), now.get(name), f"{path}.{name}" if path else name
            )
        ]
    if isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        return [
            difference
            for index, (one, other) in enumerate(zip(recorded, now, strict=True))
            for difference in _differences(one, other, f"{path}.{index}")
        ]
    return [] if recorded == now else [Difference(path, recorded, now)]
