"""What is worth an alert in a book, in its record, and in its stores."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from config.settings import RiskLimits
from errors import StoreUnavailable
from monitoring.alerts.causes import Cause, Condition, Look
from monitoring.alerts.conditions import book_conditions
from monitoring.alerts.decision_flow import FlowRules, SeenDecision, flow_look
from monitoring.alerts.desk_conditions import DeskRules
from monitoring.alerts.watcher import Watched, Watcher
from observation import DecisionRequest
from pipeline import decide
from risk.state import OperatorMode
from tests.book import Book
from tests.fakes import FixedVoter, TroubledLedger, desk_of

DESK = DeskRules(feed=timedelta(minutes=15), mark=timedelta(minutes=30), order=timedelta(minutes=5))
RULES = FlowRules(veto_share=0.5, silence=timedelta(minutes=15))


@pytest.fixture
def book() -> Book:
    return Book(TroubledLedger())


def conditions(book: Book) -> dict[tuple[Cause, str], Condition]:
    found = book_conditions(book.state, book.limits, book.now, 0.8)
    return {(condition.cause, condition.key): condition for condition in found}


def test_a_book_in_which_nothing_happened_has_nothing_to_tell(book: Book) -> None:
    assert conditions(book) == {}


def test_a_result_beyond_the_daily_loss_opens_the_breaker_and_tells_of_no_limit(
    book: Book,
) -> None:
    book.result(-0.03)
    found = conditions(book)
    assert [about for about, condition in found.items() if condition.opens] == [
        (Cause.BREAKER, "daily_loss")
    ]
    breaker = found[Cause.BREAKER, "daily_loss"]
    assert breaker.message == "the circuit breaker is open: daily_loss -3.00%, limit -2.00%"
    assert breaker.escalates


def test_a_limit_is_near_from_its_share_on_and_is_named(book: Book) -> None:
    book.result(-0.0159)
    assert conditions(book) == {}
    book.result(-0.0001)
    (condition,) = conditions(book).values()
    assert (condition.cause, condition.key) == (Cause.LIMIT, "daily_loss")
    assert condition.message == "daily_loss is at 80% of its limit"


def test_a_position_at_its_maximum_is_no_alert(book: Book) -> None:
    book.holds(book.limits.max_position_size)
    assert conditions(book) == {}


def test_a_half_open_breaker_stands_and_does_not_escalate(book: Book) -> None:
    for _ in range(5):
        book.result(-0.0001)
    assert conditions(book)[Cause.BREAKER, "consecutive_losses"].escalates
    book.wait(seconds=book.limits.cooldown_after_circuit_break + 1)
    assert not conditions(book)[Cause.BREAKER, "consecutive_losses"].escalates


def test_a_halt_that_was_tightened_does_not_end_the_milder_one(book: Book) -> None:
    book.halt(OperatorMode.REDUCING, "careful")
    assert [condition.opens for condition in conditions(book).values()] == [True]
    book.halt(OperatorMode.HALTED, "stop")
    found = conditions(book)
    assert found[Cause.HALT, "HALTED"].message == "trading is HALTED by tester: stop"
    assert not found[Cause.HALT, "REDUCING"].opens


@dataclass
class Record:
    """Decisions, newest first, and the session at a time."""

    book: Book
    decisions: list[SeenDecision] = field(default_factory=list)

    def decided(self, minutes_ago: float, *, vetoed: bool = False, dry_run: bool = False) -> None:
        at = self.book.now - timedelta(minutes=minutes_ago)
        day = self.book.calendar.day(at)
        self.decisions.append(SeenDecision(at, day, vetoed, dry_run))
        self.decisions.sort(key=lambda decision: decision.at, reverse=True)

    def look(self) -> Look:
        calendar, now = self.book.calendar, self.book.now
        earlier = calendar.status(now - RULES.silence)
        return flow_look(self.decisions, calendar.status(now), earlier, now, RULES)

    @property
    def causes(self) -> list[Cause]:
        return [condition.cause for condition in self.look().conditions]


@pytest.fixture
def record(book: Book) -> Record:
    return Record(book)


def test_a_session_without_a_decision_for_long_is_silent(record: Record) -> None:
    record.decided(14)
    assert record.causes == []
    record.book.wait(minutes=1)
    assert record.causes == [Cause.SILENCE]
    record.decided(0, dry_run=True)
    assert record.causes == [Cause.SILENCE]
    record.decided(0)
    assert record.causes == []


def test_a_book_that_never_had_a_decision_is_not_silent(record: Record) -> None:
    assert record.causes == []
    assert Cause.SILENCE in record.look().judged


def test_dry_runs_alone_say_nothing_of_a_silence(record: Record) -> None:
    record.decided(60, dry_run=True)
    assert Cause.SILENCE not in record.look().judged


def test_a_session_that_has_just_begun_is_not_silent_yet(record: Record) -> None:
    record.decided(60 * 20)
    record.book.now = record.book.now.replace(hour=13, minute=14)  # 08:14 in Bogotá
    assert record.causes == []
    record.book.wait(minutes=1)
    assert record.causes == [Cause.SILENCE]


def test_a_closed_session_is_not_silent_and_keeps_its_veto_rate(record: Record) -> None:
    record.decided(60)
    record.book.now = record.book.now.replace(hour=23)
    look = record.look()
    assert look == Look((), frozenset({Cause.SILENCE}))


@pytest.mark.parametrize(("vetoed", "told"), [(12, False), (13, True)])
def test_too_many_vetoes_are_told(record: Record, vetoed: int, told: bool) -> None:
    for number in range(24):
        record.decided(number / 10, vetoed=number < vetoed)
    assert (record.causes == [Cause.VETO_RATE]) == told


def test_a_few_decisions_make_no_veto_rate(record: Record) -> None:
    for number in range(19):
        record.decided(number / 10, vetoed=True)
    assert Cause.VETO_RATE not in record.look().judged


@dataclass
class Surveyed:
    """A watcher on a test's book."""

    book: Book
    seconds: float = 0.0
    cache: str | None = None
    drift: list[Condition] = field(default_factory=list)
    drift_fails: bool = False
    newest_bar: datetime | None = None
    preflight: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.watcher = Watcher(
            Watched(
                ledger=self.book.ledger,
                limits_of=lambda _, now: self._limits(now),
                calendar=self.book.calendar,
                limit_share=0.8,
                flow=RULES,
                cache_degraded=lambda: self.cache,
                market_degraded=lambda: None,
                drift_conditions=self._drift,
                newest_bar=lambda: self.newest_bar,
                preflight=lambda: self.preflight,
                desk=DESK,
                timer=lambda: self.seconds,
            )
        )

    def _limits(self, now: datetime) -> RiskLimits:
        del now
        return self.book.limits

    def _drift(self) -> list[Condition]:
        if self.drift_fails:
            raise StoreUnavailable("away")
        return self.drift

    def look(self) -> Look:
        return self.watcher.look(self.book.now)

    def opening(self) -> list[Cause]:
        return [condition.cause for condition in self.look().conditions if condition.opens]


@pytest.fixture
def surveyed(book: Book) -> Surveyed:
    return Surveyed(book)


def test_a_ledger_that_cannot_be_read_for_seconds_is_told_and_the_book_is_not_judged(
    surveyed: Surveyed,
) -> None:
    ledger = surveyed.book.ledger
    assert isinstance(ledger, TroubledLedger)
    ledger.unreadable = True
    assert surveyed.opening() == []
    surveyed.seconds += 3
    assert surveyed.opening() == [Cause.LEDGER]
    assert not surveyed.look().judged & {Cause.HALT, Cause.BREAKER, Cause.LIMIT}
    ledger.unreadable = False
    surveyed.seconds += 1
    assert surveyed.opening() == []
    assert surveyed.look().judged >= {Cause.HALT, Cause.BREAKER, Cause.LIMIT, Cause.LEDGER}


def test_a_cache_without_its_store_is_told(surveyed: Surveyed) -> None:
    surveyed.cache = "redis cannot be reached"
    surveyed.look()
    surveyed.seconds += 5
    assert surveyed.opening() == [Cause.CACHE]


def test_what_another_part_found_out_of_drift_is_told_and_nothing_else_of_it(
    surveyed: Surveyed,
) -> None:
    surveyed.drift = [
        Condition(Cause.DRIFT, "vectors", "strayed"),
        Condition(Cause.HALT, "HALTED", "not its business"),
    ]
    assert surveyed.opening() == [Cause.DRIFT]
    surveyed.drift_fails = True
    surveyed.seconds += 5
    assert Cause.DRIFT not in surveyed.look().judged


def test_decisions_of_every_process_on_record_count_for_the_veto_rate(
    surveyed: Surveyed,
) -> None:
    desk = desk_of(surveyed.book, FixedVoter())
    old = surveyed.book.now - timedelta(hours=1)
    for number in range(20):
        request = DecisionRequest(np.zeros(3, dtype=np.float32), observed_at=old)
        assert decide(request, desk)["risk_status"] == "STALE_DATA"
        del number
    assert surveyed.opening() == [Cause.VETO_RATE]
    surveyed.seconds += 30
    assert Cause.VETO_RATE not in surveyed.look().judged


def test_what_a_desk_must_know_of_is_looked_at_and_only_now_and_then(surveyed: Surveyed) -> None:
    book = surveyed.book
    surveyed.newest_bar = book.now - timedelta(hours=1)
    surveyed.preflight = {
        "state": "not armed", "session": "2026-03-02", "by": "service:preflight", "checks": [],
    }  # fmt: skip
    book.mark(0.0)
    book.holds(0.05)
    assert surveyed.opening() == [Cause.FEED, Cause.PREFLIGHT]
    assert not surveyed.look().judged & {Cause.FEED, Cause.PREFLIGHT}
    book.wait(minutes=30)
    surveyed.seconds += 5
    assert surveyed.opening() == [Cause.MARK, Cause.FEED, Cause.PREFLIGHT]
    assert surveyed.look().judged >= {Cause.ORDER, Cause.MARK}
