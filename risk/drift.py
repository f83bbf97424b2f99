"""What drift checks found, put on record: an alarm, the clean check that ends it, "I know".

An alarm begins with the first check that alarms and ends with the next clean one; nothing else
ends it, no reset and no new day. While it stands, entries are half the size if `on_drift` is
`halve` (`risk.sizing`); it is on record whatever the setting says, so that a change of it takes
effect at once. An acknowledgement says "I know, trade the full size". It holds for as long as
the alarm does, however many checks alarm meanwhile; after a clean check the next alarm is a new
one.

Checks may finish late or twice. They count in the order in which they were due: one that is not
newer than the newest on record changes nothing. Clean checks without an alarm leave no record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from errors import InvalidRequest
from risk.acts import Act
from risk.events import Event, EventKind, timestamp
from risk.fold import fold
from risk.ledger.retry import on_newest_state
from risk.state import RiskState

__all__ = [
    "DriftRecorded",
    "record_drift_acknowledgement",
    "record_drift_alarm",
    "record_drift_clear",
]

_CLOCK_JITTER = timedelta(seconds=5)
_NAMED_REASONS = 3


@dataclass(frozen=True, slots=True)
class DriftRecorded:
    """What a check or an acknowledgement led to.

    Attributes:
        event: as stored; None when it changes nothing and left no record.
        state: after it.
    """

    event: Event | None
    state: RiskState

    @property
    def changed(self) -> bool:
        """Whether it is on record."""
        return self.event is not None


def record_drift_alarm(tick: datetime, reasons: Sequence[str], act: Act) -> DriftRecorded:
    """Begin an alarm; or, while one stands, say that a newer check found it too.

    Args:
        tick: which check it was: the time that it was due, aware.
        reasons: in words, the weightiest first.
        act: who records it, and when.

    Raises:
        InvalidRequest: there is no reason, or `tick` has not come yet.
        StoreError: it may not be stored; recording the same tick again is safe.
    """
    if not reasons:
        raise InvalidRequest("a drift alarm needs at least one reason, in words")
    _refuse_the_future(tick, act)
    payload = {"tick": timestamp(tick), "reasons": list(reasons), "reason": _in_brief(reasons)}

    def alarm(state: RiskState) -> DriftRecorded:
        if not _is_newer(tick, _newest_tick(state, act), act):
            return DriftRecorded(None, state)
        return _append(EventKind.DRIFT_ALARM, payload, state, act)

    return on_newest_state(act.ledger, alarm, what="the drift alarm")


def record_drift_clear(tick: datetime, reason: str, act: Act) -> DriftRecorded:
    """End the alarm that stands, with a clean check that is newer than those that alarmed.

    Args:
        tick: which check it was: the time that it was due, aware.
        reason: for the record; may be empty.
        act: who records it, and when.

    Raises:
        InvalidRequest: `tick` has not come yet.
        StoreError: it may not be stored; recording the same tick again is safe.
    """
    _refuse_the_future(tick, act)
    payload = {"tick": timestamp(tick), "reason": reason}

    def clear(state: RiskState) -> DriftRecorded:
        if state.drift is None or not _is_newer(tick, state.drift.tick, act):
            return DriftRecorded(None, state)
        return _append(EventKind.DRIFT_CLEARED, payload, state, act)

    return on_newest_state(act.ledger, clear, what="the clean drift check")


def record_drift_acknowledgement(reason: str, act: Act) -> DriftRecorded:
    """Say that the alarm that stands is known: entries are of full size until it is over.

    Without an alarm, and for one that is acknowledged already, nothing changes.

    Args:
        reason: for the record; may be empty.
        act: who acknowledges it, and when.

    Raises:
        StoreError: it may not be stored; acknowledging again is safe.
    """

    def acknowledge(state: RiskState) -> DriftRecorded:
        if state.drift is None or state.drift.acknowledged_at is not None:
            return DriftRecorded(None, state)
        return _append(EventKind.DRIFT_ACKNOWLEDGED, {"reason": reason}, state, act)

    return on_newest_state(act.ledger, acknowledge, what="the acknowledgement")


def _append(
    kind: EventKind, payload: Mapping[str, Any], state: RiskState, act: Act
) -> DriftRecorded:
    draft = act.draft(kind, payload)
    (event,) = act.ledger.append([draft], expected=state.sequence, durable=True)
    return DriftRecorded(event, fold(state, event))


def _newest_tick(state: RiskState, act: Act) -> datetime | None:
    """Of the checks on record. Whatever is added to them meanwhile moves the state too."""
    if state.drift is not None:
        return state.drift.tick
    cleared = act.ledger.recent([EventKind.DRIFT_CLEARED], limit=1)
    return datetime.fromisoformat(cleared[0].payload["tick"]) if cleared else None


def _is_newer(tick: datetime, known: datetime | None, act: Act) -> bool:
    # A check of a time that has not come yet was recorded under a clock that was wrong: it must
    # not keep an alarm standing until that time.
    return known is None or tick > known or known > act.now + _CLOCK_JITTER


def _refuse_the_future(tick: datetime, act: Act) -> None:
    act.known_by_now(tick, "the tick of a drift check")


def _in_brief(reasons: Sequence[str]) -> str:
    """For the state, which every decision holds."""
    more = len(reasons) - _NAMED_REASONS
    told = "; ".join(reasons[:_NAMED_REASONS])
    return told if more <= 0 else f"{told}; and {more} more"
