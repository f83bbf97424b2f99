"""What becomes of a bar that arrives: every row of the table in `bar_screen`, to its bounds."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.settings import TradingHours
from errors import Conflict, InvalidRequest
from features.bar_screen import EMPTY_BARS, Bar, BarRules, BarState, Screened, missing_bars, screen
from features.bars import GREATEST_PRICE, LEAST_PRICE, BarSeries
from tests.features.market import MONDAY_OPEN, session_starts

DAY = 86_400
BAR = 300
SESSION = 60
RULES = BarRules(
    hours=TradingHours(), capacity=1200, greatest_jump=0.1, now=MONDAY_OPEN + 400 * DAY
)
CONFIRMED = replace(RULES, confirm=True)


def series(closes: dict[int, float]) -> BarSeries:
    starts = sorted(closes)
    return BarSeries(np.array(starts, np.int64), np.array([closes[start] for start in starts]))


def closes_of(bars: BarSeries) -> dict[int, float]:
    return dict(zip(bars.starts.tolist(), bars.closes.tolist(), strict=True))


def flat(count: int, close: float = 4000.0) -> BarSeries:
    return BarSeries(session_starts(count), np.full(count, close))


def start_of(index: int) -> int:
    return int(session_starts(index + 1)[index])


def state_of(bar: Bar, known: BarSeries = EMPTY_BARS, rules: BarRules = RULES) -> BarState:
    (state,) = screen([bar], known, rules).states
    return state


def refusal_of(
    sent: Bar | Sequence[Bar], known: BarSeries = EMPTY_BARS, rules: BarRules = RULES
) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        screen([sent] if isinstance(sent, Bar) else sent, known, rules)
    return caught.value


class TestTheStart:
    @pytest.mark.parametrize("off", [1, 60, 299, -1])
    def test_off_the_full_five_minutes_is_refused(self, off: int) -> None:
        assert "full five minutes" in refusal_of(Bar(MONDAY_OPEN + off, 4000.0)).message

    def test_on_the_full_five_minutes_is_taken(self) -> None:
        assert state_of(Bar(MONDAY_OPEN, 4000.0)) is BarState.STORED

    @pytest.mark.parametrize("ahead", [0, 1, 5])
    def test_is_taken_when_the_bar_is_complete_by_a_clock_slightly_ahead(self, ahead: int) -> None:
        rules = replace(RULES, now=MONDAY_OPEN + BAR - ahead)
        assert state_of(Bar(MONDAY_OPEN, 4000.0), rules=rules) is BarState.STORED

    @pytest.mark.parametrize("ahead", [6, 300, 10 * DAY])
    @pytest.mark.parametrize("confirm", [False, True])
    def test_is_refused_while_the_bar_is_not_complete(self, ahead: int, confirm: bool) -> None:
        rules = replace(RULES, now=MONDAY_OPEN + BAR - ahead, confirm=confirm)
        refusal = refusal_of(Bar(MONDAY_OPEN, 4000.0), rules=rules)
        assert refusal.code == "bar_not_complete"
        assert "2026-03-02T13:05:00Z" in refusal.message

    @pytest.mark.parametrize(
        ("start", "kept"),
        [
            (MONDAY_OPEN - BAR, False),
            (MONDAY_OPEN, True),
            (MONDAY_OPEN + 59 * BAR, True),
            (MONDAY_OPEN + 60 * BAR, False),
            (MONDAY_OPEN - 3 * DAY, True),  # Friday
            (MONDAY_OPEN - 2 * DAY, False),
            (MONDAY_OPEN - DAY, False),
        ],
    )
    def test_decides_whether_the_bar_is_in_the_session(self, start: int, kept: bool) -> None:
        screened = screen([Bar(start, 4000.0)], EMPTY_BARS, RULES)
        expected = BarState.STORED if kept else BarState.OUTSIDE_SESSION
        assert screened.states == (expected,)
        assert (len(screened.bars) == 1) is kept is screened.changes

    def test_outside_the_session_is_no_reason_to_look_at_jumps(self) -> None:
        bar = Bar(start_of(59) + BAR, 9000.0)
        assert state_of(bar, flat(60)) is BarState.OUTSIDE_SESSION


class TestPrices:
    @pytest.mark.parametrize("name", ["close", "open", "high", "low"])
    @pytest.mark.parametrize(
        "price", [math.nan, math.inf, -math.inf, 0.0, -0.0, -4000.0, 1e-7, 1.0001e12, 5e-324]
    )
    @pytest.mark.parametrize("confirm", [False, True])
    def test_that_are_none_are_refused(self, name: str, price: float, confirm: bool) -> None:
        prices: dict[str, Any] = {name: price}
        bar = replace(Bar(MONDAY_OPEN, 4000.0), **prices)
        message = refusal_of(bar, rules=replace(RULES, confirm=confirm)).message
        assert f"{name} is {price}; it must be a positive, finite price" in message

    @pytest.mark.parametrize("price", [LEAST_PRICE, GREATEST_PRICE])
    def test_at_the_bounds_are_taken(self, price: float) -> None:
        bar = Bar(MONDAY_OPEN, price, open=price, high=price, low=price)
        assert state_of(bar) is BarState.STORED

    @pytest.mark.parametrize(
        "bar",
        [
            Bar(MONDAY_OPEN, 4000.0, high=3999.99),
            Bar(MONDAY_OPEN, 4000.0, low=4000.01),
            Bar(MONDAY_OPEN, 4000.0, open=4001.0, high=4000.0),
            Bar(MONDAY_OPEN, 4000.0, open=3999.0, low=4000.0),
            Bar(MONDAY_OPEN, 4000.0, 4000.0, high=3990.0, low=4010.0),
        ],
    )
    def test_that_do_not_fit_together_are_refused(self, bar: Bar) -> None:
        assert "fit together" in refusal_of(bar).message

    @pytest.mark.parametrize(
        "bar",
        [
            Bar(MONDAY_OPEN, 4000.0, 4000.0, 4000.0, 4000.0),
            Bar(MONDAY_OPEN, 4000.0, high=4000.0),
            Bar(MONDAY_OPEN, 4000.0, low=4000.0),
            Bar(MONDAY_OPEN, 4000.0, open=4001.0, high=4001.0),
            Bar(MONDAY_OPEN, 4000.0, open=4100.0),
        ],
    )
    def test_that_fit_together_are_taken(self, bar: Bar) -> None:
        assert state_of(bar) is BarState.STORED


class TestABarThatIsThere:
    def test_is_a_duplicate_with_the_same_close(self) -> None:
        known = flat(3)
        screened = screen([Bar(start_of(1), 4000.0, open=3999.0)], known, RULES)
        assert screened.states == (BarState.DUPLICATE,)
        assert not screened.changes
        assert closes_of(screened.bars) == closes_of(known)

    def test_is_a_conflict_with_another_close(self) -> None:
        with pytest.raises(Conflict, match=r"the close 4000.0, not 4000.01; nothing") as caught:
            screen([Bar(start_of(1), 4000.01)], flat(3), RULES)
        assert caught.value.code == "bar_conflict"

    def test_is_corrected_when_that_is_confirmed_and_said_in_words(self) -> None:
        screened = screen([Bar(start_of(1), 4000.01)], flat(3), CONFIRMED)
        assert screened.states == (BarState.CORRECTED,)
        assert screened.changes
        assert closes_of(screened.bars)[start_of(1)] == 4000.01
        assert screened.confirmed == (
            "the bar at 2026-03-02T13:05:00Z is there with the close 4000.0, not 4000.01",
        )

    def test_differs_by_its_last_bit_already(self) -> None:
        with pytest.raises(Conflict):
            screen([Bar(start_of(1), math.nextafter(4000.0, 5000.0))], flat(3), RULES)

    def test_is_a_duplicate_also_beside_a_jump_that_was_confirmed(self) -> None:
        known = screen([Bar(start_of(2), 5000.0)], flat(2), CONFIRMED).bars
        assert state_of(Bar(start_of(2), 5000.0), known) is BarState.DUPLICATE
        assert state_of(Bar(start_of(1), 4000.0), known) is BarState.DUPLICATE

    def test_is_sent_twice_in_one_request_and_counted_twice(self) -> None:
        screened = screen([Bar(MONDAY_OPEN, 4000.0)] * 2, EMPTY_BARS, RULES)
        assert screened.states == (BarState.STORED, BarState.DUPLICATE)
        assert len(screened.bars) == 1

    @pytest.mark.parametrize("confirm", [False, True])
    @pytest.mark.parametrize("known", [EMPTY_BARS, flat(3)])
    def test_is_refused_with_two_closes_in_one_request(
        self, known: BarSeries, confirm: bool
    ) -> None:
        sent = [Bar(start_of(1), 4000.0), Bar(start_of(1), 4001.0)]
        for order in (sent, sent[::-1]):
            refusal = refusal_of(order, known, replace(RULES, confirm=confirm))
            assert "is there twice" in refusal.message
            assert not isinstance(refusal, Conflict)


class TestTheOrderOfTime:
    def test_puts_a_late_bar_in_its_place(self) -> None:
        known = series({start_of(0): 4000.0, start_of(2): 4002.0})
        screened = screen([Bar(start_of(1), 4001.0)], known, RULES)
        assert screened.states == (BarState.LATE,)
        assert screened.bars.closes.tolist() == [4000.0, 4001.0, 4002.0]

    def test_puts_a_bar_before_all_others_while_there_is_room(self) -> None:
        rules = replace(RULES, capacity=4)
        assert state_of(Bar(start_of(0), 4000.0), series({start_of(1): 4000.0}), rules) is (
            BarState.LATE
        )

    def test_keeps_no_bar_older_than_all_when_there_is_no_room(self) -> None:
        known = BarSeries(session_starts(4)[1:], np.full(3, 4000.0))
        screened = screen([Bar(start_of(0), 4000.0)], known, replace(RULES, capacity=3))
        assert screened.states == (BarState.TOO_OLD,)
        assert not screened.changes
        assert closes_of(screened.bars) == closes_of(known)

    def test_looks_at_no_jump_of_a_bar_that_is_too_old(self) -> None:
        known = BarSeries(session_starts(4)[1:], np.full(3, 4000.0))
        rules = replace(RULES, capacity=3)
        assert state_of(Bar(start_of(0), 9000.0), known, rules) is BarState.TOO_OLD

    def test_drops_the_oldest_when_a_new_one_comes(self) -> None:
        screened = screen([Bar(start_of(3), 4001.0)], flat(3), replace(RULES, capacity=3))
        assert screened.bars.starts.tolist() == [start_of(1), start_of(2), start_of(3)]

    def test_drops_the_oldest_when_a_late_one_comes(self) -> None:
        known = series({start_of(index): 4000.0 for index in (0, 1, 3)})
        screened = screen([Bar(start_of(2), 4000.0)], known, replace(RULES, capacity=3))
        assert screened.states == (BarState.LATE,)
        assert screened.bars.starts.tolist() == [start_of(1), start_of(2), start_of(3)]

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 100])
    def test_keeps_the_newest_of_a_request_that_is_larger_than_the_room(self, count: int) -> None:
        sent = [Bar(start_of(index), 4000.0 + index) for index in range(count)]
        screened = screen(sent, EMPTY_BARS, replace(RULES, capacity=3))
        assert screened.bars.closes.tolist() == [4000.0 + i for i in range(count)][-3:]

    def test_shrinks_a_buffer_that_was_larger(self) -> None:
        screened = screen([Bar(start_of(10), 4000.0)], flat(10), replace(RULES, capacity=4))
        assert screened.bars.starts.tolist() == [start_of(index) for index in range(7, 11)]


class TestJumps:
    UP = 4000.0 * math.exp(0.1)
    DOWN = 4000.0 * math.exp(-0.1)

    @pytest.mark.parametrize("close", [UP - 1e-3, DOWN + 1e-3])
    def test_within_the_bound_are_taken(self, close: float) -> None:
        assert state_of(Bar(start_of(3), close), flat(3)) is BarState.STORED

    @pytest.mark.parametrize("close", [UP + 1e-3, DOWN - 1e-3, 40.0, 400_000.0])
    def test_beyond_the_bound_are_refused(self, close: float) -> None:
        refusal = refusal_of(Bar(start_of(3), close), flat(3))
        assert refusal.code == "price_jump"
        assert "it may jump by 10.5%. Nothing was stored" in refusal.message

    @pytest.mark.parametrize("close", [UP + 1e-3, 40.0])
    def test_beyond_the_bound_are_taken_when_confirmed_and_said_in_words(
        self, close: float
    ) -> None:
        screened = screen([Bar(start_of(3), close)], flat(3), CONFIRMED)
        assert screened.states == (BarState.STORED,)
        (told,) = screened.confirmed
        assert "from 4000.0 at 2026-03-02T13:10:00Z" in told
        assert "Send" not in told

    def test_from_one_day_to_the_next_count_as_well(self) -> None:
        assert refusal_of(Bar(start_of(60), 5000.0), flat(60)).code == "price_jump"

    def test_of_a_late_bar_count_to_both_sides(self) -> None:
        for closes in ((4000.0, 4400.0), (4400.0, 4000.0)):
            known = series(dict(zip((start_of(0), start_of(2)), closes, strict=True)))
            assert state_of(Bar(start_of(1), 4200.0), known) is BarState.LATE
            assert refusal_of(Bar(start_of(1), 4800.0), known).code == "price_jump"
            assert len(screen([Bar(start_of(1), 9000.0)], known, CONFIRMED).confirmed) == 2

    def test_between_bars_that_did_not_change_are_no_matter(self) -> None:
        known = screen([Bar(start_of(3), 5000.0)], flat(3), CONFIRMED).bars
        assert state_of(Bar(start_of(4), 5001.0), known) is BarState.STORED
        assert screen([Bar(start_of(4), 5001.0)], known, CONFIRMED).confirmed == ()

    def test_that_a_correction_makes_need_no_second_confirmation(self) -> None:
        screened = screen([Bar(start_of(1), 5000.0)], flat(3), CONFIRMED)
        assert len(screened.confirmed) == 3  # the correction, and a jump on either side

    def test_within_one_request_are_refused_with_all_of_it(self) -> None:
        sent = [Bar(start_of(index), 4000.0 if index < 5 else 40.0) for index in range(9)]
        assert refusal_of(sent, flat(1)).code == "price_jump"


class TestARequest:
    def test_without_bars_changes_nothing(self) -> None:
        known = flat(3)
        screened = screen([], known, RULES)
        assert screened.bars is known
        assert screened.states == screened.confirmed == ()
        assert not screened.changes

    @pytest.mark.parametrize(
        "bad",
        [
            Bar(MONDAY_OPEN + 1, 4000.0),
            Bar(start_of(5), math.nan),
            Bar(start_of(5), 40.0),
            Bar(start_of(1), 4001.0),
            Bar(MONDAY_OPEN + 500 * DAY, 4000.0),
        ],
    )
    def test_with_one_bar_that_is_refused_is_refused_whole(self, bad: Bar) -> None:
        known = flat(3)
        before = closes_of(known)
        good = [Bar(start_of(3), 4000.0), Bar(start_of(4), 4000.0)]
        for sent in ([bad, *good], [*good, bad], [good[0], bad, good[1]]):
            with pytest.raises((InvalidRequest, Conflict)):
                screen(sent, known, RULES)
        assert closes_of(known) == before

    def test_counts_every_state(self) -> None:
        sent = [
            Bar(start_of(3), 4000.0),
            Bar(start_of(4), 4000.0),
            Bar(start_of(0), 4000.0),
            Bar(start_of(1), 4001.0),
            Bar(MONDAY_OPEN - BAR, 4000.0),
        ]
        assert screen(sent, flat(3), CONFIRMED).counts == {
            "stored": 2,
            "late": 0,
            "duplicate": 1,
            "corrected": 1,
            "outside_session": 1,
            "too_old": 0,
        }


# Bars of three weeks, weekends and evenings included, with closes that never jump too far.
_STARTS = st.integers(0, 21 * 288 - 1).map(lambda step: MONDAY_OPEN + step * BAR)
_IN_SESSION = st.integers(0, 149).map(start_of)
BARS = st.dictionaries(_IN_SESSION | _STARTS, st.integers(4000, 4300), max_size=40).map(
    lambda closes: [Bar(start, float(close)) for start, close in closes.items()]
)
CAPACITIES = st.integers(1, 50)


def taken(requests: Sequence[Sequence[Bar]], rules: BarRules) -> BarSeries:
    bars = EMPTY_BARS
    for sent in requests:
        bars = screen(sent, bars, rules).bars
    return bars


@settings(max_examples=200, deadline=None)
@given(sent=BARS, known=BARS, capacity=CAPACITIES, data=st.data())
def test_the_order_of_a_request_plays_no_part(
    sent: list[Bar], known: list[Bar], capacity: int, data: st.DataObject
) -> None:
    rules = replace(CONFIRMED, capacity=capacity)
    before = taken([known], rules)
    other_order = data.draw(st.permutations(sent))

    one, other = screen(sent, before, rules), screen(other_order, before, rules)

    assert closes_of(one.bars) == closes_of(other.bars)
    assert states_by_bar(sent, one) == states_by_bar(other_order, other)
    assert sorted(one.confirmed) == sorted(other.confirmed)


def states_by_bar(sent: Sequence[Bar], screened: Screened) -> dict[int, BarState]:
    return {bar.start: state for bar, state in zip(sent, screened.states, strict=True)}


@settings(max_examples=200, deadline=None)
@given(sent=BARS, capacity=CAPACITIES, data=st.data())
def test_sending_any_of_them_again_changes_nothing(
    sent: list[Bar], capacity: int, data: st.DataObject
) -> None:
    rules = replace(RULES, capacity=capacity)
    bars = taken([sent], rules)
    again = data.draw(st.lists(st.sampled_from(sent))) if sent else []

    screened = screen(again, bars, rules)

    assert not screened.changes
    assert closes_of(screened.bars) == closes_of(bars)
    assert set(screened.states) <= {
        BarState.DUPLICATE,
        BarState.OUTSIDE_SESSION,
        BarState.TOO_OLD,
    }


@settings(max_examples=200, deadline=None)
@given(sent=BARS, capacity=CAPACITIES, data=st.data())
def test_however_bars_are_split_into_requests_the_same_are_kept(
    sent: list[Bar], capacity: int, data: st.DataObject
) -> None:
    rules = replace(RULES, capacity=capacity)
    ends = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    requests = [sent[a:b] for a, b in zip([0, *ends], [*ends, len(sent)], strict=True)]

    assert closes_of(taken(requests, rules)) == closes_of(taken([sent], rules))


@settings(max_examples=100, deadline=None)
@given(sent=BARS, capacity=CAPACITIES)
def test_what_is_kept_is_the_newest_of_the_session(sent: list[Bar], capacity: int) -> None:
    kept = taken([sent], replace(RULES, capacity=capacity))
    one_by_one = [bar for bar in sent if state_of(bar) is BarState.STORED]
    newest = sorted(one_by_one, key=lambda bar: bar.start)[-capacity:]
    assert closes_of(kept) == {bar.start: bar.close for bar in newest}


class TestMissingBars:
    HOURS = TradingHours()

    def test_are_none_in_whole_sessions(self) -> None:
        assert missing_bars(flat(180), self.HOURS) == 0

    @pytest.mark.parametrize("bars", [EMPTY_BARS, flat(1)])
    def test_are_none_where_nothing_is(self, bars: BarSeries) -> None:
        assert missing_bars(bars, self.HOURS) == 0

    def test_are_counted_within_a_day_only(self) -> None:
        kept = [0, 1, 4, 5, 58, 62, 63]
        bars = series({start_of(index): 4000.0 for index in kept})
        assert missing_bars(bars, self.HOURS) == 2 + 52
        assert missing_bars(bars, self.HOURS, newest=3) == 0
        assert missing_bars(bars, self.HOURS, newest=4) == 52
