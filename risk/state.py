"""The risk state: the fold of all events, and nothing else.

`fold(state, event)` is the only way a state comes about. It needs no clock, no configuration
and no store: what an event depends on is in the event. Fractions of capital are integers of
10⁻⁹ ("nano"), US dollars integers of 10⁻⁶ ("micro").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from risk.events import Event, EventKind

__all__ = ["Cause", "CauseKind", "DayCounters", "ResetScope", "RiskState", "fold", "roll"]


class CauseKind(StrEnum):
    """Why the circuit breaker is open."""

    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    CONSECUTIVE_LOSSES = "consecutive_losses"


class ResetScope(StrEnum):
    """How much a reset clears."""

    DAILY = "daily"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason for which the breaker is open.

    Attributes:
        kind: which limit was breached.
        since: when it tripped, aware, UTC.
        until: when it releases by itself; None for the causes that a day roll or a reset clears.
        value: what breached, nano (a count for consecutive losses).
        limit: the limit then in force, in the same unit.
    """

    kind: CauseKind
    since: datetime
    until: datetime | None
    value: int
    limit: int


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
        mark: unrealised P&L of the open position, nano.
        loss_streak: losses in a row, across days.
        last_loss_at: when the newest loss was reported.
        causes: why the breaker is open; at most one of each kind.
        configuration: hash of the limits and models last recorded.
        live_models: promoted version by model name.
    """

    sequence: int = 0
    today: DayCounters = DayCounters()
    equity: int = 0
    high_water_mark: int = 0
    mark: int = 0
    loss_streak: int = 0
    last_loss_at: datetime | None = None
    causes: tuple[Cause, ...] = ()
    configuration: str | None = None
    live_models: Mapping[str, str] = field(default_factory=dict)

    @property
    def daily_pnl(self) -> int:
        """P&L since the day began: realised, plus what the open mark moved, nano."""
        return self.today.realised + self.mark - self.today.mark_carried

    @property
    def drawdown(self) -> int:
        """Equity with the open mark, below its high-water mark; 0 or negative, nano."""
        return min(0, self.equity + self.mark - self.high_water_mark)

    def cause(self, kind: CauseKind) -> Cause | None:
        """The cause of this kind, if the breaker holds it."""
        return next((cause for cause in self.causes if cause.kind is kind), None)

    def to_json(self) -> dict[str, Any]:
        """JSON values that `from_json` reads back to an equal state."""
        content = asdict(self)
        content["today"]["day"] = self.today.day.isoformat() if self.today.day else None
        content["last_loss_at"] = _text(self.last_loss_at)
        content["causes"] = [
            {**asdict(cause), "since": _text(cause.since), "until": _text(cause.until)}
            for cause in self.causes
        ]
        content["live_models"] = dict(self.live_models)
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RiskState:
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is not what `to_json` writes.
        """
        fields = dict(content)
        today = dict(fields.pop("today"))
        day = today.pop("day")
        causes = fields.pop("causes")
        return cls(
            today=DayCounters(day=date.fromisoformat(day) if day else None, **today),
            last_loss_at=_time(fields.pop("last_loss_at")),
            causes=tuple(
                Cause(
                    kind=CauseKind(cause["kind"]),
                    since=datetime.fromisoformat(cause["since"]),
                    until=_time(cause["until"]),
                    value=cause["value"],
                    limit=cause["limit"],
                )
                for cause in causes
            ),
            **fields,
        )


def roll(state: RiskState, day: date) -> RiskState:
    """The state as it stands on a date: a later date clears the day, an earlier one nothing.

    Clears daily P&L, trades today and the daily-loss cause. The loss streak, the high-water
    mark and the other causes live on.
    """
    if state.today.day is not None and day <= state.today.day:
        return state
    return replace(
        state,
        today=DayCounters(day=day, mark_carried=state.mark),
        causes=_without(state.causes, CauseKind.DAILY_LOSS),
    )


def fold(state: RiskState, event: Event) -> RiskState:
    """The state after an event. Events that change nothing return the very same state."""
    step = _STEPS.get(event.kind)
    if step is None:
        return state
    return replace(step(roll(state, event.day), event), sequence=event.sequence)


def _trade_result(state: RiskState, event: Event) -> RiskState:
    result = event.payload
    pnl: int = result["pnl_nano"]
    today = replace(
        state.today,
        realised=state.today.realised + pnl,
        pnl_usd=state.today.pnl_usd + result["pnl_usd_micro"],
        results=state.today.results + 1,
        wins=state.today.wins + (pnl > 0),
        losses=state.today.losses + (pnl < 0),
    )
    equity = state.equity + pnl
    state = replace(
        state,
        today=today,
        equity=equity,
        high_water_mark=max(state.high_water_mark, equity),
        mark=result["unrealized_nano"],
    )
    if pnl > 0:
        return replace(state, loss_streak=0)
    if pnl < 0:
        # A clock that went back must not end a cooldown early.
        newest = max(event.at, state.last_loss_at or event.at)
        return replace(state, loss_streak=state.loss_streak + 1, last_loss_at=newest)
    return state


def _breaker_tripped(state: RiskState, event: Event) -> RiskState:
    trip = event.payload
    kind, until = CauseKind(trip["cause"]), _time(trip["until"])
    standing = state.cause(kind)
    if until is not None and standing is not None and standing.until is not None:
        # A clock that went back must not release a cause early.
        until = max(until, standing.until)
    cause = Cause(kind, since=event.at, until=until, value=trip["value"], limit=trip["limit"])
    return replace(state, causes=(*_without(state.causes, cause.kind), cause))


def _reset(state: RiskState, event: Event) -> RiskState:
    everything = ResetScope(event.payload["scope"]) is ResetScope.ALL
    cleared = [CauseKind.DAILY_LOSS, CauseKind.CONSECUTIVE_LOSSES]
    if everything:
        cleared.append(CauseKind.DRAWDOWN)
    return replace(
        state,
        today=DayCounters(
            # The way out when a wrong clock has put a date of the future on record.
            day=event.day if everything else state.today.day,
            mark_carried=state.mark,
            resets=state.today.resets + 1,
        ),
        # The open mark belongs to the new base, or an open loss would be a drawdown at once.
        high_water_mark=state.equity + state.mark if everything else state.high_water_mark,
        loss_streak=0,
        last_loss_at=None,
        causes=_without(state.causes, *cleared),
    )


def _configuration(state: RiskState, event: Event) -> RiskState:
    return replace(state, configuration=event.payload["hash"])


def _model_promoted(state: RiskState, event: Event) -> RiskState:
    promotion = event.payload
    return replace(
        state, live_models={**state.live_models, promotion["model"]: promotion["version"]}
    )


_STEPS: Mapping[EventKind, Callable[[RiskState, Event], RiskState]] = {
    EventKind.TRADE_RESULT: _trade_result,
    EventKind.BREAKER_TRIPPED: _breaker_tripped,
    EventKind.RESET: _reset,
    EventKind.CONFIGURATION: _configuration,
    EventKind.MODEL_PROMOTED: _model_promoted,
}


def _without(causes: tuple[Cause, ...], *kinds: CauseKind) -> tuple[Cause, ...]:
    return tuple(cause for cause in causes if cause.kind not in kinds)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
