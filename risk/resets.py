"""Resets: a person clears counters. They re-base; they erase no event."""

from collections.abc import Callable
from datetime import datetime

from config.settings import RiskLimits
from errors import Conflict, InvalidRequest
from risk.calendar import SessionCalendar
from risk.events import Draft, Event, EventKind
from risk.ledger.protocol import Ledger
from risk.ledger.retry import on_newest_state
from risk.state import ResetScope, RiskState, fold, roll

__all__ = ["record_reset"]


def record_reset(
    scope: ResetScope,
    reason: str,
    *,
    ledger: Ledger,
    limits: RiskLimits,
    calendar: SessionCalendar,
    now: datetime,
    new_id: Callable[[datetime], str],
    actor: str,
) -> tuple[Event, RiskState]:
    """Clear what the scope clears; returns the event and the state after it.

    ============================================== =========== =========
    cleared                                        daily       all
    ============================================== =========== =========
    daily P&L, trades today, daily-loss cause      yes         yes
    loss streak, cooldown, consecutive-loss cause  yes         yes
    high-water mark, drawdown cause                no          re-based, cleared
    ============================================== =========== =========

    Raises:
        InvalidRequest: scope `all` came without a reason.
        Conflict: the day's resets are used up.
        LedgerError: nothing was stored.
    """
    if scope is ResetScope.ALL and not reason.strip():
        raise InvalidRequest(
            "scope 'all' clears a latched drawdown: it needs a `reason` for the record"
        )
    day = calendar.day(now)

    def reset(state: RiskState) -> tuple[Event, RiskState]:
        _refuse_beyond(limits.max_daily_resets, used=roll(state, day).today.resets)
        draft = Draft(
            kind=EventKind.RESET,
            event_id=new_id(now),
            at=now,
            day=day,
            actor=actor,
            payload={"scope": scope.value, "reason": reason},
        )
        (event,) = ledger.append([draft], expected=state.sequence, durable=True)
        return event, fold(state, event)

    return on_newest_state(ledger, reset, what="the reset")


def _refuse_beyond(limit: int, *, used: int) -> None:
    if used >= limit:
        raise Conflict(
            f"{used} of {limit} resets are used today (risk_limits.max_daily_resets); "
            "the next is possible tomorrow",
            code="reset_limit",
            detail={"used": used, "limit": limit},
        )
