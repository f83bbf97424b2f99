"""The circuit breaker: a set of causes, each with its own release.

============================ ================================================================
cause                        releases
============================ ================================================================
daily loss                   when the session date rolls, or by a reset
drawdown                     by `reset scope=all` only; never re-based silently
consecutive losses           by a probe that wins, or by a reset
============================ ================================================================

It is CLOSED only when the set is empty. Consecutive losses pause for
`cooldown_after_circuit_break`; then, when they are the only cause, the breaker is HALF_OPEN and
lets one probe through. A probe that loses opens it again for twice as long, at most a session; one
that ends at zero, or was not executed, is made again.

Limits are judged on the report that breaches them, not on the next signal. A trade result is
believed at once, a mark when a second one confirms it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from config.settings import RiskLimits
from risk.events import timestamp
from risk.fixed_point import to_nano
from risk.state import Cause, CauseKind, RiskState

__all__ = [
    "BreakerState",
    "Trip",
    "breaches",
    "breaker_state",
    "confirmed",
    "open_causes",
    "streak_trip",
]


class BreakerState(StrEnum):
    """Whether entries may pass."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True)
class Trip:
    """A breach that opens the breaker.

    Attributes:
        kind: the limit.
        value: what breached it, nano (a count for consecutive losses).
        limit: the limit, in the same unit.
        until: consecutive losses: when a probe may pass.
        cooldown_seconds: consecutive losses: the length of that pause.
        probe: consecutive losses: a probe that is still on its way.
    """

    kind: CauseKind
    value: int
    limit: int
    until: datetime | None = None
    cooldown_seconds: int | None = None
    probe: str | None = None

    def payload(self, by: str) -> dict[str, Any]:
        """What goes on record; `by` is the event that breached."""
        return {
            "cause": self.kind.value,
            "value": self.value,
            "limit": self.limit,
            "until": None if self.until is None else timestamp(self.until),
            "cooldown_seconds": self.cooldown_seconds,
            "probe": self.probe,
            "by": by,
        }


def open_causes(state: RiskState, now: datetime) -> tuple[Cause, ...]:
    """The causes that let no entry through now, not even a probe."""
    return tuple(cause for cause in state.causes if cause.until is None or now < cause.until)


def breaker_state(state: RiskState, now: datetime) -> BreakerState:
    """CLOSED without a cause; HALF_OPEN when the only one has paused for long enough."""
    if not state.causes:
        return BreakerState.CLOSED
    return BreakerState.OPEN if open_causes(state, now) else BreakerState.HALF_OPEN


def breaches(state: RiskState, limits: RiskLimits) -> tuple[Trip, ...]:
    """The limits on P&L that a state is at or beyond: exactly -2.00% breaches -2.00%."""
    values = (
        (CauseKind.DAILY_LOSS, state.daily_pnl, to_nano(limits.max_daily_loss)),
        (CauseKind.DRAWDOWN, state.drawdown, to_nano(limits.max_drawdown)),
    )
    return tuple(Trip(kind, value, limit) for kind, value, limit in values if value <= limit)


def confirmed(
    found: Iterable[Trip], before: RiskState, as_of: datetime, limits: RiskLimits
) -> Sequence[Trip]:
    """Breaches by a mark that an earlier mark showed already, long enough before it.

    Args:
        found: breaches by the mark.
        before: the state before it, with the suspicions of earlier marks.
        as_of: of the mark.
        limits: in force.
    """
    least = timedelta(seconds=limits.mark_confirm_seconds)
    return [
        trip
        for trip in found
        if (suspicion := before.suspicion(trip.kind)) is not None
        and as_of - suspicion.as_of >= least
    ]


def streak_trip(
    before: RiskState,
    after: RiskState,
    limits: RiskLimits,
    now: datetime,
    *,
    order_id: str | None,
    session_seconds: int,
) -> Trip | None:
    """What a loss does to the breaker: too many in a row open it, a lost probe opens it again.

    Each further loss starts the pause again.

    Args:
        before: the state before a trade result, rolled to the session date.
        after: the state after it.
        limits: in force.
        now: of the result.
        order_id: of the result.
        session_seconds: length of a session; no pause is longer.
    """
    if after.loss_streak <= before.loss_streak:
        return None
    standing = before.cause(CauseKind.CONSECUTIVE_LOSSES)
    if standing is None and after.loss_streak < limits.max_consecutive_losses:
        return None
    pause = limits.cooldown_after_circuit_break
    probe = None
    if standing is not None:
        pause = standing.cooldown_seconds or pause
        probe = standing.probe
        if order_id is not None and order_id == probe:
            pause, probe = min(2 * pause, max(session_seconds, pause)), None
    return Trip(
        kind=CauseKind.CONSECUTIVE_LOSSES,
        value=after.loss_streak,
        limit=limits.max_consecutive_losses,
        until=now + timedelta(seconds=pause),
        cooldown_seconds=pause,
        probe=probe,
    )
