"""Resets: a person clears counters. They re-base; they erase no event."""

from errors import Conflict, InvalidRequest
from risk.acts import Act
from risk.events import Event, EventKind
from risk.fold import fold, roll
from risk.ledger.retry import on_newest_state
from risk.state import ResetScope, RiskState

__all__ = ["record_reset"]


def record_reset(scope: ResetScope, reason: str, act: Act) -> tuple[Event, RiskState]:
    """Clear what the scope clears; returns the event and the state after it.

    ============================================== =========== =========
    cleared                                        daily       all
    ============================================== =========== =========
    daily P&L, results today, daily-loss cause     yes         yes
    open orders                                    no          no
    loss streak, cooldown, consecutive-loss cause  yes         yes
    high-water mark, drawdown cause                no          re-based, cleared
    operator state, position, drift alarm          no          no
    ============================================== =========== =========

    Raises:
        InvalidRequest: scope `all` came without a reason.
        Conflict: the day's resets are used up.
        StoreError: nothing was stored.
    """
    if scope is ResetScope.ALL and not reason.strip():
        raise InvalidRequest(
            "scope 'all' clears a latched drawdown: it needs a `reason` for the record"
        )

    def reset(state: RiskState) -> tuple[Event, RiskState]:
        today = roll(state, act.day).today
        # Resets on a date of the future, which a wrong clock has put on record, are none of today.
        used = today.resets if today.day == act.day else 0
        _refuse_beyond(act.limits(state).max_daily_resets, used=used)
        draft = act.draft(EventKind.RESET, {"scope": scope.value, "reason": reason})
        (event,) = act.ledger.append([draft], expected=state.sequence, durable=True)
        return event, fold(state, event)

    return on_newest_state(act.ledger, reset, what="the reset")


def _refuse_beyond(limit: int, *, used: int) -> None:
    if used >= limit:
        raise Conflict(
            f"{used} of {limit} resets are used today (risk_limits.max_daily_resets); "
            "the next is possible tomorrow",
            code="reset_limit",
            detail={"used": used, "limit": limit},
        )
