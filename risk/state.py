"""The risk state: the fold of all events, and nothing else.

`risk.fold.fold(state, event)` is the only way a state comes about; this module says what a
state is. Fractions of capital are integers of 10⁻⁹ ("nano"), US dollars integers of 10⁻⁶
("micro").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

__all__ = [
    "Cause",
    "CauseKind",
    "DayCounters",
    "DriftAlarm",
    "OpenOrder",
    "Operator",
    "OperatorMode",
    "Position",
    "Reduction",
    "ResetScope",
    "RiskState",
    "Suspicion",
]


class CauseKind(StrEnum):
    """Why the circuit breaker is open."""

    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    CONSECUTIVE_LOSSES = "consecutive_losses"


class ResetScope(StrEnum):
    """How much a reset clears."""

    DAILY = "daily"
    ALL = "all"


class OperatorMode(StrEnum):
    """What a person allows, whatever the limits say; the later is the stricter."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"

    @property
    def strictness(self) -> int:
        """0 allows everything, 2 nothing."""
        return list(OperatorMode).index(self)


@dataclass(frozen=True, slots=True)
class Operator:
    """What a person allows, and since when.

    Attributes:
        mode: ACTIVE, REDUCING (exits only) or HALTED.
        since: when it came into force, aware, UTC; None before anybody acted.
        actor: who did it; None likewise.
        reason: in their words.
    """

    mode: OperatorMode = OperatorMode.ACTIVE
    since: datetime | None = None
    actor: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason for which the breaker is open.

    Attributes:
        kind: which limit was breached.
        since: when it tripped, aware, UTC.
        until: consecutive losses: when a probe may pass; None for the causes that a day roll or
            a reset clears.
        value: what breached, nano (a count for consecutive losses).
        limit: the limit then in force, in the same unit.
        cooldown_seconds: consecutive losses: the length of the pause; a lost probe doubles it.
        probe: order id of the probe whose outcome is not known yet.
    """

    kind: CauseKind
    since: datetime
    until: datetime | None
    value: int
    limit: int
    cooldown_seconds: int | None = None
    probe: str | None = None


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A mark beyond a limit that no second one has confirmed yet.

    Attributes:
        kind: the limit.
        as_of: of the first mark beyond it, aware, UTC.
        base: the mark before that one, nano: what is believed until a second one confirms.
    """

    kind: CauseKind
    as_of: datetime
    base: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """What is held, as last reported.

    Attributes:
        value: signed fraction of capital, nano; above 0 is long.
        as_of: when it was held, aware, UTC.
        sure: False once a day has ended with entries whose outcome nobody reported.
    """

    value: int
    as_of: datetime
    sure: bool = True


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An approved entry whose outcome is not known.

    Attributes:
        order_id: the caller's name for it.
        decision_id: of the approval.
        signal: `BUY` or `SELL`.
        size: fraction of capital that was approved, nano, above 0.
        at: when it was approved, aware, UTC.
        valid_until: how long it may be acted on, aware, UTC.
        probe: whether it probes a half-open breaker.
    """

    order_id: str
    decision_id: str
    signal: str
    size: int
    at: datetime
    valid_until: datetime
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Reduction:
    """An approved exit that the reported position does not show yet.

    Attributes:
        order_id: the caller's name for it.
        size: what it takes off the position, nano, above 0.
        at: when it was approved, aware, UTC.
    """

    order_id: str
    size: int
    at: datetime


@dataclass(frozen=True, slots=True)
class DriftAlarm:
    """Drift that was found, from the first check that alarms to the next clean one.

    Attributes:
        since: when the first of these checks went on record, aware, UTC.
        tick: the newest of them, by the time that it was due, aware, UTC.
        reason: of the newest one, in words.
        acknowledged_at: when somebody said that they know, aware, UTC; None before.
        acknowledged_by: who did; None likewise.
    """

    since: datetime
    tick: datetime
    reason: str
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None


@dataclass(frozen=True, slots=True)
class DayCounters:
    """What starts again from zero with each session date.

    Attributes:
        day: the date, in the desk's time zone; None before the first event.
        realised: sum of closed P&L since the day began or was reset, nano.
        mark_carried: open mark at that moment, nano.
        pnl_usd: sum of closed P&L, micro.
        results, wins, losses: closed trades; a P&L of zero is neither win nor loss.
        resets: resets used today; not cleared by a reset.
    """

    day: date | None = None
    realised: int = 0
    mark_carried: int = 0
    pnl_usd: int = 0
    results: int = 0
    wins: int = 0
    losses: int = 0
    resets: int = 0


@dataclass(frozen=True, slots=True)
class RiskState:
    """What the limits are judged on.

    Attributes:
        sequence: the last event that changed this state; 0 before any.
        today: counters of the current session date.
        equity: realised P&L since the ledger began, nano.
        high_water_mark: highest realised equity, nano; never falls but by a reset.
        mark: unrealised P&L of what is open, nano.
        mark_as_of: when it was that, aware, UTC; None before any mark.
        suspicions: marks beyond a limit that are not confirmed; at most one of each kind.
        loss_streak: losses in a row, across days.
        last_loss_at: when the newest loss was reported.
        causes: why the breaker is open; at most one of each kind.
        operator: what a person allows.
        position: what is held, as reported; None when nobody ever said.
        orders: approved entries without an outcome, oldest first.
        reductions: approved exits that `position` does not show yet, oldest first.
        configuration: hash of the limits and models last recorded.
        live_models: promoted version by model name.
        drift: what drift checks found, acknowledged or not; None without an alarm.
    """

    sequence: int = 0
    today: DayCounters = DayCounters()
    equity: int = 0
    high_water_mark: int = 0
    mark: int = 0
    mark_as_of: datetime | None = None
    suspicions: tuple[Suspicion, ...] = ()
    loss_streak: int = 0
    last_loss_at: datetime | None = None
    causes: tuple[Cause, ...] = ()
    operator: Operator = Operator()
    position: Position | None = None
    orders: tuple[OpenOrder, ...] = ()
    reductions: tuple[Reduction, ...] = ()
    configuration: str | None = None
    live_models: Mapping[str, str] = field(default_factory=dict)
    drift: DriftAlarm | None = None
    _written: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def daily_pnl(self) -> int:
        """P&L since the day began: realised, plus what the open mark moved, nano."""
        return self.today.realised + self.mark - self.today.mark_carried

    @property
    def drawdown(self) -> int:
        """Equity with the open mark, below its high-water mark; 0 or negative, nano."""
        return min(0, self.equity + self.mark - self.high_water_mark)

    @property
    def believed_mark(self) -> int:
        """The open mark, without one beyond a limit that no second one has confirmed, nano."""
        return self.suspicions[0].base if self.suspicions else self.mark

    @property
    def trades_today(self) -> int:
        """Results of the day and approved entries without an outcome."""
        return self.today.results + len(self.orders)

    def cause(self, kind: CauseKind) -> Cause | None:
        """The cause of this kind, if the breaker holds it."""
        return next((cause for cause in self.causes if cause.kind is kind), None)

    def suspicion(self, kind: CauseKind) -> Suspicion | None:
        """The unconfirmed breach of this kind, if there is one."""
        return next((found for found in self.suspicions if found.kind is kind), None)

    def order(self, order_id: str | None) -> OpenOrder | None:
        """The open order of this name."""
        return next((order for order in self.orders if order.order_id == order_id), None)

    def has_approved(self, order_id: str | None) -> bool:
        """Whether an approval of this order is a part of the state; what is closed is not."""
        if order_id is None:
            return False
        closing = (reduction.order_id for reduction in self.reductions)
        return self.order(order_id) is not None or order_id in closing

    def to_json(self) -> dict[str, Any]:
        """JSON values that `from_json` reads back to an equal state.

        The same ones each time, which nobody may alter: most decisions are made on a state that
        was written before.
        """
        written = self._written
        if written is None:
            written = self._json()
            object.__setattr__(self, "_written", written)
        return written

    def _json(self) -> dict[str, Any]:
        today, operator, position = self.today, self.operator, self.position
        return {
            "sequence": self.sequence,
            "today": {
                "day": today.day.isoformat() if today.day else None,
                "realised": today.realised,
                "mark_carried": today.mark_carried,
                "pnl_usd": today.pnl_usd,
                "results": today.results,
                "wins": today.wins,
                "losses": today.losses,
                "resets": today.resets,
            },
            "equity": self.equity,
            "high_water_mark": self.high_water_mark,
            "mark": self.mark,
            "mark_as_of": _text(self.mark_as_of),
            "suspicions": [
                {"kind": found.kind.value, "as_of": _text(found.as_of), "base": found.base}
                for found in self.suspicions
            ],
            "loss_streak": self.loss_streak,
            "last_loss_at": _text(self.last_loss_at),
            "causes": [_cause_to_json(cause) for cause in self.causes],
            "operator": {
                "mode": operator.mode.value,
                "since": _text(operator.since),
                "actor": operator.actor,
                "reason": operator.reason,
            },
            "position": (
                None
                if position is None
                else {
                    "value": position.value,
                    "as_of": _text(position.as_of),
                    "sure": position.sure,
                }
            ),
            "orders": [_order_to_json(order) for order in self.orders],
            "reductions": [
                {"order_id": exit_.order_id, "size": exit_.size, "at": _text(exit_.at)}
                for exit_ in self.reductions
            ],
            "configuration": self.configuration,
            "live_models": dict(self.live_models),
            # Without an alarm a state is what it was before there were any, for readers of then.
            **({} if self.drift is None else {"drift": _drift_to_json(self.drift)}),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RiskState:
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is not what `to_json` writes.
        """
        fields = dict(content)
        today = dict(fields.pop("today"))
        day = today.pop("day")
        operator, position = fields.pop("operator"), fields.pop("position")
        drift = fields.pop("drift", None)
        return cls(
            today=DayCounters(day=date.fromisoformat(day) if day else None, **today),
            mark_as_of=_time(fields.pop("mark_as_of")),
            suspicions=tuple(
                Suspicion(
                    CauseKind(found["kind"]),
                    datetime.fromisoformat(found["as_of"]),
                    found["base"],
                )
                for found in fields.pop("suspicions")
            ),
            last_loss_at=_time(fields.pop("last_loss_at")),
            causes=tuple(_cause_from_json(cause) for cause in fields.pop("causes")),
            operator=Operator(
                OperatorMode(operator["mode"]),
                _time(operator["since"]),
                operator["actor"],
                operator["reason"],
            ),
            position=(
                None
                if position is None
                else Position(
                    position["value"],
                    datetime.fromisoformat(position["as_of"]),
                    position["sure"],
                )
            ),
            orders=tuple(_order_from_json(order) for order in fields.pop("orders")),
            reductions=tuple(
                Reduction(exit_["order_id"], exit_["size"], datetime.fromisoformat(exit_["at"]))
                for exit_ in fields.pop("reductions")
            ),
            drift=None if drift is None else _drift_from_json(drift),
            **fields,
        )


def _cause_to_json(cause: Cause) -> dict[str, Any]:
    return {
        "kind": cause.kind.value,
        "since": _text(cause.since),
        "until": _text(cause.until),
        "value": cause.value,
        "limit": cause.limit,
        "cooldown_seconds": cause.cooldown_seconds,
        "probe": cause.probe,
    }


def _cause_from_json(content: Mapping[str, Any]) -> Cause:
    return Cause(
        kind=CauseKind(content["kind"]),
        since=datetime.fromisoformat(content["since"]),
        until=_time(content["until"]),
        value=content["value"],
        limit=content["limit"],
        cooldown_seconds=content["cooldown_seconds"],
        probe=content["probe"],
    )


def _order_to_json(order: OpenOrder) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "decision_id": order.decision_id,
        "signal": order.signal,
        "size": order.size,
        "at": _text(order.at),
        "valid_until": _text(order.valid_until),
        "probe": order.probe,
    }


def _order_from_json(content: Mapping[str, Any]) -> OpenOrder:
    return OpenOrder(
        order_id=content["order_id"],
        decision_id=content["decision_id"],
        signal=content["signal"],
        size=content["size"],
        at=datetime.fromisoformat(content["at"]),
        valid_until=datetime.fromisoformat(content["valid_until"]),
        probe=content["probe"],
    )


def _drift_to_json(alarm: DriftAlarm) -> dict[str, Any]:
    return {
        "since": _text(alarm.since),
        "tick": _text(alarm.tick),
        "reason": alarm.reason,
        "acknowledged_at": _text(alarm.acknowledged_at),
        "acknowledged_by": alarm.acknowledged_by,
    }


def _drift_from_json(content: Mapping[str, Any]) -> DriftAlarm:
    return DriftAlarm(
        since=datetime.fromisoformat(content["since"]),
        tick=datetime.fromisoformat(content["tick"]),
        reason=content["reason"],
        acknowledged_at=_time(content["acknowledged_at"]),
        acknowledged_by=content["acknowledged_by"],
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
