"""Days at a desk, hour by hour in Bogotá's time, on every ledger."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from config.settings import CalendarSettings, RiskLimits, TradingHours
from errors import Conflict, InvalidRequest, StoreUnavailable
from observation import DecisionRequest
from pipeline import decide
from risk.breaker import BreakerState, breaker_state
from risk.calendar import SessionCalendar
from risk.changes import offer_configuration, record_configuration
from risk.configuration import configuration_hash
from risk.events import Draft, Event, EventKind
from risk.ledger.protocol import Head, Ledger, Record
from risk.operator import HALT_FILE_ACTOR
from risk.orders import Outcome, order_key
from risk.state import CauseKind, OperatorMode, ResetScope
from tests.book import Book
from tests.fakes import BUY, SELL, FixedVoter, desk_of

OBSERVATION = np.zeros(45, dtype=np.float32)
UNSURE_BUY = (0.2, 0.2, 0.6)
MONDAY, TUESDAY = "2026-03-02", "2026-03-03"
LONG = 0.10
EIGHT = range(8)


class Day:
    """A desk and the time on its wall."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.date = MONDAY
        self.answer: dict[str, Any] = {}

    def at(self, clock: str, date: str | None = None) -> None:
        """It is this time now, of the day that was named last."""
        self.date = date or self.date
        self.book.now = datetime.fromisoformat(f"{self.date}T{clock}-05:00").astimezone(UTC)

    def says(
        self, signal: tuple[float, float, float], order_id: str | None = None, **request: Any
    ) -> str:
        """The models say so; what the desk is told."""
        asked = DecisionRequest(OBSERVATION, order_id=order_id, **request)
        self.answer = decide(asked, desk_of(self.book, FixedVoter(says=signal)))
        status = str(self.answer["risk_status"])
        assert self.answer["approved"] is (status == "APPROVED")
        assert (self.answer["signal"] == "HOLD") is not self.answer["approved"]
        return status

    @property
    def size(self) -> float:
        """Of what was approved last."""
        return float(self.answer["position_recommendation"]["position_size_percent"])

    @property
    def breaker(self) -> BreakerState:
        return breaker_state(self.book.state, self.book.now)

    def is_bound(self, order_id: str) -> bool:
        return self.book.ledger.by_key(order_key(order_id)) is not None


@pytest.fixture
def day(book: Book) -> Day:
    told = Day(book)
    told.at("09:00")
    return told


# Eight BUY signals in a row.


def test_eight_buys_on_a_reported_position_are_eight_times_the_same_advice(day: Day) -> None:
    day.book.holds(0.04)
    for minute in EIGHT:
        day.at(f"09:0{minute + 1}")
        assert (day.says(BUY), day.size) == ("APPROVED", 0.06)
    assert day.book.state.orders == ()


def test_eight_buys_with_order_ids_fill_the_room_beside_a_reported_position_once(day: Day) -> None:
    day.book.holds(0.04)
    assert (day.says(BUY, "b0"), day.size) == ("APPROVED", 0.06)
    for minute in EIGHT[1:]:
        day.at(f"09:0{minute}")
        assert day.says(BUY, f"b{minute}") == "POSITION_LIMIT"
        assert not day.is_bound(f"b{minute}")
    day.book.release("b0")
    assert (day.says(BUY, "b7"), day.size) == ("APPROVED", 0.06)


def test_eight_buys_on_a_requested_position_without_order_ids_are_advice(day: Day) -> None:
    for minute in EIGHT:
        day.at(f"09:0{minute + 1}")
        assert (day.says(BUY, position=0.04), day.size) == ("APPROVED", 0.06)


def test_eight_buys_with_order_ids_fill_the_room_beside_a_requested_position_once(day: Day) -> None:
    assert (day.says(BUY, "b0", position=0.04), day.size) == ("APPROVED", 0.06)
    for minute in EIGHT[1:]:
        day.at(f"09:0{minute}")
        assert day.says(BUY, f"b{minute}", position=0.04) == "POSITION_LIMIT"
    day.at("09:10")
    day.book.result(0.002, order_id="b0", position=0.0)
    assert (day.says(BUY, "b8"), day.size) == ("APPROVED", 0.10)


def test_an_order_without_an_outcome_counts_beside_the_position_that_shows_its_fill(
    day: Day,
) -> None:
    assert (day.says(UNSURE_BUY, "b0", position=0.0), day.size) == ("APPROVED", 0.075)
    day.at("09:01")
    assert (day.says(BUY, "b1", position=0.01), day.size) == ("APPROVED", 0.015)
    for minute in EIGHT[2:]:
        day.at(f"09:0{minute}")
        assert day.says(BUY, f"b{minute}", position=0.075) == "POSITION_LIMIT"


@pytest.mark.parametrize("named", [True, False], ids=["order ids", "no order ids"])
@pytest.mark.parametrize("reported", [True, False], ids=["reported", "in the request"])
def test_eight_buys_while_the_largest_position_is_held_are_refused(
    day: Day, *, reported: bool, named: bool
) -> None:
    request: dict[str, Any] = {} if reported else {"position": LONG}
    if reported:
        day.book.holds(LONG)
    for minute in EIGHT:
        day.at(f"09:0{minute + 1}")
        order_id = f"b{minute}" if named else None
        assert day.says(BUY, order_id, **request) == "POSITION_LIMIT"
    assert day.book.state.trades_today == 0


# Five losses, a probe, and a night.


def five_losses(day: Day) -> None:
    for minute in range(1, 6):
        day.at(f"09:0{minute}")
        day.book.result(-0.001)


def half_open_since_ten_past_nine(day: Day) -> None:
    five_losses(day)
    day.at("09:10")
    assert day.breaker is BreakerState.HALF_OPEN


def a_night_with_an_open_probe(day: Day) -> None:
    half_open_since_ten_past_nine(day)
    day.at("12:54:30")
    assert day.says(BUY, "probe") == "APPROVED"
    day.at("08:00", TUESDAY)


def test_five_losses_stop_entries_for_five_minutes_and_exits_never(day: Day) -> None:
    five_losses(day)
    for clock in ("09:05", "09:09:59.999999"):
        day.at(clock)
        assert day.says(BUY, "b0") == "CIRCUIT_BREAKER_ACTIVE"
        assert (day.says(SELL, position=LONG), day.size) == ("APPROVED", LONG)


def test_the_probe_names_its_order_and_is_half_as_large(day: Day) -> None:
    half_open_since_ten_past_nine(day)
    assert day.says(BUY) == "CIRCUIT_BREAKER_ACTIVE"
    assert "with an order_id" in day.answer["reasons"][0]
    assert (day.says(BUY, "probe"), day.size) == ("APPROVED", 0.0225)
    assert day.answer["probe"] is True
    # 10%, at 0.5% drawdown, after five losses, halved once more
    assert day.size == pytest.approx(0.10 * 0.9 * 0.5 / 2)
    assert day.says(BUY, "b1") == "CIRCUIT_BREAKER_ACTIVE"
    assert "'probe'" in day.answer["reasons"][0]
    assert day.says(SELL, position=LONG) == "APPROVED"


def test_an_approval_late_in_the_session_ends_with_it_and_its_probe_stays_open(day: Day) -> None:
    half_open_since_ten_past_nine(day)
    day.at("12:54:30")
    assert day.says(BUY, "probe") == "APPROVED"
    assert day.answer["valid_until"] == "2026-03-02T17:55:00.000000+00:00"
    day.at("12:55")
    assert (day.says(BUY, "probe"), day.answer["replayed"]) == ("APPROVED", True)
    day.at("12:55:00.000001")
    assert day.says(BUY, "probe") == "APPROVAL_EXPIRED"
    assert day.says(BUY, "b1") == "OUTSIDE_TRADING_HOURS"


def test_the_next_morning_waits_for_the_outcome_of_yesterdays_probe(day: Day) -> None:
    a_night_with_an_open_probe(day)
    assert day.book.state.orders == ()
    assert day.breaker is BreakerState.HALF_OPEN
    assert day.says(BUY, "b1") == "CIRCUIT_BREAKER_ACTIVE"
    assert day.says(BUY, "probe") == "APPROVAL_EXPIRED"
    assert day.says(SELL, position=LONG) == "APPROVED"


def test_yesterdays_probe_that_won_opens_the_day(day: Day) -> None:
    a_night_with_an_open_probe(day)
    assert day.book.result(0.001, order_id="probe").released
    assert day.breaker is BreakerState.CLOSED
    assert (day.says(BUY, "b1"), day.size) == ("APPROVED", 0.092)
    assert day.answer["probe"] is False


def test_yesterdays_probe_that_lost_pauses_for_twice_as_long_from_its_report(day: Day) -> None:
    a_night_with_an_open_probe(day)
    day.book.result(-0.001, order_id="probe")
    day.at("08:09:59.999999")
    assert day.says(BUY, "b1") == "CIRCUIT_BREAKER_ACTIVE"
    day.at("08:10")
    assert day.says(BUY, "b1") == "APPROVED"
    assert day.answer["probe"] is True


def test_yesterdays_probe_that_proved_nothing_is_made_again(day: Day) -> None:
    a_night_with_an_open_probe(day)
    day.book.result(0.0, order_id="probe")
    assert day.breaker is BreakerState.HALF_OPEN
    assert day.says(BUY) == "CIRCUIT_BREAKER_ACTIVE"
    assert day.says(BUY, "b1") == "APPROVED"
    assert day.answer["probe"] is True


def test_yesterdays_probe_that_was_never_executed_is_made_again(day: Day) -> None:
    a_night_with_an_open_probe(day)
    day.book.release("probe", Outcome.EXPIRED)
    assert day.says(BUY, "b1") == "APPROVED"
    assert day.answer["probe"] is True


# A mark at -2.4% that comes back to -0.5%.


def test_a_mark_that_nobody_confirms_stops_entries_only_while_it_stands(day: Day) -> None:
    day.at("09:30")
    day.book.mark(-0.024)
    assert day.says(BUY) == "DAILY_LOSS_LIMIT"
    assert day.says(SELL, position=LONG) == "APPROVED"
    day.at("09:30:20")
    day.book.mark(-0.005)
    assert (day.says(BUY), day.size) == ("APPROVED", 0.09)
    assert (day.book.state.causes, day.book.state.suspicions) == ((), ())
    day.at("09:31")
    assert day.book.mark(-0.024).trips == ()
    assert day.says(BUY) == "DAILY_LOSS_LIMIT"


def a_confirmed_loss(day: Day) -> None:
    day.at("09:30")
    day.book.mark(-0.024)
    day.at("09:30:30")
    (trip,) = day.book.mark(-0.024).trips
    assert trip.kind is CauseKind.DAILY_LOSS
    day.at("09:31")
    day.book.mark(-0.005)


def test_a_mark_that_a_second_one_confirms_stops_entries_for_the_day(day: Day) -> None:
    a_confirmed_loss(day)
    for clock in ("09:31", "12:55"):
        day.at(clock)
        assert day.says(BUY) == "CIRCUIT_BREAKER_ACTIVE"
        assert day.says(SELL, position=LONG) == "APPROVED"
    day.at("08:00", TUESDAY)
    assert day.says(BUY) == "APPROVED"


def test_a_daily_reset_lifts_a_confirmed_daily_loss_on_the_same_day(day: Day) -> None:
    a_confirmed_loss(day)
    day.at("10:00")
    day.book.reset(ResetScope.DAILY)
    assert day.says(BUY) == "APPROVED"
    with pytest.raises(Conflict, match="max_daily_resets"):
        day.book.reset(ResetScope.DAILY)


# A crash between the approval and its answer.


class LosingLedger:
    """A ledger whose answers can be lost: what was appended is stored, and nobody hears of it."""

    name = "losing"
    trouble = None

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.loses = False

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        events = self._ledger.append(drafts, expected=expected, durable=durable)
        if self.loses:
            raise StoreUnavailable("the answer of the store was lost")
        return events

    def head(self) -> Head:
        return self._ledger.head()

    def presumed(self) -> Head:
        return self._ledger.presumed()

    def persist(self) -> None:
        self._ledger.persist()

    def by_id(self, event_id: str) -> Event | None:
        return self._ledger.by_id(event_id)

    def by_key(self, key: str) -> Event | None:
        return self._ledger.by_key(key)

    def recent(
        self, kinds: Sequence[EventKind], *, limit: int, before: int | None = None
    ) -> list[Event]:
        return self._ledger.recent(kinds, limit=limit, before=before)

    def scan(self, *, after: int = 0, limit: int = 1000) -> list[Record]:
        return self._ledger.scan(after=after, limit=limit)

    def close(self) -> None:
        self._ledger.close()


@pytest.fixture
def losing(day: Day) -> LosingLedger:
    ledger = LosingLedger(day.book.ledger)
    day.book.ledger = ledger
    return ledger


def test_an_approval_whose_answer_was_lost_is_answered_again_for_a_minute(
    day: Day, losing: LosingLedger
) -> None:
    losing.loses = True
    assert day.says(BUY, "b0") == "SYSTEM_ERROR"
    assert day.answer["state_sequence"] is None
    losing.loses = False
    assert day.is_bound("b0")
    day.at("09:01")
    assert (day.says(BUY, "b0"), day.size) == ("APPROVED", 0.10)
    assert day.answer["replayed"] is True
    assert day.book.state.trades_today == 1


def test_an_hour_after_a_lost_answer_the_order_is_expired_and_counts_until_released(
    day: Day, losing: LosingLedger
) -> None:
    losing.loses = True
    day.says(BUY, "b0")
    losing.loses = False
    day.at("10:00")
    assert (day.says(BUY, "b0"), day.answer["replayed"]) == ("APPROVAL_EXPIRED", True)
    assert day.book.state.trades_today == 1
    assert day.says(BUY, "b1") == "POSITION_LIMIT"
    day.book.release("b0", Outcome.EXPIRED)
    assert day.book.state.trades_today == 0
    assert (day.says(BUY, "b1"), day.size) == ("APPROVED", 0.10)
    assert day.says(BUY, "b0") == "ORDER_CLOSED"


def test_an_exit_whose_answer_was_lost_is_answered_again_and_counts_until_released(
    day: Day, losing: LosingLedger
) -> None:
    day.book.holds(LONG)
    day.at("09:01")
    losing.loses = True
    assert day.says(SELL, "x0") == "SYSTEM_ERROR"
    losing.loses = False
    day.at("09:02")
    assert (day.says(SELL, "x0"), day.size) == ("APPROVED", LONG)
    day.at("10:01")
    assert day.says(SELL, "x0") == "APPROVAL_EXPIRED"
    assert day.says(SELL, "x1") == "UNRESOLVED_ORDERS"
    day.book.release("x0", Outcome.EXPIRED)
    assert (day.says(SELL, "x1"), day.size) == ("APPROVED", LONG)


def test_a_result_whose_answer_was_lost_counts_once_when_it_is_sent_again(
    day: Day, losing: LosingLedger
) -> None:
    losing.loses = True
    with pytest.raises(StoreUnavailable):
        day.book.result(-0.02, "t0")
    losing.loses = False
    assert day.book.result(-0.02, "t0").duplicate
    assert day.book.state.today.results == 1
    assert day.says(BUY) == "CIRCUIT_BREAKER_ACTIVE"


# A halt, and the way back.


def test_a_halted_desk_does_nothing_and_a_reducing_one_gets_out(day: Day) -> None:
    day.book.holds(LONG)
    day.at("09:10")
    day.book.halt(OperatorMode.REDUCING, "news")
    assert day.says(BUY, position=0.0) == "REDUCE_ONLY"
    assert day.says(SELL) == "APPROVED"
    day.at("09:20")
    day.book.halt(OperatorMode.HALTED, "worse news")
    assert day.says(BUY, position=0.0) == "TRADING_HALTED"
    assert day.says(SELL) == "TRADING_HALTED"
    day.at("09:30")
    assert not day.book.halt(OperatorMode.REDUCING, "a colleague").changed
    assert day.says(SELL) == "TRADING_HALTED"
    day.at("10:00")
    day.book.resume(OperatorMode.REDUCING, "the news was old")
    assert day.says(BUY, position=0.0) == "REDUCE_ONLY"
    assert day.says(SELL) == "APPROVED"
    day.at("10:30")
    day.book.resume(OperatorMode.ACTIVE, "business as usual")
    assert day.says(BUY, position=0.0) == "APPROVED"


def test_a_halt_file_halts_until_it_is_gone_and_somebody_resumes(day: Day) -> None:
    day.at("09:10")
    day.book.halt_file = True
    assert day.says(BUY) == "TRADING_HALTED"
    assert day.says(SELL, position=LONG) == "TRADING_HALTED"
    assert day.book.state.operator.actor == HALT_FILE_ACTOR
    day.at("09:20")
    with pytest.raises(Conflict, match="remove it first"):
        day.book.resume()
    day.book.halt_file = False
    assert day.says(BUY) == "TRADING_HALTED"
    with pytest.raises(InvalidRequest, match="reason"):
        day.book.resume(reason=" ")
    assert day.says(BUY) == "TRADING_HALTED"
    day.book.resume(reason="the router is back")
    assert day.says(BUY) == "APPROVED"


def test_a_halt_file_halts_a_desk_that_was_reducing_only(day: Day) -> None:
    day.book.halt(OperatorMode.REDUCING)
    day.book.halt_file = True
    assert day.says(SELL, position=LONG) == "TRADING_HALTED"
    assert len(day.book.ledger.recent([EventKind.OPERATOR_HALTED], limit=9)) == 2
    assert day.says(SELL, position=LONG) == "TRADING_HALTED"
    assert len(day.book.ledger.recent([EventKind.OPERATOR_HALTED], limit=9)) == 2


def test_a_halt_outlives_the_night_and_every_reset(day: Day) -> None:
    day.book.halt(reason="overnight")
    day.at("08:00", TUESDAY)
    assert day.says(BUY) == "TRADING_HALTED"
    day.book.reset(ResetScope.ALL, "a new start")
    assert day.says(BUY) == "TRADING_HALTED"


# Days without a session, or with a shorter one.


def no_session(day: Day, status: str) -> None:
    for clock in ("08:00", "10:30", "12:55"):
        day.at(clock)
        assert day.says(BUY) == status
        assert day.says(SELL, position=LONG) == status


@pytest.mark.parametrize(
    "date",
    ["2026-07-20", "2026-11-26", "2026-12-31", "2028-01-03"],
    ids=["Colombia", "United States only", "31 December", "beyond known_until"],
)
def test_a_holiday_has_no_session_and_the_days_around_it_have(day: Day, date: str) -> None:
    day.date = date
    no_session(day, "MARKET_HOLIDAY")
    day.book.result(-0.001)
    assert day.book.state.today.results == 1


def test_a_holiday_of_the_united_states_alone_can_be_traded_when_it_is_configured(
    day: Day,
) -> None:
    day.book.calendar = SessionCalendar(TradingHours(trade_on_us_holidays=True), CalendarSettings())
    day.at("10:00", "2026-11-26")
    assert day.says(BUY) == "APPROVED"
    assert day.says(SELL, position=LONG) == "APPROVED"
    day.at("10:00", "2026-07-20")
    assert day.says(BUY) == "MARKET_HOLIDAY"


def test_the_last_known_day_is_traded_and_the_day_after_it_is_not(day: Day) -> None:
    day.book.calendar = SessionCalendar(
        TradingHours(), CalendarSettings.model_validate({"known_until": MONDAY})
    )
    day.at("12:55")
    assert day.says(BUY) == "APPROVED"
    day.at("08:00", TUESDAY)
    assert day.says(BUY) == "MARKET_HOLIDAY"
    assert "known_until" in day.answer["reasons"][0]


def test_an_early_close_ends_the_session_and_every_approval(day: Day) -> None:
    day.book.calendar = SessionCalendar(
        TradingHours(), CalendarSettings.model_validate({"early_close": {"2026-12-24": "10:30"}})
    )
    day.at("10:29:30", "2026-12-24")
    assert day.says(BUY, "b0") == "APPROVED"
    assert day.answer["valid_until"] == "2026-12-24T15:30:00.000000+00:00"
    day.at("10:30")
    assert day.says(SELL, position=LONG) == "APPROVED"
    assert day.says(BUY, "b0") == "APPROVED"
    day.at("10:30:00.000001")
    assert day.says(SELL, position=LONG) == "OUTSIDE_TRADING_HOURS"
    assert day.says(BUY, "b0") == "APPROVAL_EXPIRED"


# Limits that change at noon.


def values(limits: RiskLimits) -> dict[str, Any]:
    return {"risk_limits": limits.model_dump(mode="json")}


def service(day: Day, **changes: Any) -> Book:
    """A service with other limits on the same book, at the same time."""
    limits = RiskLimits(**{**RiskLimits().model_dump(), **changes})
    return replace(day.book, limits=limits, configuration=configuration_hash(values(limits)))


def in_force(day: Day, reason: str = "noon") -> None:
    """The limits of the service that is asked now are those of the book from now on."""
    record_configuration(values(day.book.limits), reason, day.book.act())


@pytest.fixture
def morning(day: Day) -> Day:
    """Limits on record; a small position, an order on its way, and a loss of 1.2%."""
    day.book = service(day)
    assert offer_configuration(values(day.book.limits), day.book.act())
    day.book.holds(0.02)
    assert day.says(UNSURE_BUY, "b0") == "APPROVED"
    day.at("10:00")
    day.book.result(-0.012)
    day.at("12:00")
    assert day.says(BUY) == "APPROVED"
    return day


def test_a_service_with_other_limits_decides_nothing_until_they_are_on_record(
    morning: Day,
) -> None:
    before, tight = morning.book, service(morning, max_daily_loss=-0.01)
    morning.book = tight
    assert morning.says(BUY) == "CONFIG_MISMATCH"
    assert morning.says(SELL) == "CONFIG_MISMATCH"
    in_force(morning)
    assert morning.says(BUY) == "DAILY_LOSS_LIMIT"
    assert morning.says(SELL) == "APPROVED"
    morning.book = before
    assert morning.says(BUY) == "CONFIG_MISMATCH"
    assert morning.says(SELL) == "CONFIG_MISMATCH"


@pytest.mark.parametrize(
    ("tightened", "status"),
    [
        ({"max_daily_loss": -0.012}, "DAILY_LOSS_LIMIT"),
        ({"max_drawdown": -0.012}, "MAX_DRAWDOWN"),
        ({"max_consecutive_losses": 1}, "CONSECUTIVE_LOSSES"),
        ({"max_trades_per_day": 2}, "MAX_TRADES_REACHED"),
        ({"max_unresolved_orders": 1}, "UNRESOLVED_ORDERS"),
        ({"max_position_size": 0.05}, "POSITION_LIMIT"),
        ({"require_order_id": True}, "ORDER_ID_REQUIRED"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_limit_tightened_at_noon_refuses_at_once_and_latches_nothing(
    morning: Day, tightened: dict[str, Any], status: str
) -> None:
    before = morning.book
    morning.book = service(morning, **tightened)
    in_force(morning)
    assert morning.says(BUY) == status
    assert (morning.says(SELL), morning.size) == ("APPROVED", 0.02)
    assert morning.breaker is BreakerState.CLOSED
    morning.at("12:10")
    morning.book = replace(before, now=morning.book.now)
    in_force(morning, "too tight")
    assert morning.says(BUY) == "APPROVED"


def test_a_breaker_that_tripped_under_a_tight_limit_stays_open_when_it_is_loosened(
    morning: Day,
) -> None:
    before = morning.book
    morning.book = service(morning, max_daily_loss=-0.013)
    in_force(morning)
    assert morning.says(BUY) == "APPROVED"
    morning.at("12:05")
    (trip,) = morning.book.result(-0.001).trips
    assert (trip.kind, trip.limit) == (CauseKind.DAILY_LOSS, -13_000_000)
    morning.at("12:10")
    morning.book = replace(before, now=morning.book.now)
    in_force(morning, "too tight")
    assert morning.says(BUY) == "CIRCUIT_BREAKER_ACTIVE"
    assert morning.says(SELL) == "APPROVED"
    morning.at("08:00", TUESDAY)
    assert morning.says(BUY) == "APPROVED"


def test_a_report_to_a_service_with_old_limits_is_judged_by_those_on_record(morning: Day) -> None:
    before = morning.book
    morning.book = service(morning, max_daily_loss=-0.013)
    in_force(morning)
    morning.book = before
    (trip,) = morning.book.result(-0.001).trips
    assert trip.limit == -13_000_000


def test_an_approval_from_before_a_change_of_limits_is_not_given_again(morning: Day) -> None:
    before = morning.book
    assert morning.says(BUY, "b1") == "APPROVED"
    morning.at("12:00:10")
    morning.book = service(morning, max_daily_loss=-0.013)
    in_force(morning)
    assert morning.says(BUY, "b1") == "CONFIG_MISMATCH"
    assert morning.answer["replayed"] is True
    morning.at("12:00:20")
    morning.book = replace(before, now=morning.book.now)
    in_force(morning, "too tight")
    assert morning.says(BUY, "b1") == "CONFIG_MISMATCH"
    assert morning.book.state.order("b1") is not None
