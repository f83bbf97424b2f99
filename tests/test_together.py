"""Decisions that are asked for at once, against the same ones asked one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk import Desk
from errors import InvalidRequest, RequestError, StoreUnavailable
from features.vetoes import Veto, VetoKind
from monitoring.observer import DecisionMade, Stages
from observation import DecisionRequest
from pipeline import Decided, decide, told
from risk.events import Draft, Event, EventKind
from risk.ledger.memory import MemoryLedger
from tests.book import Book
from tests.fakes import RecordingObserver, SignedVoter, TroubledLedger, decisions_of, desk_of
from together import decide_all

STRENGTHS = st.sampled_from([-0.9, -0.7, -0.4, 0.4, 0.7, 0.9])


class CountingLedger(MemoryLedger):
    """Counts what is appended at once, and may refuse to bring it to the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.appends: list[int] = []
        self.persists = 0
        self.disk_fails = False

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        self.appends.append(len(drafts))
        return super().append(drafts, expected=expected, durable=durable)

    def persist(self) -> None:
        self.persists += 1
        if self.disk_fails:
            raise StoreUnavailable("the disk is full")


class Doubting:
    """Models that something always speaks against."""

    def __init__(self, models: Any) -> None:
        self._models = models

    def vetoes(self, *_: object) -> tuple[Veto, ...]:
        return (Veto(VetoKind.OUTSIDE, "atr_14", 9.0, 0.0, 3.0, "atr_14 is 9"),)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._models, name)


def request(strength: float, **more: Any) -> DecisionRequest:
    return DecisionRequest(np.array([strength], np.float32), **more)


def asked_together(requests: Sequence[DecisionRequest], desk: Desk) -> list[dict[str, Any]]:
    decisions = decide_all(requests, desk)
    assert all(isinstance(decision, Decided) for decision in decisions), decisions
    return told([each for each in decisions if isinstance(each, Decided)], desk)


@pytest.fixture
def ledger() -> CountingLedger:
    return CountingLedger()


@pytest.fixture
def desk(ledger: CountingLedger) -> Desk:
    return desk_of(Book(ledger), SignedVoter())


REQUESTS = st.lists(
    st.builds(
        request,
        STRENGTHS,
        order_id=st.sampled_from([None, None, "a", "b", "c", "d"]),
        dry_run=st.booleans(),
        enforce_risk_checks=st.booleans(),
        position=st.sampled_from([None, None, 0.05, -0.1]),
    ),
    min_size=2,
    max_size=12,
)
COMPARED = (
    "signal",
    "raw_signal",
    "approved",
    "risk_status",
    "reasons",
    "checks",
    "position_recommendation",
    "valid_until",
    "reduces",
)


def outcome(answer: object) -> object:
    if isinstance(answer, RequestError):
        return answer.code
    assert isinstance(answer, dict)
    return {name: answer[name] for name in COMPARED}


def one_after_the_other(requests: Sequence[DecisionRequest], desk: Desk) -> list[object]:
    answers: list[object] = []
    for each in requests:
        try:
            answers.append(outcome(decide(each, desk)))
        except RequestError as error:
            answers.append(outcome(error))
    return answers


def without_repeats(requests: Sequence[DecisionRequest]) -> list[DecisionRequest]:
    """A second request of an order may be answered before or after those beside it."""
    seen: set[str] = set()
    kept = []
    for each in requests:
        if each.order_id not in seen or each.order_id is None:
            kept.append(each)
            seen.add(each.order_id or "")
    return kept


@given(requests=REQUESTS, losses=st.integers(0, 3))
def test_together_they_come_to_what_they_come_to_one_after_the_other(
    requests: list[DecisionRequest], losses: int
) -> None:
    requests = without_repeats(requests)
    books = [Book(MemoryLedger(), prefix=name) for name in ("one", "all")]
    for book in books:
        for _ in range(losses):
            book.result(-0.001)
    one, many = (desk_of(book, SignedVoter()) for book in books)
    alone = one_after_the_other(requests, one)
    together = [
        outcome(told([each], many)[0] if isinstance(each, Decided) else each)
        for each in decide_all(requests, many)
    ]
    assert together == alone
    states = [book.ledger.head().state for book in books]
    assert len(states[0].orders) == len(states[1].orders)
    assert states[0].trades_today == states[1].trades_today
    assert len(decisions_of(books[0].ledger)) == len(decisions_of(books[1].ledger))


@given(requests=REQUESTS)
def test_an_order_that_is_asked_for_twice_at_once_is_approved_once(
    requests: list[DecisionRequest],
) -> None:
    book = Book(MemoryLedger())
    decide_all(requests, desk_of(book, SignedVoter()))
    bound = [event.key for event in decisions_of(book.ledger) if event.key is not None]
    assert len(bound) == len(set(bound))
    assert len(book.ledger.head().state.orders) <= book.limits.max_unresolved_orders


def test_those_on_one_state_are_stored_in_one_append(desk: Desk, ledger: CountingLedger) -> None:
    answers = asked_together([request(0.4), request(-0.9), request(0.9), request(-0.4)], desk)
    assert ledger.appends == [4]
    assert len({answer["decision_id"] for answer in answers}) == 4
    assert {answer["state_sequence"] for answer in answers} == {0}


def test_what_follows_a_reserved_order_is_judged_on_the_state_with_it(
    desk: Desk, ledger: CountingLedger
) -> None:
    first, second, third = asked_together(
        [request(0.9, order_id="a"), request(-0.9, order_id="b"), request(0.4)], desk
    )
    assert ledger.appends == [1, 1, 1]
    assert [each["risk_metrics"]["open_orders"] for each in (first, second, third)] == [0, 1, 2]
    assert third["state_sequence"] == 2


def test_approvals_that_are_told_together_wait_for_the_disk_once(
    desk: Desk, ledger: CountingLedger
) -> None:
    answers = asked_together([request(0.9), request(0.4), request(-0.9)], desk)
    assert [answer["approved"] for answer in answers] == [True, False, True]
    assert ledger.persists == 1


def test_nothing_that_is_refused_waits_for_the_disk(desk: Desk, ledger: CountingLedger) -> None:
    asked_together([request(0.4), request(-0.4)], desk)
    assert ledger.persists == 0


def test_an_approval_that_may_not_last_is_told_as_hold_and_refusals_as_they_are(
    ledger: CountingLedger,
) -> None:
    ledger.disk_fails = True
    observer = RecordingObserver()
    desk = desk_of(Book(ledger), SignedVoter(), observer=observer)
    approved, refused = asked_together([request(0.9), request(0.4)], desk)
    assert (approved["signal"], approved["approved"]) == ("HOLD", False)
    assert (approved["risk_status"], approved["state_sequence"]) == ("SYSTEM_ERROR", None)
    assert "the disk is full" in approved["reasons"][0]
    assert refused["risk_status"] == "LOW_CONFIDENCE"
    seen = [each for each in observer.seen if isinstance(each, DecisionMade)]
    assert [(each.approved, each.stored) for each in seen] == [(False, False), (False, True)]


def test_the_same_order_sent_again_gets_its_approval_once_the_disk_is_well(
    desk: Desk, ledger: CountingLedger
) -> None:
    ledger.disk_fails = True
    assert decide(request(0.9, order_id="a"), desk)["risk_status"] == "SYSTEM_ERROR"
    assert decide(request(0.9, order_id="a"), desk)["approved"] is False
    ledger.disk_fails = False
    again = decide(request(0.9, order_id="a"), desk)
    assert (again["approved"], again["replayed"]) == (True, True)


def test_without_a_store_each_is_hold(ledger: CountingLedger) -> None:
    del ledger
    troubled = TroubledLedger()
    troubled.unwritable = True
    answers = asked_together([request(0.9), request(0.4)], desk_of(Book(troubled), SignedVoter()))
    assert [answer["risk_status"] for answer in answers] == ["SYSTEM_ERROR"] * 2
    assert not any(answer["approved"] for answer in answers)


def test_a_state_that_moves_meanwhile_is_judged_anew() -> None:
    troubled = TroubledLedger()
    book = Book(troubled)
    troubled.before_append = book.halt
    answers = asked_together([request(0.9), request(-0.9)], desk_of(book, SignedVoter()))
    assert [answer["risk_status"] for answer in answers] == ["TRADING_HALTED"] * 2
    assert len(troubled.recent([EventKind.DECISION], limit=10)) == 2


def test_what_speaks_against_an_observation_is_told_once_however_often_it_is_judged() -> None:
    troubled, observer = TroubledLedger(), RecordingObserver()
    book = Book(troubled)
    desk = desk_of(book, SignedVoter(), observer=observer)
    doubting = replace(desk, models=Doubting(desk.models))
    troubled.before_append = book.halt
    asked_together([request(0.9), request(-0.9)], doubting)
    seen = [each for each in observer.seen if isinstance(each, DecisionMade)]
    assert [each.vetoes for each in seen] == [(("outside", "atr_14"),)] * 2


def test_a_wrong_request_sinks_no_other(desk: Desk) -> None:
    wrong, right = decide_all([request(0.9, model_name="nobody"), request(0.4)], desk)
    assert isinstance(wrong, InvalidRequest)
    assert isinstance(right, Decided)


def test_decisions_that_are_stored_together_have_waited_for_one_append_and_one_disk() -> None:
    observer, ticks = RecordingObserver(), count(step=1000)
    desk = desk_of(Book(CountingLedger()), SignedVoter(), observer=observer)
    requests = [request(0.9), request(0.1), request(0.9)]
    asked_together(requests, replace(desk, timer=lambda: next(ticks)))
    stages = [seen.stages for seen in observer.seen if type(seen) is DecisionMade]
    assert stages == [Stages(1000, 1000, 1000, persist) for persist in (1000, 0, 1000)]
