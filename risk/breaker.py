"""The circuit breaker: a set of causes, each with its own release.

============================ ================================================================
cause                        releases
============================ ================================================================
daily loss                   when the session date rolls, or by a reset
drawdown                     by `reset scope=all` only; never re-based silently
consecutive losses           after `cooldown_after_circuit_break`, or by a reset; the limit on
                             the streak itself goes on refusing entries until a win or a reset
============================ ================================================================

It is CLOSED only when the set is empty. Limits are judged on the trade result that breaches
them, not on the next signal.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from config.settings import RiskLimits
from risk.fixed_point import to_nano
from risk.state import Cause, CauseKind, RiskState

__all__ = ["BreakerState", "Trip", "active_causes", "breaker_state", "trips"]


class BreakerState(StrEnum):
    """Whether entries may pass."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"


@dataclass(frozen=True, slots=True)
class Trip:
    """A breach that opens the breaker.

    Attributes:
        kind: the limit.
        value: what breached it, nano (a count for consecutive losses).
        limit: the limit, in the same unit.
        until: when it releases by itself, if it does.
    """

    kind: CauseKind
    value: int
    limit: int
    until: datetime | None


def active_causes(state: RiskState, now: datetime) -> tuple[Cause, ...]:
    """The causes that hold the breaker open now."""
    return tuple(cause for cause in state.causes if cause.until is None or now < cause.until)


def breaker_state(state: RiskState, now: datetime) -> BreakerState:
    """OPEN while any cause holds."""
    return BreakerState.OPEN if active_causes(state, now) else BreakerState.CLOSED


def trips(before: RiskState, after: RiskState, limits: RiskLimits, now: datetime) -> list[Trip]:
    """Limits that the step from `before` to `after` breaches and that are not tripped yet.

    A limit is breached when its value is reached: exactly -2.00% trips -2.00%.
    """
    daily_loss, drawdown = to_nano(limits.max_daily_loss), to_nano(limits.max_drawdown)
    found = []
    if after.daily_pnl <= daily_loss and after.cause(CauseKind.DAILY_LOSS) is None:
        found.append(Trip(CauseKind.DAILY_LOSS, after.daily_pnl, daily_loss, until=None))
    if after.drawdown <= drawdown and after.cause(CauseKind.DRAWDOWN) is None:
        found.append(Trip(CauseKind.DRAWDOWN, after.drawdown, drawdown, until=None))
    # Each further loss starts the pause again; anything else leaves it as it is.
    lost = after.loss_streak > before.loss_streak
    if lost and after.loss_streak >= limits.max_consecutive_losses:
        until = now + timedelta(seconds=limits.cooldown_after_circuit_break)
        found.append(
            Trip(
                CauseKind.CONSECUTIVE_LOSSES,
                after.loss_streak,
                limits.max_consecutive_losses,
                until,
            )
        )
    return found
