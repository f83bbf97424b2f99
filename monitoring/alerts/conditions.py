"""What stands in the book now that somebody should know of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from config.settings import RiskLimits
from monitoring.alerts.causes import Cause, Condition
from risk.breaker import open_causes
from risk.fixed_point import from_nano
from risk.state import CauseKind, OperatorMode, RiskState
from risk.summary import utilization

__all__ = ["book_conditions"]

# A position at its maximum is what a desk is there for.
_UNREMARKABLE: Final = frozenset({"position"})
# What the breaker tells once it is open.
_BREAKER_OF: Final = {kind.value: kind for kind in CauseKind}


def book_conditions(
    state: RiskState, limits: RiskLimits, now: datetime, limit_share: float
) -> Iterator[Condition]:
    """Breaker, halt and limits that are nearly used up.

    Args:
        state: of the book, rolled to the session date.
        limits: in force.
        now: aware.
        limit_share: of a limit, from which on it is near.
    """
    yield from _halt(state)
    yield from _breaker(state, now)
    yield from _limits(state, limits, limit_share)


def _halt(state: RiskState) -> Iterator[Condition]:
    operator = state.operator
    if operator.mode is OperatorMode.ACTIVE:
        return
    reason = operator.reason or "no reason given"
    words = f"trading is {operator.mode.value} by {operator.actor or 'nobody'}: {reason}"
    yield Condition(Cause.HALT, operator.mode.value, words, escalates=True)
    if operator.mode is OperatorMode.HALTED:
        # Tightened, not resumed: nobody is to read that the first of the two is over.
        yield Condition(Cause.HALT, OperatorMode.REDUCING.value, words, opens=False)


def _breaker(state: RiskState, now: datetime) -> Iterator[Condition]:
    standing = {cause.kind for cause in open_causes(state, now)}
    for cause in state.causes:
        counted = cause.kind is CauseKind.CONSECUTIVE_LOSSES
        value, limit = (
            (str(cause.value), str(cause.limit))
            if counted
            else (f"{from_nano(cause.value):.2%}", f"{from_nano(cause.limit):.2%}")
        )
        yield Condition(
            Cause.BREAKER,
            cause.kind.value,
            f"the circuit breaker is open: {cause.kind.value} {value}, limit {limit}",
            escalates=cause.kind in standing,
        )


def _limits(state: RiskState, limits: RiskLimits, share: float) -> Iterator[Condition]:
    for name, used in utilization(state, limits).items():
        if name in _UNREMARKABLE or not used >= share:
            continue
        kind = _BREAKER_OF.get(name)
        told = kind is not None and state.cause(kind) is not None
        words = f"{name} is at {used:.0%} of its limit"
        yield Condition(Cause.LIMIT, name, words, opens=not told)
