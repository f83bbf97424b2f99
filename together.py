"""Decisions that are asked for at the same time, stored together.

The same line as `pipeline.decide` for each of them. Those that are judged on one and the same state
go on record in one append, so that one commit, or one round trip, stores them all; where one of
them changes the state, those after it are judged on what it has become.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from desk import Desk
from errors import StoreError
from judging import Judgement, ask_models, judged, reads_book
from monitoring.observer import Stages
from observation import DecisionRequest
from pipeline import Decided, approval_of, decided, obey_halt_file
from risk.fold import changes_state
from risk.state import RiskState

__all__ = ["decide_all"]


class _Judged(NamedTuple):
    """A decision that is about to go on record.

    Attributes:
        place: among those that are decided on together.
        request: what was asked.
        started: when it was judged, by the desk's timer.
        found: what will be told, and what goes on record.
    """

    place: int
    request: DecisionRequest
    started: int
    found: Judgement

    @property
    def changes_state(self) -> bool:
        """Whether what follows is judged on another state."""
        return changes_state(self.found.draft.kind, self.found.draft.payload)

    def stored(self, append: int) -> Decided:
        """The decision, once it is on record, which took so many nanoseconds."""
        found = self.found
        stages = Stages(found.read, found.judge, append)
        return Decided(self.request, found.answer, self.started, found.vetoes, stages)


def decide_all(requests: Sequence[DecisionRequest], desk: Desk) -> list[Decided | Exception]:
    """Decide on all of them; what is wrong with one sinks no other.

    Returns:
        For each request what `pipeline.decided` returns, or raises. `pipeline.told` makes answers
        of them.
    """
    stored = _stored_together(requests, desk) if len(requests) > 1 else {}
    return [
        stored[place] if place in stored else _alone(request, desk)
        for place, request in enumerate(requests)
    ]


def _alone(request: DecisionRequest, desk: Desk) -> Decided | Exception:
    try:
        return decided(request, desk)
    except Exception as error:  # noqa: BLE001 - of this request, and not of those beside it
        return error


def _stored_together(requests: Sequence[DecisionRequest], desk: Desk) -> dict[int, Decided]:
    """Decisions by place; those that need a closer look are not among them."""
    stored: dict[int, Decided] = {}
    waiting = deque(enumerate(requests))
    try:
        obey_halt_file(desk, desk.clock())
        while waiting:
            state = desk.ledger.presumed().state
            if group := _judged_on(state, waiting, desk):
                drafts, began = [each.found.draft for each in group], desk.timer()
                desk.ledger.append(drafts, expected=state.sequence)
                append = desk.timer() - began
                stored.update((each.place, each.stored(append)) for each in group)
    except StoreError:
        pass  # those that are left find out by themselves what they are answered then
    return stored


def _judged_on(
    state: RiskState, waiting: deque[tuple[int, DecisionRequest]], desk: Desk
) -> list[_Judged]:
    """Judge those that wait until one of them changes the state."""
    group: list[_Judged] = []
    while waiting and not (group and group[-1].changes_state):
        place, request = waiting.popleft()
        try:
            found = _judged(place, request, state, desk)
        except Exception:  # noqa: BLE001, S112 - whatever it is, `decided` meets it again
            continue
        if found is not None:
            group.append(found)
    return group


def _judged(place: int, request: DecisionRequest, state: RiskState, desk: Desk) -> _Judged | None:
    started, now = desk.timer(), desk.clock()
    if reads_book(request, desk) or approval_of(request, desk) is not None:
        return None
    reading, session = ask_models(request, desk), desk.calendar.status(now)
    found = judged(request, reading, desk, state, session, now, desk.new_id(now))
    return _Judged(place, request, started, found)
