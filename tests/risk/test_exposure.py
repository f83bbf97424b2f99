"""Exits and entries: what a signal is against what is held, and how much of it may pass."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import RiskLimits
from observation import DecisionRequest
from pipeline import decide
from risk.breaker import BreakerState, breaker_state
from risk.exposure import Exposure, exposure_of
from risk.fixed_point import from_nano, to_nano
from risk.gate import judge
from risk.ledger.memory import MemoryLedger
from risk.orders import Outcome
from risk.sizing import close_out, recommend
from risk.state import (
    Cause,
    CauseKind,
    DayCounters,
    OpenOrder,
    Operator,
    OperatorMode,
    Position,
    Reduction,
    ResetScope,
    RiskState,
)
from risk.verdict import Candidate, RiskStatus, Situation
from runners.signal import Signal
from tests.book import MONDAY_NOON_UTC, Book
from tests.fakes import BUY, SELL, FixedVoter, desk_of

OBSERVATION = np.zeros(45, dtype=np.float32)
LARGEST = 100_000_000
MICROSECOND = timedelta(microseconds=1)
REFUSED = None


@pytest.fixture
def book() -> Book:
    return Book(MemoryLedger())


def says(
    book: Book, signal: tuple[float, float, float], order_id: str | None = None, **request: Any
) -> tuple[str, float | None]:
    """What a desk is told when the models say so, and of what size."""
    asked = DecisionRequest(OBSERVATION, order_id=order_id, **request)
    answer = decide(asked, desk_of(book, FixedVoter(says=signal)))
    size = answer["position_recommendation"]
    return answer["risk_status"], None if size is None else size["position_size_percent"]


# What is an exit.


@pytest.mark.parametrize(
    ("held", "signal", "reduces"),
    [
        (1, Signal.SELL, True),
        (1, Signal.BUY, False),
        (-1, Signal.BUY, True),
        (-1, Signal.SELL, False),
        (0, Signal.BUY, False),
        (0, Signal.SELL, False),
        (None, Signal.BUY, False),
        (None, Signal.SELL, False),
        (1, Signal.HOLD, False),
        (-1, Signal.HOLD, False),
    ],
)
def test_a_signal_against_what_is_held_is_an_exit_and_every_other_one_is_not(
    held: int | None, signal: Signal, *, reduces: bool
) -> None:
    assert Exposure(held, None, 0, 0, 0).reduces(signal) is reduces


@pytest.mark.parametrize("reported", [True, False], ids=["reported", "in the request"])
@pytest.mark.parametrize(
    ("held", "against"), [(0.02, SELL), (-0.02, BUY), (0.000_000_001, SELL), (0.35, SELL)]
)
def test_an_exit_takes_off_what_is_held_and_never_flips_it(
    book: Book, held: float, against: tuple[float, float, float], *, reported: bool
) -> None:
    request = {} if reported else {"position": held}
    if reported:
        book.holds(held)
    assert says(book, against, "x", **request) == ("APPROVED", abs(held))


def test_losses_shrink_an_entry_and_no_exit(book: Book) -> None:
    for _ in range(4):
        book.result(-0.004)
    book.wait(minutes=1)
    assert says(book, BUY) == ("APPROVED", 0.0408)
    assert says(book, SELL, position=0.10) == ("APPROVED", 0.10)


def test_the_position_of_a_request_goes_before_the_reported_one(book: Book) -> None:
    book.holds(0.10)
    assert says(book, SELL, position=0.03) == ("APPROVED", 0.03)
    assert says(book, SELL, position=0.0) == ("APPROVED", 0.0875)
    assert says(book, BUY, position=-0.05) == ("APPROVED", 0.05)


def test_an_exit_is_no_trade_and_no_open_order(book: Book) -> None:
    book.limit(max_trades_per_day=1, max_unresolved_orders=1)
    assert says(book, SELL, "x0", position=0.10)[0] == "APPROVED"
    assert (book.state.trades_today, book.state.orders) == (0, ())
    assert says(book, BUY, "b0")[0] == "APPROVED"
    assert says(book, BUY, "b1")[0] == "MAX_TRADES_REACHED"
    assert says(book, SELL, "x1", position=0.10)[0] == "APPROVED"


# What approved exits leave to close.


def test_two_exits_on_one_report_close_it_once(book: Book) -> None:
    book.holds(0.10)
    book.wait(seconds=1)
    assert says(book, SELL, "x0", position=0.04) == ("APPROVED", 0.04)
    assert says(book, SELL, "x1") == ("APPROVED", 0.06)
    assert says(book, SELL, "x2") == ("UNRESOLVED_ORDERS", REFUSED)
    assert exposure_of(book.state).left_to_close == 0


def test_an_exit_takes_no_more_off_a_report_than_it_holds(book: Book) -> None:
    book.holds(0.04)
    book.wait(seconds=1)
    assert says(book, SELL, "x0", position=0.10) == ("APPROVED", 0.10)
    assert [exit_.size for exit_ in book.state.reductions] == [40_000_000]


def test_a_position_in_the_request_shows_what_was_executed_and_ignores_approved_exits(
    book: Book,
) -> None:
    book.holds(0.10)
    assert says(book, SELL, "x0") == ("APPROVED", 0.10)
    assert says(book, SELL, "x1")[0] == "UNRESOLVED_ORDERS"
    assert says(book, SELL, "x2", position=0.10) == ("APPROVED", 0.10)


def test_an_exit_without_an_order_id_is_advice_that_takes_nothing_off(book: Book) -> None:
    book.holds(0.10)
    for _ in range(2):
        assert says(book, SELL) == ("APPROVED", 0.10)
    assert book.state.reductions == ()


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.REJECTED, Outcome.EXPIRED])
def test_a_released_exit_leaves_the_position_to_close_again(book: Book, outcome: Outcome) -> None:
    book.holds(0.10)
    says(book, SELL, "x0")
    book.release("x0", outcome)
    assert says(book, SELL, "x1") == ("APPROVED", 0.10)


def test_the_result_of_an_exit_says_nothing_of_the_position_and_leaves_it_closed(
    book: Book,
) -> None:
    book.holds(0.10)
    says(book, SELL, "x0")
    book.wait(seconds=1)
    book.result(0.001, order_id="x0")
    assert says(book, SELL, "x1") == ("UNRESOLVED_ORDERS", REFUSED)
    book.result(0.001, position=0.0)
    assert says(book, SELL, "x2") == ("APPROVED", 0.0875)


REPORTS: dict[str, Callable[[Book, timedelta], object]] = {
    "position": lambda book, age: book.holds(0.10, book.now - age),
    "result": lambda book, age: book.result(0.001, position=0.10, closed_at=book.now - age),
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_a_position_as_of_the_approval_of_an_exit_shows_it(
    book: Book, report: Callable[[Book, timedelta], object]
) -> None:
    book.holds(0.10)
    book.wait(seconds=1)
    says(book, SELL, "x0")
    report(book, timedelta(0))
    assert says(book, SELL, "x1") == ("APPROVED", 0.10)


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_a_position_from_a_microsecond_before_the_approval_of_an_exit_does_not_show_it(
    book: Book, report: Callable[[Book, timedelta], object]
) -> None:
    book.holds(0.10)
    book.wait(seconds=1)
    says(book, SELL, "x0")
    report(book, MICROSECOND)
    assert says(book, SELL, "x1") == ("UNRESOLVED_ORDERS", REFUSED)


def test_an_exit_that_was_never_released_is_not_approved_again_on_the_next_day(
    book: Book,
) -> None:
    book.holds(0.10)
    says(book, SELL, "x0")
    book.result(-0.06, order_id="x0")
    book.wait(days=1)
    assert says(book, SELL, "x1")[1] is REFUSED


def test_an_exit_of_the_other_side_takes_nothing_off_the_report(book: Book) -> None:
    book.holds(0.10)
    book.wait(seconds=1)
    assert says(book, BUY, "x0", position=-0.05) == ("APPROVED", 0.05)
    assert says(book, SELL, "x1") == ("APPROVED", 0.10)


# Which report counts.


def test_the_newest_report_counts_by_the_time_it_is_of(book: Book) -> None:
    assert book.holds(0.04).newest
    assert not book.holds(0.08, book.now - MICROSECOND).newest
    assert exposure_of(book.state).held == 40_000_000
    assert book.holds(0.06).newest
    assert exposure_of(book.state).held == 60_000_000


def test_a_result_tells_the_position_as_of_its_close(book: Book) -> None:
    book.holds(0.04)
    book.wait(minutes=5)
    book.result(0.001, position=0.08, closed_at=book.now - timedelta(minutes=6))
    assert exposure_of(book.state).held == 40_000_000
    book.result(0.001, position=0.0)
    assert exposure_of(book.state).held == 0


def test_a_report_from_a_clock_that_was_ahead_gives_way_to_the_next_one(book: Book) -> None:
    book.wait(seconds=5)
    book.holds(0.04)
    book.mark(-0.01)
    book.wait(seconds=-5)
    assert not book.holds(0.08).newest
    assert not book.mark(-0.02).newest
    book.now -= MICROSECOND
    assert book.holds(0.08).newest
    assert book.mark(-0.02).newest


def test_a_result_counts_on_the_day_on_which_it_arrives(book: Book) -> None:
    book.wait(days=1)
    book.result(-0.02, closed_at=book.now - timedelta(days=1))
    assert (book.state.daily_pnl, book.state.today.results) == (-20_000_000, 1)
    assert says(book, BUY)[0] == "CIRCUIT_BREAKER_ACTIVE"


# What an entry may add.


@pytest.mark.parametrize(
    ("held", "buying", "selling", "to_buy", "to_sell"),
    [
        (0, 0, 0, 100, 100),
        (40, 0, 0, 60, 140),
        (-40, 0, 0, 140, 60),
        (0, 30, 20, 70, 80),
        (40, 30, 20, 30, 120),
        (100, 0, 0, 0, 200),
        (40, 60, 0, 0, 140),
        (150, 0, 0, -50, 250),
        (None, 30, 0, 70, 100),
    ],
)
def test_open_orders_take_room_on_their_own_side_only(
    held: int | None, buying: int, selling: int, to_buy: int, to_sell: int
) -> None:
    exposure = Exposure(held, None, 0, buying, selling)
    assert exposure.room(Signal.BUY, 100e-9) == to_buy
    assert exposure.room(Signal.SELL, 100e-9) == to_sell


def test_an_order_on_its_way_leaves_the_other_side_its_room(book: Book) -> None:
    assert says(book, BUY, "b0") == ("APPROVED", 0.10)
    assert says(book, SELL, "s0") == ("APPROVED", 0.0875)
    assert says(book, SELL, "s1") == ("APPROVED", 0.0125)
    book.limit(max_unresolved_orders=4)
    assert says(book, BUY, "b1")[0] == says(book, SELL, "s2")[0] == "POSITION_LIMIT"


def test_an_approved_exit_makes_no_room_before_the_position_is_reported(book: Book) -> None:
    book.holds(0.10)
    book.wait(seconds=1)
    says(book, SELL, "x0")
    assert says(book, BUY, "b0") == ("POSITION_LIMIT", REFUSED)
    book.wait(seconds=1)
    book.holds(0.0)
    assert says(book, BUY, "b0") == ("APPROVED", 0.10)


# What must be known.


def test_a_position_that_nobody_told_counts_as_flat(book: Book) -> None:
    assert says(book, SELL) == ("APPROVED", 0.0875)
    assert says(book, BUY) == ("APPROVED", 0.10)


def test_a_required_position_is_asked_of_entries_until_it_is_told(book: Book) -> None:
    book.limit(require_position=True)
    assert says(book, BUY)[0] == says(book, SELL)[0] == "POSITION_UNKNOWN"
    assert says(book, BUY, position=0.0) == ("APPROVED", 0.10)
    assert says(book, BUY)[0] == "POSITION_UNKNOWN"
    book.holds(0.0)
    assert says(book, BUY) == ("APPROVED", 0.10)


def test_a_required_order_id_is_asked_of_entries_and_of_no_exit(book: Book) -> None:
    book.limit(require_order_id=True)
    assert says(book, BUY)[0] == "ORDER_ID_REQUIRED"
    assert says(book, BUY, "b0") == ("APPROVED", 0.10)
    assert says(book, SELL, position=0.10) == ("APPROVED", 0.10)


def test_an_exit_is_held_to_the_clock_of_no_day_and_to_no_probe(book: Book) -> None:
    for _ in range(5):
        book.result(-0.001)
    book.wait(seconds=300)
    assert breaker_state(book.state, book.now) is BreakerState.HALF_OPEN
    assert says(book, SELL, "x0", position=0.10) == ("APPROVED", 0.10)
    assert says(book, BUY, "b0")[0] == "APPROVED"
    book.wait(days=-3)
    assert says(book, BUY, "b1")[0] == "SYSTEM_ERROR"
    assert says(book, SELL, "x1", position=0.10) == ("APPROVED", 0.10)


# Whatever the state is.

NANO = st.integers(-300_000_000, 300_000_000)
SECONDS = st.integers(-400, 400)
SIDES = st.sampled_from([Signal.BUY, Signal.SELL])
CONFIDENCE = st.floats(0.6, 1.0)


@st.composite
def states(draw: st.DrawFn) -> RiskState:
    """Any state of a book that no person has halted."""
    now = MONDAY_NOON_UTC

    def instant() -> datetime:
        return now + timedelta(seconds=draw(SECONDS))

    causes = [
        Cause(kind, now, None, value=-1, limit=-1)
        for kind in draw(st.sets(st.sampled_from([CauseKind.DAILY_LOSS, CauseKind.DRAWDOWN])))
    ]
    if draw(st.booleans()):
        streak = CauseKind.CONSECUTIVE_LOSSES
        probe = draw(st.sampled_from([None, "o0"]))
        causes.append(Cause(streak, now, instant(), 5, 5, cooldown_seconds=300, probe=probe))
    orders = [
        OpenOrder(f"o{number}", f"d{number}", side.value, size, now, now)
        for number, (side, size) in enumerate(
            draw(st.lists(st.tuples(SIDES, st.integers(1, LARGEST)), max_size=4))
        )
    ]
    held = draw(st.none() | NANO)
    exits = draw(st.lists(st.integers(1, LARGEST), max_size=3))
    reduced = [Reduction(f"x{number}", size, now) for number, size in enumerate(exits)]
    return RiskState(
        today=DayCounters(
            day=now.date() + timedelta(days=draw(st.integers(-1, 1))),
            realised=draw(NANO),
            mark_carried=draw(NANO),
            results=draw(st.integers(0, 60)),
        ),
        equity=draw(NANO),
        high_water_mark=draw(NANO),
        mark=draw(NANO),
        loss_streak=draw(st.integers(0, 12)),
        last_loss_at=instant(),
        causes=tuple(causes),
        operator=Operator(draw(st.sampled_from([OperatorMode.ACTIVE, OperatorMode.REDUCING])), now),
        position=None if held is None else Position(held, now),
        orders=tuple(orders),
        reductions=tuple(reduced),
    )


def situation(state: RiskState, limits: RiskLimits, candidate: Candidate) -> Situation:
    book = Book(MemoryLedger(), limits)
    return Situation(candidate, state, limits, book.calendar.status(book.now), book.now)


LIMITS = RiskLimits()
STRICT = RiskLimits(require_order_id=True, require_position=True, max_position_size=0.03)


@given(states(), NANO.filter(bool), CONFIDENCE, st.sampled_from([LIMITS, STRICT]))
def test_no_limit_refuses_an_exit_whose_position_is_told(
    state: RiskState, held: int, confidence: float, limits: RiskLimits
) -> None:
    against = Signal.SELL if held > 0 else Signal.BUY
    candidate = Candidate(against, confidence, position=from_nano(held))
    verdict = judge(situation(state, limits, candidate))
    assert verdict.status is RiskStatus.APPROVED
    assert verdict.reduces
    assert not verdict.probe


@given(states(), CONFIDENCE, st.sampled_from([LIMITS, STRICT]), SIDES)
def test_the_only_exit_that_a_report_refuses_is_one_that_was_approved_already(
    state: RiskState, confidence: float, limits: RiskLimits, side: Signal
) -> None:
    verdict = judge(situation(state, limits, Candidate(side, confidence)))
    if verdict.reduces:
        left = exposure_of(state).left_to_close
        assert verdict.approved == (left > 0)
        assert verdict.status in {RiskStatus.APPROVED, RiskStatus.UNRESOLVED_ORDERS}


@given(states(), st.none() | NANO, SIDES)
def test_an_exit_is_never_larger_than_what_is_held(
    state: RiskState, told: int | None, side: Signal
) -> None:
    position = None if told is None else from_nano(told)
    verdict = judge(situation(state, LIMITS, Candidate(side, 1.0, position=position)))
    if verdict.approved and verdict.reduces:
        exposure = verdict.exposure
        size = to_nano(close_out(exposure.left_to_close, 100_000).position_size_percent)
        assert 0 < size <= abs(exposure.held)
        assert size + exposure.being_closed <= max(abs(exposure.held), exposure.being_closed)
        after = exposure.held + (size if side is Signal.BUY else -size)
        assert after * exposure.held >= 0


@given(states(), st.none() | NANO, SIDES, CONFIDENCE, st.floats(1e-4, 1.0))
def test_no_entry_takes_a_position_beyond_the_largest(
    state: RiskState, told: int | None, side: Signal, confidence: float, largest: float
) -> None:
    limits = RiskLimits(max_position_size=largest)
    position = None if told is None else from_nano(told)
    calm = RiskState(position=state.position, orders=state.orders[:2], today=state.today)
    candidate = Candidate(side, confidence, order_id="e", position=position)
    verdict = judge(situation(calm, limits, candidate))
    if not verdict.approved or verdict.reduces:
        return
    exposure = verdict.exposure
    room = exposure.room(side, largest)
    size = to_nano(recommend(confidence, calm, limits, 100_000, room=room).position_size_percent)
    if side is Signal.BUY:
        assert exposure.held + exposure.buying + size <= to_nano(largest)
    else:
        assert exposure.held - exposure.selling - size >= -to_nano(largest)


@dataclass
class Broker:
    """Executes what was approved, or not, and knows what is really held."""

    held: int = 0
    waiting: dict[str, int] = field(default_factory=dict)

    def fill(self, order_id: str) -> None:
        self.held += self.waiting.pop(order_id)


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("signal"), st.sampled_from([BUY, SELL]), st.booleans()),
        st.tuples(st.just("report"), st.none(), st.none()),
        st.tuples(st.just("fill"), st.integers(0, 9), st.none()),
        st.tuples(st.just("release"), st.integers(0, 9), st.none()),
    ),
    max_size=30,
)


@given(ACTS)
def test_whatever_is_executed_of_what_was_approved_stays_within_the_largest_position(
    acts: list[tuple[str, Any, Any]],
) -> None:
    """Entries are filled at any time or never; exits at once or never."""
    book, broker = Book(MemoryLedger(), RiskLimits(max_unresolved_orders=50)), Broker()
    for number, (act, what, at_once) in enumerate(acts):
        book.wait(seconds=1)
        waiting = sorted(broker.waiting)
        if act == "signal":
            name = f"o{number:02}"
            _, size = says(book, what, name)
            if size is None:
                continue
            signed = to_nano(size) if what is BUY else -to_nano(size)
            if at_once:
                broker.held += signed
            elif book.state.order(name) is not None:
                broker.waiting[name] = signed
        elif act == "report":
            book.holds(from_nano(broker.held))
        elif waiting and act == "fill":
            broker.fill(waiting[what % len(waiting)])
        elif waiting and act == "release":
            name = waiting[what % len(waiting)]
            del broker.waiting[name]
            book.release(name)
        assert abs(broker.held) <= LARGEST


TOLD = st.lists(
    st.one_of(
        st.tuples(st.just("result"), NANO),
        st.tuples(st.just("mark"), NANO),
        st.tuples(st.just("position"), NANO),
        st.tuples(st.just("wait"), st.integers(-100_000, 200_000)),
        st.tuples(st.just("reset"), st.sampled_from(list(ResetScope))),
        st.tuples(st.just("signal"), st.sampled_from([BUY, SELL])),
    ),
    max_size=20,
)


@given(TOLD, st.sampled_from([OperatorMode.REDUCING, OperatorMode.HALTED]))
def test_no_report_no_reset_and_no_day_lifts_a_halt(
    told: list[tuple[str, Any]], mode: OperatorMode
) -> None:
    book = Book(MemoryLedger(), RiskLimits(max_daily_resets=100))
    book.halt(mode, "for the night")
    halted = book.state.operator
    for act, value in told:
        if act == "result":
            book.result(value / 1e9, confirm=True)
        elif act == "mark":
            book.mark(max(-200_000_000, min(200_000_000, value)) / 1e9)
        elif act == "position":
            book.holds(value / 1e9)
        elif act == "wait":
            book.wait(seconds=value)
        elif act == "reset":
            book.reset(value, "because")
        else:
            assert says(book, value, position=0.0)[1] is REFUSED
        assert book.state.operator == halted
