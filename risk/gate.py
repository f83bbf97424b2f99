"""The risk gate: what can stop a trade, in this order.

Every rule is evaluated and reported; the first that fails names the status. A refusal is a
value: `judge` never raises to say no. To add a rule, write one function and put it in `RULES`
at its place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from config.settings import RiskLimits
from risk.breaker import active_causes
from risk.calendar import SessionStatus
from risk.fixed_point import from_nano, to_nano
from risk.state import RiskState
from runners.signal import Signal

__all__ = ["RULES", "Candidate", "Check", "RiskStatus", "Situation", "Verdict", "judge"]

_MAX_AHEAD = timedelta(seconds=5)
_COOLDOWN_FROM_STREAK = 2


class RiskStatus(StrEnum):
    """What the gate, or the service around it, says of a decision."""

    APPROVED = "APPROVED"
    STALE_DATA = "STALE_DATA"
    HOLD_SIGNAL = "HOLD_SIGNAL"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    OUTSIDE_TRADING_HOURS = "OUTSIDE_TRADING_HOURS"
    MARKET_HOLIDAY = "MARKET_HOLIDAY"
    CIRCUIT_BREAKER_ACTIVE = "CIRCUIT_BREAKER_ACTIVE"
    COOLDOWN_ACTIVE = "COOLDOWN_ACTIVE"
    DAILY_LOSS_LIMIT = "DAILY_LOSS_LIMIT"
    MAX_DRAWDOWN = "MAX_DRAWDOWN"
    CONSECUTIVE_LOSSES = "CONSECUTIVE_LOSSES"
    MAX_TRADES_REACHED = "MAX_TRADES_REACHED"
    DRY_RUN = "DRY_RUN"
    NOT_CHECKED = "NOT_CHECKED"
    SYSTEM_ERROR = "SYSTEM_ERROR"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A signal that asks to be traded.

    Attributes:
        signal: what the models say.
        confidence: of that signal, 0 to 1. NaN never passes.
        observed_at: when the observation was known, aware; None when the caller did not say.
    """

    signal: Signal
    confidence: float
    observed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a rule may look at. `state` is rolled to the session date of `now`."""

    candidate: Candidate
    state: RiskState
    limits: RiskLimits
    session: SessionStatus
    now: datetime


class Check(NamedTuple):
    """What one rule found.

    Attributes:
        name: of the rule.
        status: what it says when it does not let the signal through.
        value: what was looked at, and
        limit: what it was held against, in the rule's own unit.
        message: why it failed, in words; empty when it passed.
    """

    name: str
    status: RiskStatus
    value: float | str | None
    limit: float | str | None
    message: str = ""

    @property
    def passed(self) -> bool:
        """Whether the rule lets the signal through."""
        return not self.message


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks in order, and what they come to."""

    status: RiskStatus
    checks: tuple[Check, ...]

    @property
    def approved(self) -> bool:
        """Whether every check passed."""
        return self.status is RiskStatus.APPROVED

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not, in words, most important first."""
        return tuple(check.message for check in self.checks if not check.passed)


def judge(situation: Situation) -> Verdict:
    """Hold a signal against every rule."""
    checks = tuple(rule(situation) for rule in RULES)
    failed = next((check for check in checks if not check.passed), None)
    return Verdict(RiskStatus.APPROVED if failed is None else failed.status, checks)


def _freshness(situation: Situation) -> Check:
    observed_at, limit = situation.candidate.observed_at, situation.limits.max_data_age_seconds
    if observed_at is None:
        return Check("data_age_seconds", RiskStatus.STALE_DATA, None, limit)
    age = situation.now - observed_at
    message = ""
    if age > timedelta(seconds=limit):
        message = f"the observation is {age.total_seconds():.0f} s old; at most {limit} s may pass"
    elif age < -_MAX_AHEAD:
        message = (
            f"the observation is {-age.total_seconds():.0f} s ahead of the clock; "
            f"at most {_MAX_AHEAD.seconds} s may be"
        )
    return Check(
        "data_age_seconds",
        RiskStatus.STALE_DATA,
        age.total_seconds(),
        limit,
        message,
    )


def _signal(situation: Situation) -> Check:
    signal = situation.candidate.signal
    passed = signal is not Signal.HOLD
    message = "" if passed else "the models say HOLD"
    return Check("signal", RiskStatus.HOLD_SIGNAL, signal.value, None, message)


def _confidence(situation: Situation) -> Check:
    value, limit = situation.candidate.confidence, situation.limits.min_confidence
    passed = value >= limit
    message = "" if passed else f"confidence {value:.4g} is below min_confidence {limit:.4g}"
    return Check("confidence", RiskStatus.LOW_CONFIDENCE, value, limit, message)


def _session(situation: Situation) -> Check:
    closure = situation.session.closure
    if closure is None:
        return Check("session", RiskStatus.OUTSIDE_TRADING_HOURS, "open", None)
    status = RiskStatus.MARKET_HOLIDAY if closure.holiday else RiskStatus.OUTSIDE_TRADING_HOURS
    return Check("session", status, "closed", None, closure.message)


def _clock(situation: Situation) -> Check:
    recorded, today = situation.state.today.day, situation.session.day
    told = today.isoformat()
    if recorded is None or recorded <= today:
        return Check("clock", RiskStatus.SYSTEM_ERROR, told, None)
    message = (
        f"the clock says {today}, but {recorded} is on record: either it is wrong now or it was "
        "then; set it right, or reset with scope all"
    )
    return Check("clock", RiskStatus.SYSTEM_ERROR, told, recorded.isoformat(), message)


def _breaker(situation: Situation) -> Check:
    causes = active_causes(situation.state, situation.now)
    if not causes:
        return Check("breaker", RiskStatus.CIRCUIT_BREAKER_ACTIVE, "CLOSED", None)
    told = ", ".join(
        cause.kind.value + (f" until {cause.until:%H:%M:%S} UTC" if cause.until else "")
        for cause in causes
    )
    message = f"the circuit breaker is open: {told}"
    return Check("breaker", RiskStatus.CIRCUIT_BREAKER_ACTIVE, "OPEN", None, message)


def _cooldown(situation: Situation) -> Check:
    limit, state = situation.limits.cooldown_after_loss, situation.state
    left = 0.0
    if state.last_loss_at is not None and state.loss_streak >= _COOLDOWN_FROM_STREAK:
        ends_at = state.last_loss_at + timedelta(seconds=limit)
        left = max(0.0, (ends_at - situation.now).total_seconds())
    message = f"{left:.0f} s of the cooldown after a loss are left" if left else ""
    return Check("cooldown_seconds", RiskStatus.COOLDOWN_ACTIVE, left, limit, message)


def _daily_loss(situation: Situation) -> Check:
    return _fraction_check(
        "daily_pnl",
        RiskStatus.DAILY_LOSS_LIMIT,
        situation.state.daily_pnl,
        situation.limits.max_daily_loss,
    )


def _drawdown(situation: Situation) -> Check:
    return _fraction_check(
        "drawdown",
        RiskStatus.MAX_DRAWDOWN,
        situation.state.drawdown,
        situation.limits.max_drawdown,
    )


def _fraction_check(name: str, status: RiskStatus, value: int, limit: float) -> Check:
    passed = value > to_nano(limit)
    told = from_nano(value)
    message = "" if passed else f"{name} {told:.4%} has reached its limit {limit:.4%}"
    return Check(name, status, told, limit, message)


def _loss_streak(situation: Situation) -> Check:
    value, limit = situation.state.loss_streak, situation.limits.max_consecutive_losses
    passed = value < limit
    message = "" if passed else f"{value} losses in a row; the limit is {limit}"
    return Check("consecutive_losses", RiskStatus.CONSECUTIVE_LOSSES, value, limit, message)


def _trades_today(situation: Situation) -> Check:
    value, limit = situation.state.today.results, situation.limits.max_trades_per_day
    passed = value < limit
    message = "" if passed else f"{value} trades today; the limit is {limit}"
    return Check("trades_today", RiskStatus.MAX_TRADES_REACHED, value, limit, message)


RULES: tuple[Callable[[Situation], Check], ...] = (
    _freshness,
    _signal,
    _confidence,
    _session,
    _clock,
    _breaker,
    _cooldown,
    _daily_loss,
    _drawdown,
    _loss_streak,
    _trades_today,
)
"""The rules, in the order in which they name the status."""
