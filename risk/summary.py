"""The risk state in words and fractions: why a trade would or would not pass now."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from config.settings import OnDrift, RiskLimits
from risk.breaker import breaker_state, open_causes
from risk.calendar import SessionStatus
from risk.events import timestamp
from risk.exposure import exposure_of
from risk.fixed_point import from_micro, from_nano
from risk.fold import roll
from risk.gate import judge
from risk.sizing import drift_halves
from risk.state import Cause, CauseKind, OpenOrder, OperatorMode, RiskState
from risk.verdict import Candidate, Situation, Verdict
from runners.signal import Signal

__all__ = ["Summary", "risk_metrics", "utilization"]

_ASKED = "asked"
"""Stands for an order id, so that a summary is not about a missing one."""


def risk_metrics(state: RiskState) -> dict[str, float | int]:
    """The counters that every answer carries; `state` is rolled to the session date."""
    return {
        "daily_pnl": from_nano(state.daily_pnl),
        "trades_today": state.trades_today,
        "open_orders": len(state.orders),
        "consecutive_losses": state.loss_streak,
        "drawdown": from_nano(state.drawdown),
    }


@dataclass(frozen=True, slots=True)
class Summary:
    """All that the limits are about, at an instant.

    Attributes:
        state: of the book.
        limits: in force.
        session: of the instant's date.
        now: aware.
        configuration: hash of this service's limits and models.
        halt_file: whether the halt file is there.
    """

    state: RiskState
    limits: RiskLimits
    session: SessionStatus
    now: datetime
    configuration: str
    halt_file: bool

    def to_json(self) -> dict[str, Any]:
        """JSON values.

        `trading_status` is ACTIVE when a fully confident entry would pass now on either side,
        else the status that it would be refused with. `would_pass` tells it for each side, as
        the entry or the exit that it would be now, and for an exit of any position.
        """
        state = roll(self.state, self.session.day)
        sides = self._sides(state)
        best = _best_entry(sides)
        return {
            "trading_status": "ACTIVE" if best.approved else best.status.value,
            "reasons": list(best.reasons),
            "would_pass": {
                **{side.value: _told(verdict) for side, verdict in sides.items()},
                "EXIT": _told(self._exit(state)),
            },
            "daily_stats": _daily_stats(state),
            "limits": self.limits.model_dump(mode="json"),
            "risk_utilization": utilization(state, self.limits),
            "breaker": self._breaker(state),
            "operator": self._operator(state),
            "drift": _drift(state, self.limits),
            "position": _position(state, self.limits),
            "open_orders": [_order(order, self.now) for order in state.orders],
            "calendar": self._calendar(),
            "configuration": {
                "recorded": state.configuration,
                "this_service": self.configuration,
                "agree": state.configuration in {None, self.configuration},
            },
            "state_sequence": state.sequence,
            "timestamp": timestamp(self.now),
        }

    def gate(self) -> dict[str, Verdict]:
        """What every rule says now of a fully confident `entry`, and of an `exit`.

        The exit is that of the position on record; without one, of any.
        """
        state = roll(self.state, self.session.day)
        sides = self._sides(state)
        exits = [verdict for verdict in sides.values() if verdict.reduces]
        return {"entry": _best_entry(sides), "exit": exits[0] if exits else self._exit(state)}

    def _sides(self, state: RiskState) -> dict[Signal, Verdict]:
        return {side: self._verdict(state, side) for side in (Signal.BUY, Signal.SELL)}

    def _verdict(self, state: RiskState, side: Signal) -> Verdict:
        return self._judged(state, Candidate(side, confidence=1.0, order_id=_ASKED))

    def _exit(self, state: RiskState) -> Verdict:
        """Of a long position that a request brings along."""
        held = self.limits.max_position_size
        return self._judged(state, Candidate(Signal.SELL, confidence=1.0, position=held))

    def _judged(self, state: RiskState, candidate: Candidate) -> Verdict:
        return judge(
            Situation(candidate, state, self.limits, self.session, self.now, self.configuration)
        )

    def _breaker(self, state: RiskState) -> dict[str, Any]:
        streak = state.cause(CauseKind.CONSECUTIVE_LOSSES)
        standing = {cause.kind for cause in open_causes(state, self.now)}
        return {
            "state": breaker_state(state, self.now).value,
            "causes": [_cause(cause, open_=cause.kind in standing) for cause in state.causes],
            "probe": None if streak is None else streak.probe,
            "unconfirmed": [
                {"cause": found.kind.value, "since": timestamp(found.as_of)}
                for found in state.suspicions
                if state.cause(found.kind) is None
            ],
        }

    def _operator(self, state: RiskState) -> dict[str, Any]:
        operator = state.operator
        return {
            "mode": operator.mode.value,
            "since": _text(operator.since),
            "by": operator.actor,
            "reason": operator.reason,
            "halted": operator.mode is OperatorMode.HALTED,
            "halt_file": self.halt_file,
        }

    def _calendar(self) -> dict[str, Any]:
        session = self.session
        return {
            "date": session.day.isoformat(),
            "open": session.closure is None,
            "reason": None if session.closure is None else session.closure.message,
            "session_ends_at": _text(session.ends_at),
        }


def _best_entry(sides: dict[Signal, Verdict]) -> Verdict:
    entries = [verdict for verdict in sides.values() if not verdict.reduces]
    return next((verdict for verdict in entries if verdict.approved), entries[0])


def _daily_stats(state: RiskState) -> dict[str, Any]:
    today = state.today
    decided = today.wins + today.losses
    return {
        "date": None if today.day is None else today.day.isoformat(),
        "pnl": from_micro(today.pnl_usd),
        "pnl_percent": from_nano(state.daily_pnl),
        "realized_pnl_percent": from_nano(today.realised),
        "unrealized_pnl_percent": from_nano(state.mark),
        "mark_as_of": _text(state.mark_as_of),
        "trades_today": state.trades_today,
        "results": today.results,
        "open_orders": len(state.orders),
        "wins": today.wins,
        "losses": today.losses,
        "win_rate": today.wins / decided if decided else None,
        "consecutive_losses": state.loss_streak,
        "drawdown": from_nano(state.drawdown),
        "equity": from_nano(state.equity),
        "high_water_mark": from_nano(state.high_water_mark),
        "resets_used": today.resets,
    }


def utilization(state: RiskState, limits: RiskLimits) -> dict[str, float]:
    """How much of each limit is used: 0 is nothing, 1 is all of it."""
    exposure = exposure_of(state)
    largest = max(abs(exposure.held + exposure.buying), abs(exposure.held - exposure.selling))
    return {
        "daily_loss": max(0.0, from_nano(state.daily_pnl) / limits.max_daily_loss),
        "drawdown": max(0.0, from_nano(state.drawdown) / limits.max_drawdown),
        "consecutive_losses": state.loss_streak / limits.max_consecutive_losses,
        "trades": state.trades_today / limits.max_trades_per_day,
        "unresolved_orders": len(state.orders) / limits.max_unresolved_orders,
        "position": from_nano(largest) / limits.max_position_size,
    }


def _drift(state: RiskState, limits: RiskLimits) -> dict[str, Any]:
    """The drift alarm that stands, acknowledged or not; `effect` is what it does to entries now."""
    alarm = state.drift
    effect = OnDrift.HALVE if drift_halves(state, limits) else OnDrift.NONE
    return {
        "active": alarm is not None,
        "since": None if alarm is None else timestamp(alarm.since),
        "tick": None if alarm is None else timestamp(alarm.tick),
        "reason": None if alarm is None else alarm.reason,
        "acknowledged_at": None if alarm is None else _text(alarm.acknowledged_at),
        "acknowledged_by": None if alarm is None else alarm.acknowledged_by,
        "effect": effect.value,
    }


def _position(state: RiskState, limits: RiskLimits) -> dict[str, Any]:
    exposure = exposure_of(state)
    return {
        "known": exposure.known,
        "position": None if exposure.position is None else from_nano(exposure.position),
        "as_of": _text(exposure.as_of),
        "being_bought": from_nano(exposure.buying),
        "being_sold": from_nano(exposure.selling),
        "being_closed": from_nano(exposure.being_closed),
        "room_to_buy": from_nano(max(0, exposure.room(Signal.BUY, limits.max_position_size))),
        "room_to_sell": from_nano(max(0, exposure.room(Signal.SELL, limits.max_position_size))),
    }


def _order(order: OpenOrder, now: datetime) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "decision_id": order.decision_id,
        "signal": order.signal,
        "size_percent": from_nano(order.size),
        "approved_at": timestamp(order.at),
        "valid_until": timestamp(order.valid_until),
        "expired": now > order.valid_until,
        "probe": order.probe,
    }


def _told(verdict: Verdict) -> dict[str, Any]:
    return {
        "passes": verdict.approved,
        "status": verdict.status.value,
        "reduces": verdict.reduces,
        "reasons": list(verdict.reasons),
    }


def _cause(cause: Cause, *, open_: bool) -> dict[str, Any]:
    counted = cause.kind is CauseKind.CONSECUTIVE_LOSSES
    return {
        "cause": cause.kind.value,
        "open": open_,
        "since": timestamp(cause.since),
        "until": _text(cause.until),
        "value": cause.value if counted else from_nano(cause.value),
        "limit": cause.limit if counted else from_nano(cause.limit),
        "released_by": _RELEASE[cause.kind],
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


_RELEASE = {
    CauseKind.DAILY_LOSS: "the next session date, or a daily reset",
    CauseKind.DRAWDOWN: "a reset with scope all",
    CauseKind.CONSECUTIVE_LOSSES: "a probe that wins after its pause, or a daily reset",
}
