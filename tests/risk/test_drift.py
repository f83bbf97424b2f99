"""What a drift alarm does to entries, until a clean check or an acknowledgement ends it."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config.settings import CalendarSettings, EnsembleStrategy, OnDrift, RiskLimits, TradingHours
from errors import InvalidRequest, StoreUnavailable
from observation import DecisionRequest
from pipeline import decide
from recomputation import Recomputer
from risk.changes import record_configuration
from risk.configuration import configuration_hash
from risk.drift import DriftRecorded, record_drift_alarm
from risk.events import GENESIS, Draft, Event, EventKind, stamp
from risk.explanation import explain, in_a_line
from risk.fixed_point import to_nano
from risk.fold import fold
from risk.ledger.memory import MemoryLedger
from risk.ledger.sqlite import SqliteLedger
from risk.sizing import recommend
from risk.state import DriftAlarm, OperatorMode, ResetScope, RiskState
from risk.summary import Summary
from risk.verification import examine, records_of, refold
from runners.ensemble import Ensemble
from tests.book import MONDAY_NOON_UTC, Book
from tests.fakes import BUY, SELL, FixedVoter, TroubledLedger, decisions_of, desk_of

HOUR = timedelta(hours=1)
SURE_SELL = (0.85, 0.05, 0.10)
BOGOTA = ZoneInfo("America/Bogota")
HALVING = RiskLimits(on_drift=OnDrift.HALVE)
DRIFT_KINDS = [EventKind.DRIFT_ALARM, EventKind.DRIFT_CLEARED, EventKind.DRIFT_ACKNOWLEDGED]


@pytest.fixture
def halving(book: Book) -> Book:
    """A book on every ledger whose entries a drift alarm halves."""
    book.limits = HALVING
    return book


def asked(
    book: Book, says: tuple[float, float, float] = BUY, order_id: str | None = None, **request: Any
) -> dict[str, Any]:
    observation = np.zeros(45, dtype=np.float32)
    return decide(
        DecisionRequest(observation, order_id=order_id, **request),
        desk_of(book, FixedVoter(says=says)),
    )


def size(answer: dict[str, Any]) -> float:
    assert answer["approved"], answer["reasons"]
    return float(answer["position_recommendation"]["position_size_percent"])


def on_record(book: Book) -> list[Event]:
    return book.ledger.recent(DRIFT_KINDS, limit=100)


def summary(book: Book) -> dict[str, Any]:
    session = book.calendar.status(book.now)
    found = Summary(
        book.ledger.head().state, book.limits, session, book.now, book.configuration, False
    ).to_json()
    json.dumps(found, allow_nan=False)
    return found


# What an alarm does.


def test_entries_are_half_the_size_from_an_alarm_until_a_clean_check(halving: Book) -> None:
    assert size(asked(halving)) == 0.10
    halving.drifts()
    answer = asked(halving)
    assert size(answer) == 0.05
    assert answer["position_recommendation"]["factors"]["drift"] == 0.5
    halving.wait(hours=1)
    halving.is_clean()
    answer = asked(halving)
    assert size(answer) == 0.10
    assert "drift" not in answer["position_recommendation"]["factors"]
    assert halving.state.drift is None


def test_an_alarm_refuses_no_entry_and_shrinks_and_refuses_no_exit(halving: Book) -> None:
    halving.holds(0.08)
    before = summary(halving)
    halving.drifts()
    answer = asked(halving, SELL)
    assert (answer["reduces"], size(answer)) == (True, 0.08)
    after = summary(halving)
    for name in ("trading_status", "would_pass", "breaker", "operator"):
        assert after[name] == before[name]


def test_by_default_an_alarm_is_on_record_and_halves_nothing(book: Book) -> None:
    book.drifts()
    assert book.state.drift is not None
    assert size(asked(book)) == 0.10
    assert summary(book)["drift"]["effect"] == "none"


def test_a_setting_that_is_changed_while_an_alarm_stands_takes_effect_at_once(book: Book) -> None:
    book.drifts()
    assert size(asked(book)) == 0.10
    book.limit(on_drift=OnDrift.HALVE)
    assert size(asked(book)) == 0.05
    book.limit(on_drift=OnDrift.NONE)
    assert size(asked(book)) == 0.10


def test_the_room_beside_a_position_is_filled_by_no_more_than_half_a_size(halving: Book) -> None:
    halving.drifts()
    halving.holds(0.04)
    assert size(asked(halving)) == 0.05
    halving.holds(0.09)
    assert size(asked(halving)) == 0.01


def test_the_smallest_entry_that_can_be_approved_has_a_size_during_an_alarm() -> None:
    limits = RiskLimits(
        max_position_size=0.0001,
        min_confidence=0,
        high_confidence_threshold=1,
        on_drift=OnDrift.HALVE,
    )
    alarm = DriftAlarm(MONDAY_NOON_UTC, MONDAY_NOON_UTC, "the feed is frozen")
    worst = RiskState(high_water_mark=50_000_000, loss_streak=9, drift=alarm)
    assert recommend(1 / 3, worst, limits, 100_000, probe=True).position_size_percent == 2e-6


@given(
    confidence=st.floats(0, 1),
    largest=st.floats(1e-4, 1),
    room=st.none() | st.integers(0, 10**9),
    streak=st.integers(0, 12),
    drawdown=st.integers(0, 60_000_000),
    acknowledged=st.booleans(),
    probe=st.booleans(),
    on_drift=st.sampled_from(OnDrift),
)
def test_an_alarm_never_enlarges_and_never_takes_off_more_than_half(
    confidence: float,
    largest: float,
    room: int | None,
    streak: int,
    drawdown: int,
    on_drift: OnDrift,
    *,
    acknowledged: bool,
    probe: bool,
) -> None:
    limits = RiskLimits(max_position_size=largest, on_drift=on_drift)
    alarm = DriftAlarm(
        MONDAY_NOON_UTC, MONDAY_NOON_UTC, "", MONDAY_NOON_UTC if acknowledged else None
    )
    calm = RiskState(high_water_mark=drawdown, loss_streak=streak)
    without = recommend(confidence, calm, limits, 1e5, probe=probe, room=room)
    with_it = recommend(confidence, replace(calm, drift=alarm), limits, 1e5, probe=probe, room=room)
    whole, left = without.position_size_percent, with_it.position_size_percent
    assert whole / 2 - 1.000001e-6 <= left <= whole
    if acknowledged or on_drift is OnDrift.NONE:
        assert with_it == without


# How an alarm begins and ends.


def test_the_same_tick_again_changes_nothing_and_leaves_no_record(book: Book) -> None:
    tick = book.now
    first = book.drifts(tick)
    book.wait(minutes=3)
    again = book.drifts(tick)
    assert (first.changed, again.changed) == (True, False)
    assert again.state == book.ledger.head().state == first.state
    assert len(on_record(book)) == 1


def test_a_newer_alarm_keeps_the_beginning_of_the_episode(book: Book) -> None:
    begun = book.now
    book.drifts()
    book.wait(hours=1)
    book.drifts(book.now, "dxy_z is a hundred times too large", "two", "three", "four", "five")
    alarm = book.state.drift
    assert alarm is not None
    assert (alarm.since, alarm.tick) == (begun, begun + HOUR)
    assert alarm.reason == "dxy_z is a hundred times too large; two; three; and 2 more"
    assert on_record(book)[0].payload["reasons"][4] == "five"


def test_a_clean_check_that_is_not_newer_than_the_newest_alarm_ends_nothing(book: Book) -> None:
    book.drifts(book.now - 3 * HOUR)
    book.drifts(book.now - HOUR)
    for tick in (book.now - 2 * HOUR, book.now - HOUR):
        assert not book.is_clean(tick).changed
        assert book.state.drift is not None
    assert book.is_clean(book.now).changed
    assert book.state.drift is None


def test_an_alarm_that_finishes_after_a_newer_clean_check_begins_nothing(book: Book) -> None:
    book.drifts(book.now - 3 * HOUR)
    book.is_clean(book.now - HOUR)
    for tick in (book.now - 2 * HOUR, book.now - HOUR):
        assert not book.drifts(tick).changed
        assert book.state.drift is None
    assert book.drifts(book.now).changed


def test_a_clean_check_without_an_alarm_leaves_no_record(book: Book) -> None:
    assert not book.is_clean().changed
    assert on_record(book) == []
    assert book.ledger.head().sequence == 0


def test_a_tick_of_a_clock_that_was_ahead_keeps_no_alarm_standing(halving: Book) -> None:
    halving.wait(days=1)
    halving.drifts()
    halving.wait(days=-1)
    assert halving.is_clean().changed
    assert halving.state.drift is None
    halving.wait(days=1)
    halving.drifts()
    halving.wait(hours=1)
    halving.is_clean()
    halving.wait(days=-1)
    assert halving.drifts().changed


@pytest.mark.parametrize("record", [Book.drifts, Book.is_clean], ids=["alarm", "clean"])
def test_a_tick_that_has_not_come_yet_is_refused(
    book: Book, record: Callable[[Book, datetime], DriftRecorded]
) -> None:
    with pytest.raises(InvalidRequest, match="the tick of a drift check is 6 s ahead"):
        record(book, book.now + timedelta(seconds=6))
    assert on_record(book) == []


def test_an_alarm_without_a_reason_is_refused(book: Book) -> None:
    with pytest.raises(InvalidRequest, match="at least one reason"):
        record_drift_alarm(book.now, [], book.act())


def test_an_acknowledgement_gives_the_full_size_back_until_a_clean_check_ends_the_episode(
    halving: Book,
) -> None:
    halving.drifts()
    assert halving.knows_of_drift("ana").changed
    assert size(asked(halving)) == 0.10
    halving.wait(hours=1)
    halving.drifts()
    assert size(asked(halving)) == 0.10
    alarm = halving.state.drift
    assert alarm is not None
    assert (alarm.acknowledged_by, alarm.tick) == ("ana", halving.now)
    halving.wait(hours=1)
    halving.is_clean()
    halving.wait(hours=1)
    halving.drifts()
    assert size(asked(halving)) == 0.05


def test_an_acknowledgement_of_nothing_or_again_leaves_no_record(book: Book) -> None:
    assert not book.knows_of_drift().changed
    book.drifts()
    assert book.knows_of_drift("ana").changed
    assert not book.knows_of_drift("ben").changed
    assert book.state.drift is not None
    assert book.state.drift.acknowledged_by == "ana"
    assert len(on_record(book)) == 2


def test_no_day_no_reset_no_report_and_no_act_of_an_operator_ends_an_alarm(book: Book) -> None:
    book.drifts()
    alarm = book.state.drift
    book.result(0.01)
    book.holds(0.02)
    book.mark(0.001)
    book.halt(OperatorMode.HALTED)
    book.resume()
    book.reset(ResetScope.ALL, "reviewed")
    book.wait(days=3)
    book.result(0.01)
    assert book.state.drift == alarm


# Retries, other workers, lost answers.


def test_a_stored_approval_is_given_again_at_its_size_whatever_a_drift_check_said(
    halving: Book,
) -> None:
    first = asked(halving, order_id="a")
    halving.drifts()
    again = asked(halving, order_id="a")
    assert again["replayed"] is True
    assert size(again) == size(first) == 0.10
    assert size(asked(halving, SURE_SELL, order_id="b")) == 0.05
    halving.wait(seconds=10)
    halving.is_clean()
    assert size(asked(halving, SURE_SELL, order_id="b")) == 0.05


def test_an_approval_that_an_alarm_overtakes_is_judged_again_at_half_size() -> None:
    ledger = TroubledLedger()
    book = Book(ledger, HALVING)
    ledger.before_append = book.drifts
    assert size(asked(book, order_id="a")) == 0.05
    assert book.state.orders[0].size == to_nano(0.05)


def test_an_alarm_whose_answer_was_lost_can_be_recorded_again() -> None:
    class Deaf(MemoryLedger):
        deaf = True

        def append(self, *args: Any, **kwargs: Any) -> tuple[Event, ...]:
            stored = super().append(*args, **kwargs)
            if self.deaf:
                self.deaf = False
                raise StoreUnavailable("the answer was lost")
            return stored

    book = Book(Deaf())
    with pytest.raises(StoreUnavailable):
        book.drifts()
    assert not book.drifts().changed
    assert len(on_record(book)) == 1


def test_workers_that_finish_the_same_checks_at_once_record_each_of_them_once(
    tmp_path: Path,
) -> None:
    ledgers = [SqliteLedger(tmp_path / "state.db") for _ in range(4)]
    workers = [Book(ledger, prefix=f"worker-{n}") for n, ledger in enumerate(ledgers)]
    ticks = [MONDAY_NOON_UTC - n * HOUR for n in range(6, 0, -1)]

    def work(worker: Book) -> None:
        for tick in ticks:
            worker.drifts(tick)

    with ThreadPoolExecutor() as pool:
        list(pool.map(work, workers))
    told = [event.payload["tick"] for event in reversed(on_record(workers[0]))]
    assert told == sorted(set(told))
    assert workers[0].state.drift is not None
    assert workers[0].state.drift.tick == ticks[-1]
    assert examine(ledgers[0]).is_intact
    for ledger in ledgers:
        ledger.close()


CHECKS = st.lists(
    st.tuples(st.sampled_from(["alarm", "clean", "known"]), st.integers(0, 6)), max_size=20
)


@given(CHECKS)
def test_checks_count_in_the_order_in_which_they_were_due(checks: list[tuple[str, int]]) -> None:
    book = Book(MemoryLedger())
    for what, hours_ago in checks:
        tick = book.now - hours_ago * HOUR
        if what == "alarm":
            book.drifts(tick)
        elif what == "clean":
            book.is_clean(tick)
        else:
            book.knows_of_drift()
        book.wait(seconds=1)
    told = [e for e in reversed(on_record(book)) if e.kind is not EventKind.DRIFT_ACKNOWLEDGED]
    ticks = [event.payload["tick"] for event in told]
    assert ticks == sorted(set(ticks))
    stands = bool(told) and told[-1].kind is EventKind.DRIFT_ALARM
    assert (book.state.drift is not None) == stands
    assert refold(records_of(book.ledger)) == book.ledger.head().state


# On record.


def test_what_stands_beside_the_events_is_what_they_add_up_to(halving: Book) -> None:
    halving.drifts()
    halving.knows_of_drift("ana")
    asked(halving, order_id="a")
    found = examine(halving.ledger)
    assert found.is_intact
    assert found.state == halving.ledger.head().state
    assert RiskState.from_json(json.loads(json.dumps(found.state.to_json()))) == found.state


def test_a_state_that_was_stored_before_there_were_alarms_can_be_read() -> None:
    book = Book(MemoryLedger())
    book.result(-0.01)
    stored = book.state.to_json()
    assert "drift" not in stored
    assert RiskState.from_json(stored) == book.state
    assert RiskState.from_json(stored).drift is None


def test_events_of_before_fold_as_they_did_and_an_acknowledgement_of_nothing_changes_nothing() -> (
    None
):
    state = RiskState()
    for kind, payload in (
        (EventKind.OPERATOR_HALTED, {"mode": "REDUCING", "reason": ""}),
        (EventKind.DRIFT_ACKNOWLEDGED, {"reason": ""}),
        (EventKind.DRIFT_CLEARED, {"tick": "2026-03-02T14:00:00+00:00", "reason": ""}),
    ):
        draft = Draft(kind, kind.value, MONDAY_NOON_UTC, MONDAY_NOON_UTC.date(), "tester", payload)
        sequence = state.sequence + 1
        state = fold(state, stamp(draft, sequence=sequence, previous_hash=GENESIS))
        assert state.drift is None
        assert state.operator.mode is OperatorMode.REDUCING
        assert state.sequence == sequence


def test_limits_that_do_nothing_on_drift_keep_the_hash_that_they_had_before() -> None:
    values = RiskLimits().recorded()
    assert "on_drift" not in values
    assert RiskLimits.model_validate(values) == RiskLimits()
    halving = HALVING.recorded()
    assert halving == {**values, "on_drift": "halve"}
    assert RiskLimits.model_validate(halving) == HALVING
    assert configuration_hash(halving) != configuration_hash(values)
    with pytest.raises(ValidationError, match="on_drift"):
        RiskLimits.model_validate({"on_drift": "refuse"})


def values_of(limits: dict[str, Any]) -> dict[str, Any]:
    return {
        "risk_limits": limits,
        "trading_hours": TradingHours().model_dump(mode="json"),
        "calendar": CalendarSettings().model_dump(mode="json"),
        "capital_usd": 100_000.0,
        "feature_schema": None,
    }


def same_models(values: object) -> Ensemble:
    del values
    return Ensemble((FixedVoter(),), EnsembleStrategy.WEIGHTED_AVERAGE)


def test_decisions_come_out_the_same_from_their_record_before_during_and_after_an_alarm(
    halving: Book,
) -> None:
    values = values_of(HALVING.recorded())
    halving.configuration = configuration_hash(values)
    record_configuration(values, "the first", halving.act())
    sizes = [size(asked(halving))]
    halving.drifts()
    sizes.append(size(asked(halving, order_id="a")))
    halving.knows_of_drift()
    sizes.append(size(asked(halving)))
    halving.wait(seconds=70)
    halving.is_clean()
    sizes.append(size(asked(halving)))
    assert sizes == [0.10, 0.05, 0.05, 0.05]  # order a takes half of the room from then on
    recomputer = Recomputer(halving.ledger, same_models)
    for event in decisions_of(halving.ledger):
        assert recomputer.recompute(event).differences == ()
        assert recomputer.recompute(event).identical


def test_a_decision_of_a_configuration_from_before_comes_out_the_same(book: Book) -> None:
    limits = RiskLimits().model_dump(mode="json")
    del limits["on_drift"]
    values = values_of(limits)
    book.configuration = configuration_hash(values)
    record_configuration(values, "from before", book.act())
    asked(book)
    (event,) = decisions_of(book.ledger)
    assert "drift" not in event.payload["state"]
    assert Recomputer(book.ledger, same_models).recompute(event).identical


# In words.


def test_the_summary_tells_what_stands_and_what_it_does(halving: Book) -> None:
    nothing = summary(halving)["drift"]
    assert nothing == {
        "active": False,
        "since": None,
        "tick": None,
        "reason": None,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "effect": "none",
    }
    halving.drifts(halving.now - HOUR)
    assert summary(halving)["drift"] == {
        **nothing,
        "active": True,
        "since": "2026-03-02T14:00:00.000000+00:00",
        "tick": "2026-03-02T13:00:00.000000+00:00",
        "reason": "the feed is frozen",
        "effect": "halve",
    }
    halving.knows_of_drift("ana")
    told = summary(halving)["drift"]
    assert (told["active"], told["acknowledged_by"], told["effect"]) == (True, "ana", "none")
    assert summary(halving)["limits"]["on_drift"] == "halve"


def test_a_halved_entry_is_explained_with_its_alarm(halving: Book) -> None:
    halving.drifts()
    page = explain(asked(halving)["decision_id"], halving.ledger, BOGOTA)
    assert "An entry, at half size for drift, of 5.0000% of capital" in page
    assert "Drift alarm since 2026-03-02 09:00:00, not acknowledged: the feed is frozen" in page
    halving.knows_of_drift("ana")
    page = explain(asked(halving)["decision_id"], halving.ledger, BOGOTA)
    assert "An entry of 10.0000% of capital" in page
    assert "acknowledged by ana: the feed is frozen" in page


def test_every_step_of_an_alarm_has_its_line(book: Book) -> None:
    book.drifts(datetime(2026, 3, 2, 13, 0, tzinfo=UTC), "the feed is frozen", "dxy_z is constant")
    book.knows_of_drift()
    book.is_clean()
    assert [in_a_line(event) for event in reversed(on_record(book))] == [
        "the drift check of 2026-03-02T13:00:00.000000+00:00 alarmed: the feed is frozen; "
        "dxy_z is constant",
        "the drift alarm was acknowledged: a known move",
        "the drift alarm ended with the check of 2026-03-02T14:00:00.000000+00:00",
    ]
