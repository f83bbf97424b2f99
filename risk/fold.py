"""How the risk state follows from the events: one small step for each kind.

A step needs no clock, no configuration and no store: what an event depends on is in the event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from risk.events import EventKind, Happening
from risk.state import (
    Cause,
    CauseKind,
    DayCounters,
    DriftAlarm,
    OpenOrder,
    Operator,
    OperatorMode,
    Position,
    Reduction,
    ResetScope,
    RiskState,
    Suspicion,
)

__all__ = ["changes_state", "fold", "roll"]

_CLOCK_JITTER = timedelta(seconds=5)


def roll(state: RiskState, day: date) -> RiskState:
    """The state as it stands on a date: a later date clears the day, an earlier one nothing.

    Clears daily P&L, trades today, open orders and the daily-loss cause. The loss streak, the
    high-water mark, the operator's state, a drift alarm and the other causes live on. So does an
    unresolved probe, whose outcome is still to be reported, and what approved exits take off a
    position that was reported before them. A mark that nobody confirmed is not what the new day
    begins with.
    """
    if state.today.day is not None and day <= state.today.day:
        return state
    return replace(
        state,
        today=DayCounters(day=day, mark_carried=state.believed_mark),
        causes=_without(state.causes, CauseKind.DAILY_LOSS),
        position=_unsure(state.position) if state.orders else state.position,
        orders=(),
    )


def _unsure(position: Position | None) -> Position | None:
    return None if position is None else replace(position, sure=False)


def changes_state(kind: EventKind, payload: Mapping[str, Any]) -> bool:
    """Whether such an event is a part of the state; most decisions are not."""
    if kind is EventKind.DECISION:
        return payload.get("order") is not None
    return kind in _STEPS


def fold(state: RiskState, event: Happening) -> RiskState:
    """The state after an event. Events that change nothing return the very same state."""
    step = _STEPS.get(event.kind)
    if step is None or not changes_state(event.kind, event.payload):
        return state
    return replace(step(roll(state, event.day), event), sequence=event.sequence)


def _decision(state: RiskState, event: Happening) -> RiskState:
    """An approval with an order id: an entry is an open order, an exit a reduction."""
    order = event.payload["order"]
    if order["reduces"]:
        return _with_reduction(state, order, event.at)
    opened = OpenOrder(
        order_id=order["order_id"],
        decision_id=event.event_id,
        signal=order["signal"],
        size=order["size_nano"],
        at=event.at,
        valid_until=datetime.fromisoformat(order["valid_until"]),
        probe=order["probe"],
    )
    causes = state.causes
    if opened.probe:
        causes = tuple(
            replace(cause, probe=opened.order_id)
            if cause.kind is CauseKind.CONSECUTIVE_LOSSES
            else cause
            for cause in causes
        )
    return replace(state, orders=(*state.orders, opened), causes=causes)


def _with_reduction(state: RiskState, order: Mapping[str, Any], at: datetime) -> RiskState:
    """Note what an exit takes off the reported position, and never more than there is."""
    held = 0 if state.position is None else state.position.value
    closes = held > 0 if order["signal"] == "SELL" else held < 0
    left = abs(held) - sum(reduction.size for reduction in state.reductions)
    if not closes or left <= 0:
        return state
    reduction = Reduction(order["order_id"], min(order["size_nano"], left), at)
    return replace(state, reductions=(*state.reductions, reduction))


def _order_closed(state: RiskState, event: Happening) -> RiskState:
    """An outcome: the order stops counting. One that was not executed took nothing off."""
    order_id: str = event.payload["order_id"]
    state = replace(
        state, orders=tuple(order for order in state.orders if order.order_id != order_id)
    )
    if event.payload["outcome"] == "result":
        return state
    return replace(
        state,
        reductions=tuple(exit_ for exit_ in state.reductions if exit_.order_id != order_id),
        causes=_without_probe(state.causes, order_id),
    )


def _trade_result(state: RiskState, event: Happening) -> RiskState:
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
        state, today=today, equity=equity, high_water_mark=max(state.high_water_mark, equity)
    )
    as_of = datetime.fromisoformat(result["as_of"])
    if _is_newer(as_of, state.mark_as_of, event.at):
        state = replace(state, mark=result["unrealized_nano"], mark_as_of=as_of, suspicions=())
    if result["position_nano"] is not None:
        state = _with_position(state, result["position_nano"], as_of, event.at)
    if pnl == 0:
        # A probe that proved nothing is to be made again; a lost one is tripped, a won one
        # released, by events of their own.
        return replace(state, causes=_without_probe(state.causes, result["order_id"]))
    if pnl > 0:
        return replace(state, loss_streak=0)
    # A clock that went back must not end a cooldown early.
    newest = max(event.at, state.last_loss_at or event.at)
    return replace(state, loss_streak=state.loss_streak + 1, last_loss_at=newest)


def _position(state: RiskState, event: Happening) -> RiskState:
    report = event.payload
    as_of = datetime.fromisoformat(report["as_of"])
    return _with_position(state, report["position_nano"], as_of, event.at)


def _with_position(state: RiskState, value: int, as_of: datetime, at: datetime) -> RiskState:
    """The newest report counts. What was approved up to then, it shows."""
    known = None if state.position is None else state.position.as_of
    if not _is_newer(as_of, known, at):
        return state
    return replace(
        state,
        position=Position(value, as_of),
        reductions=tuple(exit_ for exit_ in state.reductions if exit_.at > as_of),
    )


def _mark(state: RiskState, event: Happening) -> RiskState:
    mark = event.payload
    as_of = datetime.fromisoformat(mark["as_of"])
    if not _is_newer(as_of, state.mark_as_of, event.at):
        return state
    base = state.believed_mark
    return replace(
        state,
        mark=mark["unrealized_nano"],
        mark_as_of=as_of,
        suspicions=tuple(
            _suspected(state.suspicion(kind), Suspicion(kind, as_of, base))
            for kind in map(CauseKind, mark["beyond"])
        ),
    )


def _suspected(known: Suspicion | None, found: Suspicion) -> Suspicion:
    """The first of marks in a row. One of a clock that was ahead must not put off the second."""
    return found if known is None else replace(known, as_of=min(known.as_of, found.as_of))


def _breaker_tripped(state: RiskState, event: Happening) -> RiskState:
    trip = event.payload
    kind = CauseKind(trip["cause"])
    until = None if trip["until"] is None else datetime.fromisoformat(trip["until"])
    standing = state.cause(kind)
    if until is not None and standing is not None and standing.until is not None:
        # A clock that went back must not release a cause early.
        until = max(until, standing.until)
    cause = Cause(
        kind,
        since=event.at,
        until=until,
        value=trip["value"],
        limit=trip["limit"],
        cooldown_seconds=trip["cooldown_seconds"],
        probe=trip["probe"],
    )
    return replace(
        state,
        causes=(*_without(state.causes, kind), cause),
        suspicions=tuple(found for found in state.suspicions if found.kind is not kind),
    )


def _breaker_released(state: RiskState, event: Happening) -> RiskState:
    return replace(state, causes=_without(state.causes, CauseKind(event.payload["cause"])))


def _operator_halted(state: RiskState, event: Happening) -> RiskState:
    """Halting only tightens."""
    return _halted(state, OperatorMode(event.payload["mode"]), event)


def _halted(state: RiskState, mode: OperatorMode, event: Happening) -> RiskState:
    if mode.strictness <= state.operator.mode.strictness:
        return state
    return replace(state, operator=Operator(mode, event.at, event.actor, event.payload["reason"]))


def _operator_resumed(state: RiskState, event: Happening) -> RiskState:
    mode = OperatorMode(event.payload["mode"])
    return replace(state, operator=Operator(mode, event.at, event.actor, event.payload["reason"]))


def _reconciled(state: RiskState, event: Happening) -> RiskState:
    """A loss of records was accepted: a person has to say that trading goes on."""
    return _halted(state, OperatorMode.HALTED, event)


def _reset(state: RiskState, event: Happening) -> RiskState:
    everything = ResetScope(event.payload["scope"]) is ResetScope.ALL
    ahead = state.today.day is not None and state.today.day > event.day
    cleared = [CauseKind.DAILY_LOSS, CauseKind.CONSECUTIVE_LOSSES]
    if everything:
        cleared.append(CauseKind.DRAWDOWN)
    return replace(
        state,
        today=DayCounters(
            # The way out when a wrong clock has put a date of the future on record.
            day=event.day if everything else state.today.day,
            mark_carried=state.believed_mark,
            # Those that were used on a date of the future are none of today's.
            resets=1 if ahead and everything else state.today.resets + 1,
        ),
        # The open mark belongs to the new base, or an open loss would be a drawdown at once.
        high_water_mark=(
            state.equity + state.believed_mark if everything else state.high_water_mark
        ),
        loss_streak=0,
        last_loss_at=None,
        causes=_without(state.causes, *cleared),
    )


def _configuration(state: RiskState, event: Happening) -> RiskState:
    return replace(state, configuration=event.payload["hash"])


def _model_promoted(state: RiskState, event: Happening) -> RiskState:
    promotion = event.payload
    return replace(
        state, live_models={**state.live_models, promotion["model"]: promotion["version"]}
    )


def _drift_alarm(state: RiskState, event: Happening) -> RiskState:
    """Another alarm of the same episode is no news: who acknowledged the first one knows."""
    tick, reason = datetime.fromisoformat(event.payload["tick"]), event.payload["reason"]
    if state.drift is not None:
        return replace(state, drift=replace(state.drift, tick=tick, reason=reason))
    return replace(state, drift=DriftAlarm(event.at, tick, reason))


def _drift_cleared(state: RiskState, event: Happening) -> RiskState:
    del event
    return replace(state, drift=None)


def _drift_acknowledged(state: RiskState, event: Happening) -> RiskState:
    if state.drift is None:
        return state
    known = replace(state.drift, acknowledged_at=event.at, acknowledged_by=event.actor)
    return replace(state, drift=known)


_STEPS: Mapping[EventKind, Callable[[RiskState, Happening], RiskState]] = {
    EventKind.DECISION: _decision,
    EventKind.ORDER_CLOSED: _order_closed,
    EventKind.TRADE_RESULT: _trade_result,
    EventKind.POSITION: _position,
    EventKind.MARK: _mark,
    EventKind.BREAKER_TRIPPED: _breaker_tripped,
    EventKind.BREAKER_RELEASED: _breaker_released,
    EventKind.OPERATOR_HALTED: _operator_halted,
    EventKind.OPERATOR_RESUMED: _operator_resumed,
    EventKind.RESET: _reset,
    EventKind.CONFIGURATION: _configuration,
    EventKind.MODEL_PROMOTED: _model_promoted,
    EventKind.RECONCILED: _reconciled,
    EventKind.DRIFT_ALARM: _drift_alarm,
    EventKind.DRIFT_CLEARED: _drift_cleared,
    EventKind.DRIFT_ACKNOWLEDGED: _drift_acknowledged,
}


def _is_newer(as_of: datetime, known: datetime | None, at: datetime) -> bool:
    """Whether a report replaces the known one; of two at the same instant the later arrival does.

    What is known of a time that has not come yet was reported under a clock that was wrong.
    """
    return known is None or as_of >= known or known > at + _CLOCK_JITTER


def _without(causes: tuple[Cause, ...], *kinds: CauseKind) -> tuple[Cause, ...]:
    return tuple(cause for cause in causes if cause.kind not in kinds)


def _without_probe(causes: tuple[Cause, ...], order_id: str | None) -> tuple[Cause, ...]:
    return tuple(
        replace(cause, probe=None) if order_id is not None and cause.probe == order_id else cause
        for cause in causes
    )
