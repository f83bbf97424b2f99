"""One decision, end to end, without a server."""

import base64
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch import BatchRequest, decide_batch
from errors import InvalidRequest
from monitoring.observer import DecisionMade, Stages
from observation import DecisionRequest
from pipeline import decide, decided_without_knowing, told
from risk.ledger.memory import MemoryLedger
from risk.ledger.protocol import Ledger
from tests.book import Book
from tests.fakes import (
    HOLD,
    SELL,
    FixedVoter,
    RecordingObserver,
    SignedVoter,
    TroubledLedger,
    decisions_of,
    desk_of,
)

OBSERVATION = np.zeros(45, dtype=np.float32)
GUIDE = {
    "signal",
    "confidence",
    "approved",
    "risk_status",
    "action_probs",
    "latency_ms",
    "model_name",
    "timestamp",
    "risk_metrics",
    "position_recommendation",
}


@pytest.fixture
def book() -> Book:
    return Book(TroubledLedger())


def troubled(book: Book) -> TroubledLedger:
    assert isinstance(book.ledger, TroubledLedger)
    return book.ledger


def ask(book: Book, *voters: FixedVoter, **request: Any) -> dict[str, Any]:
    return decide(DecisionRequest(OBSERVATION, **request), desk_of(book, *voters))


def test_an_approval_carries_every_field_of_the_guide(book: Book) -> None:
    answer = ask(book)
    assert set(answer) >= GUIDE
    assert answer["signal"] == answer["raw_signal"] == "BUY"
    assert answer["approved"] is True
    assert answer["risk_status"] == "APPROVED"
    assert answer["confidence"] == pytest.approx(0.85)
    assert answer["model_name"] == "ensemble"
    assert set(answer["risk_metrics"]) >= {"daily_pnl", "trades_today", "consecutive_losses"}
    assert answer["position_recommendation"] == {
        "position_size_percent": 0.1,
        "position_size_usd": 10_000,
        "risk_level": "high",
        "factors": {"confidence": 1.0, "drawdown": 1.0, "loss_streak": 1.0},
    }


def test_an_approval_ends_with_its_time_to_live_or_the_session(book: Book) -> None:
    assert ask(book)["valid_until"] == "2026-03-02T14:01:00.000000+00:00"
    book.now = book.now.replace(hour=17, minute=54, second=30)
    assert ask(book)["valid_until"] == "2026-03-02T17:55:00.000000+00:00"


def test_a_refused_signal_is_answered_as_hold_and_kept_as_raw(book: Book) -> None:
    book.wait(hours=10)
    answer = ask(book, FixedVoter(says=SELL))
    assert (answer["signal"], answer["raw_signal"]) == ("HOLD", "SELL")
    assert answer["approved"] is False
    assert answer["risk_status"] == "OUTSIDE_TRADING_HOURS"
    assert answer["position_recommendation"] is answer["valid_until"] is None
    assert "08:00:00" in answer["reasons"][0]


def test_what_is_answered_is_what_is_on_record(book: Book) -> None:
    answer = ask(book, caller="desk-one")
    (event,) = decisions_of(book.ledger)
    stored = event.payload["answer"]
    assert stored == {name: value for name, value in answer.items() if name != "latency_ms"}
    assert event.event_id == answer["decision_id"]
    assert event.actor == "desk-one"
    vector = np.frombuffer(base64.b64decode(event.payload["vector"]), "<f4")
    assert vector.tobytes() == OBSERVATION.tobytes()


def test_every_decision_is_on_record_whatever_it_says(book: Book) -> None:
    ask(book)
    ask(book, FixedVoter(says=HOLD))
    ask(book, dry_run=True)
    ask(book, enforce_risk_checks=False)
    assert len(decisions_of(book.ledger)) == 4


def test_a_dry_run_says_what_it_would_approve_and_approves_nothing(book: Book) -> None:
    answer = ask(book, dry_run=True)
    assert (answer["approved"], answer["would_approve"]) == (False, True)
    assert answer["risk_status"] == "DRY_RUN"
    assert answer["position_recommendation"] is None
    book.wait(hours=10)
    refused = ask(book, dry_run=True)
    assert (refused["would_approve"], refused["risk_status"]) == (False, "OUTSIDE_TRADING_HOURS")


def test_without_risk_checks_the_raw_signal_comes_back_and_is_never_approved(book: Book) -> None:
    book.result(-0.05)
    for dry_run in (False, True):
        answer = ask(book, enforce_risk_checks=False, dry_run=dry_run)
        assert answer["signal"] == "BUY"
        assert answer["approved"] is False
        assert answer["risk_status"] == "NOT_CHECKED"
        assert answer["checks"] == []
        assert answer["position_recommendation"] is None
        assert not answer.get("would_approve")


def test_an_old_observation_is_stale(book: Book) -> None:
    answer = ask(book, observed_at=book.now - timedelta(minutes=11))
    assert answer["risk_status"] == "STALE_DATA"


def test_a_named_model_decides_alone(book: Book) -> None:
    voters = FixedVoter("one"), FixedVoter("two", says=SELL)
    answer = ask(book, *voters, model_name="two")
    assert (answer["model_name"], answer["signal"]) == ("two", "SELL")
    assert [model["name"] for model in answer["models"]] == ["two"]


def test_a_model_that_nobody_loaded_is_the_callers_mistake(book: Book) -> None:
    with pytest.raises(InvalidRequest, match="three"):
        ask(book, FixedVoter("one"), model_name="three")
    assert decisions_of(book.ledger) == []


def test_one_failing_model_holds_the_whole_ensemble_and_goes_on_record(book: Book) -> None:
    answer = ask(book, FixedVoter("good"), FixedVoter("bad", fault="model bad:1 failed"))
    assert (answer["signal"], answer["risk_status"]) == ("HOLD", "SYSTEM_ERROR")
    assert answer["approved"] is False
    assert "bad" in answer["reasons"][0]
    assert answer["state_sequence"] is not None
    (event,) = decisions_of(book.ledger)
    assert event.payload["answer"]["risk_status"] == "SYSTEM_ERROR"


def test_a_shadow_is_recorded_and_has_no_vote(book: Book) -> None:
    answer = ask(book, FixedVoter("live"), FixedVoter("shadow", says=SELL, weight=0))
    assert answer["signal"] == "BUY"
    assert answer["action_probs"]["BUY"] == pytest.approx(0.85)
    assert answer["models"][1]["action_probs"]["SELL"] == pytest.approx(0.7)
    failed = ask(book, FixedVoter("live"), FixedVoter("shadow", weight=0, fault="it failed"))
    assert failed["approved"] is True
    assert "failed" in failed["models"][1]["fault"]


def test_a_shadow_that_is_asked_alone_may_not_trade(book: Book) -> None:
    voters = FixedVoter("live"), FixedVoter("shadow", says=SELL, weight=0)
    with pytest.raises(InvalidRequest, match="shadow"):
        ask(book, *voters, model_name="shadow")
    assert ask(book, *voters, model_name="shadow", dry_run=True)["would_approve"] is True
    assert ask(book, *voters, model_name="shadow", enforce_risk_checks=False)["signal"] == "SELL"


@pytest.mark.parametrize("trouble", ["unreadable", "unwritable"])
def test_without_a_ledger_there_is_no_trade(book: Book, trouble: str) -> None:
    setattr(troubled(book), trouble, True)
    answer = ask(book)
    assert (answer["signal"], answer["approved"]) == ("HOLD", False)
    assert answer["risk_status"] == "SYSTEM_ERROR"
    assert answer["state_sequence"] is None
    setattr(troubled(book), trouble, False)
    assert ask(book)["approved"] is True


def test_a_failing_model_on_a_failing_ledger_is_still_an_answer(book: Book) -> None:
    troubled(book).unwritable = True
    answer = ask(book, FixedVoter(fault="it failed"))
    assert (answer["risk_status"], answer["state_sequence"]) == ("SYSTEM_ERROR", None)


def test_a_result_that_arrives_while_an_approval_is_judged_is_judged_too(book: Book) -> None:
    troubled(book).before_append = lambda: book.result(-0.02)
    answer = ask(book)
    assert answer["approved"] is False
    assert answer["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"
    (event,) = decisions_of(book.ledger)
    assert event.payload["answer"]["approved"] is False


def test_an_order_that_is_asked_for_twice_at_once_is_approved_once_and_told_twice(
    book: Book,
) -> None:
    first: list[dict[str, Any]] = []
    troubled(book).before_append = lambda: first.append(ask(book, order_id="O"))
    second = ask(book, order_id="O")
    assert (first[0]["approved"], first[0]["replayed"]) == (True, False)
    assert (second["approved"], second["replayed"]) == (True, True)
    assert second["decision_id"] == first[0]["decision_id"]
    assert len(decisions_of(book.ledger)) == 1


def test_a_refusal_does_not_wait_for_a_state_that_moves(book: Book) -> None:
    book.wait(hours=10)
    troubled(book).before_append = lambda: book.result(-0.001)
    assert ask(book)["risk_status"] == "OUTSIDE_TRADING_HOURS"


def test_a_callers_own_capital_sizes_the_dollars(book: Book) -> None:
    recommendation = ask(book, capital_usd=2_000_000.0)["position_recommendation"]
    assert recommendation["position_size_usd"] == 200_000


def test_observers_hear_of_every_decision(book: Book) -> None:
    observer = RecordingObserver()
    decide(DecisionRequest(OBSERVATION), desk_of(book, observer=observer))
    (seen,) = observer.seen
    assert isinstance(seen, DecisionMade)
    assert (seen.signal, seen.approved, seen.stored, seen.reason) == ("BUY", True, True, "")


def test_an_unforeseen_fault_is_a_hold_that_is_not_on_record(book: Book) -> None:
    desk = desk_of(book)
    (answer,) = told([decided_without_knowing(DecisionRequest(OBSERVATION), desk)], desk)
    assert set(answer) >= GUIDE
    assert (answer["signal"], answer["approved"], answer["state_sequence"]) == (
        "HOLD",
        False,
        None,
    )


ROWS = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=40)


@given(strengths=ROWS, closed=st.booleans(), loss=st.sampled_from([0.0, -0.02]))
def test_a_batch_says_of_each_row_what_a_dry_run_says(
    strengths: list[float], *, closed: bool, loss: float
) -> None:
    book = Book(MemoryLedger())
    book.result(loss)
    if closed:
        book.wait(hours=10)
    desk = desk_of(book, SignedVoter())
    rows = np.zeros((len(strengths), 45), np.float32)
    rows[:, 0] = strengths
    batch = decide_batch(BatchRequest(rows), desk)
    for row, answer in zip(rows, batch["decisions"], strict=True):
        single = decide(DecisionRequest(row, dry_run=True), desk)
        assert {name: single[name] for name in answer} == answer


def test_a_batch_is_one_event_and_never_approves(book: Book) -> None:
    batch = decide_batch(BatchRequest(np.zeros((5, 45), np.float32)), desk_of(book))
    assert [row["approved"] for row in batch["decisions"]] == [False] * 5
    assert [row["would_approve"] for row in batch["decisions"]] == [True] * 5
    event = book.ledger.by_id(batch["batch_id"])
    assert event is not None
    assert event.payload["rows"] == 5
    assert event.payload["statuses"] == {"DRY_RUN": 5}
    assert decisions_of(book.ledger) == []


@pytest.mark.parametrize("trouble", ["unreadable", "unwritable"])
def test_a_batch_without_a_ledger_holds_every_row(book: Book, trouble: str) -> None:
    setattr(troubled(book), trouble, True)
    batch = decide_batch(BatchRequest(np.zeros((3, 45), np.float32)), desk_of(book))
    assert {row["risk_status"] for row in batch["decisions"]} == {"SYSTEM_ERROR"}
    assert batch["state_sequence"] is None
    assert "store" in batch["fault"]


def test_a_batch_without_risk_checks_returns_raw_signals(book: Book) -> None:
    request = BatchRequest(np.zeros((2, 45), np.float32), enforce_risk_checks=False)
    for row in decide_batch(request, desk_of(book))["decisions"]:
        assert (row["signal"], row["risk_status"], row["would_approve"]) == (
            "BUY",
            "NOT_CHECKED",
            False,
        )


def test_the_same_acts_at_the_same_times_give_the_same_ledger() -> None:
    ledgers: list[Ledger] = [MemoryLedger(), MemoryLedger()]
    for ledger in ledgers:
        book = Book(ledger)
        ask(book)
        book.result(-0.01, "t")
        book.wait(minutes=5)
        ask(book)
    assert ledgers[0].head() == ledgers[1].head()


def test_a_decision_tells_how_long_its_stages_took(book: Book) -> None:
    observer, ticks = RecordingObserver(), count(step=1000)
    desk = replace(desk_of(book, observer=observer), timer=lambda: next(ticks))
    decide(DecisionRequest(OBSERVATION), desk)
    decide(DecisionRequest(OBSERVATION, dry_run=True), desk)
    troubled(book).unreadable = True
    decide(DecisionRequest(OBSERVATION), desk)
    approved, dry_run, fault = (seen.stages for seen in observer.seen if type(seen) is DecisionMade)
    assert approved == Stages(read=1000, judge=1000, append=1000, persist=1000)
    assert dry_run == approved._replace(persist=0)
    assert fault == Stages()
