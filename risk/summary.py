"""The risk state in words and fractions: why an entry would or would not pass now."""

from datetime import datetime
from typing import Any

from config.settings import RiskLimits
from risk.breaker import active_causes, breaker_state
from risk.calendar import SessionStatus
from risk.events import timestamp
from risk.fixed_point import from_micro, from_nano
from risk.gate import Candidate, Situation, judge
from risk.state import Cause, CauseKind, RiskState, roll
from runners.signal import Signal

__all__ = ["risk_metrics", "summarise"]


def risk_metrics(state: RiskState) -> dict[str, float | int]:
    """The counters that every answer carries; `state` is rolled to the session date."""
    return {
        "daily_pnl": from_nano(state.daily_pnl),
        "trades_today": state.today.results,
        "consecutive_losses": state.loss_streak,
        "drawdown": from_nano(state.drawdown),
    }


def summarise(
    state: RiskState, limits: RiskLimits, session: SessionStatus, now: datetime
) -> dict[str, Any]:
    """All that the limits are about, as JSON values.

    `trading_status` is ACTIVE when a fully confident entry would pass now, else the status
    that it would be refused with.
    """
    state = roll(state, session.day)
    entry = Candidate(Signal.BUY, confidence=1.0)
    verdict = judge(Situation(entry, state, limits, session, now))
    return {
        "trading_status": "ACTIVE" if verdict.approved else verdict.status.value,
        "reasons": list(verdict.reasons),
        "daily_stats": _daily_stats(state),
        "limits": limits.model_dump(mode="json"),
        "risk_utilization": _utilization(state, limits),
        "breaker": {
            "state": breaker_state(state, now).value,
            "causes": [_told(cause) for cause in active_causes(state, now)],
        },
        "calendar": {
            "date": session.day.isoformat(),
            "open": session.closure is None,
            "reason": None if session.closure is None else session.closure.message,
            "session_ends_at": None if session.ends_at is None else timestamp(session.ends_at),
        },
        "state_sequence": state.sequence,
        "timestamp": timestamp(now),
    }


def _daily_stats(state: RiskState) -> dict[str, Any]:
    today = state.today
    decided = today.wins + today.losses
    return {
        "date": None if today.day is None else today.day.isoformat(),
        "pnl": from_micro(today.pnl_usd),
        "pnl_percent": from_nano(state.daily_pnl),
        "realized_pnl_percent": from_nano(today.realised),
        "unrealized_pnl_percent": from_nano(state.mark),
        "trades_today": today.results,
        "wins": today.wins,
        "losses": today.losses,
        "win_rate": today.wins / decided if decided else None,
        "consecutive_losses": state.loss_streak,
        "drawdown": from_nano(state.drawdown),
        "equity": from_nano(state.equity),
        "high_water_mark": from_nano(state.high_water_mark),
        "resets_used": today.resets,
    }


def _utilization(state: RiskState, limits: RiskLimits) -> dict[str, float]:
    """How much of each limit is used: 0 is nothing, 1 is all of it."""
    return {
        "daily_loss": max(0.0, from_nano(state.daily_pnl) / limits.max_daily_loss),
        "drawdown": max(0.0, from_nano(state.drawdown) / limits.max_drawdown),
        "consecutive_losses": state.loss_streak / limits.max_consecutive_losses,
        "trades": state.today.results / limits.max_trades_per_day,
    }


def _told(cause: Cause) -> dict[str, Any]:
    counted = cause.kind is CauseKind.CONSECUTIVE_LOSSES
    return {
        "cause": cause.kind.value,
        "since": timestamp(cause.since),
        "until": None if cause.until is None else timestamp(cause.until),
        "value": cause.value if counted else from_nano(cause.value),
        "limit": cause.limit if counted else from_nano(cause.limit),
        "released_by": _RELEASE[cause.kind],
    }


_RELEASE = {
    CauseKind.DAILY_LOSS: "the next session date, or a daily reset",
    CauseKind.DRAWDOWN: "a reset with scope all",
    CauseKind.CONSECUTIVE_LOSSES: "its time, or a daily reset",
}
