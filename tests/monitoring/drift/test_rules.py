"""What each rule finds, and what it leaves alone, on a simulated market."""

from dataclasses import replace

import numpy as np
import pytest

from features.macro import MacroValue
from features.schema import USDCOP_M5
from monitoring.drift.check import Past
from monitoring.drift.faults import (
    scaled_column,
    scaled_series,
    scaled_volatility,
    shifted,
    swapped,
)
from monitoring.drift.finding import Kind
from monitoring.drift.sessions import Session
from tests.monitoring.drift.markets import (
    NAMES,
    found,
    judged,
    market,
    ordinary,
    past_of,
    sessions,
)

CERTAIN = (Kind.PATH, Kind.CLOCK, Kind.MACRO, Kind.BROKEN, Kind.FROZEN)
CLOSES = [
    name
    for name, feature in zip(NAMES, USDCOP_M5.features, strict=True)
    if feature.source.startswith("close")
]
TODAY = ordinary(1)[0]


def column(name: str) -> int:
    return NAMES.index(name)


def without(session: Session, *rows: int) -> Session:
    kept = np.delete(np.arange(len(session)), rows)
    return replace(
        session,
        starts=session.starts[kept],
        matrix=session.matrix[kept],
        timed=session.timed[kept],
    )


@pytest.mark.parametrize("hour", [1, 2, 3, 4, 5])
def test_sessions_of_which_nothing_is_wrong_break_no_rule_that_is_certain(hour: int) -> None:
    for session in ordinary():
        so_far = session.until(int(session.starts[0]) // 3600 * 3600 + 3600 * hour)
        assert found(judged(so_far, past_of(session)), *CERTAIN) == []


@pytest.mark.parametrize("name", CLOSES)
@pytest.mark.parametrize("factor", [100.0, 0.0, -1.0, 0.9])
def test_one_wrong_feature_of_the_closes_is_the_first_suspect(name: str, factor: float) -> None:
    """In each of its hours, but for one in which the true value is nearly always zero."""
    past, wrong = past_of(TODAY), scaled_column(TODAY, column(name), factor)
    opened = int(TODAY.starts[0]) // 3600 * 3600
    verdicts = [judged(wrong.until(opened + 3600 * hour), past) for hour in range(1, 6)]

    hits = [verdict.alarm and verdict.findings[0][:2] == (Kind.PATH, name) for verdict in verdicts]
    assert hits.count(True) >= (2 if name == "stochastic_k_14" else 5)


@pytest.mark.parametrize(
    "pair",
    [
        ("log_return_15m", "log_return_1h"),
        ("log_return_5m", "log_return_15m"),
        ("log_return_15m", "log_return_30m"),
        ("rsi_9", "rsi_14"),
        ("sma_ratio_12", "ema_ratio_12"),
        ("volatility_1h", "volatility_4h"),
        ("minute_sin", "minute_cos"),
        ("weekday", "vix_z"),
        ("macd", "dxy_z"),
    ],
)
def test_two_swapped_features_are_found(pair: tuple[str, str]) -> None:
    verdict = judged(swapped(TODAY, *map(column, pair)))

    assert verdict.alarm
    assert set(pair) & {suspect.name for suspect in verdict.suspects[:5]}


def test_a_night_with_missing_bars_is_no_fault() -> None:
    """Rows that nobody asked for break the path; what spans the gap is not judged by it."""
    for begin in (0, 7, 20, 33):
        assert found(judged(without(TODAY, *range(begin, begin + 5))), Kind.PATH) == []
    earlier = [without(one, 3, 4, 17, 40, 59) if len(one) == 60 else one for one in sessions()]
    assert found(judged(TODAY, past_of(TODAY, earlier)), Kind.PATH) == []


def test_a_fault_is_found_although_rows_are_missing() -> None:
    earlier = [without(one, 3, 4, 17, 40, 59) if len(one) == 60 else one for one in sessions()]
    today = scaled_column(TODAY, column("log_return_15m"), 100.0)

    verdict = judged(today, past_of(TODAY, earlier))

    assert verdict.findings[0].name == "log_return_15m"


def test_a_close_that_was_corrected_later_is_no_fault_of_the_features() -> None:
    """The row of the wrong close is on record; those after it were computed from the right one."""
    matrix = TODAY.matrix.copy()
    matrix[30, column("log_return_5m")] += 0.001

    assert found(judged(replace(TODAY, matrix=matrix)), Kind.PATH) == []


def test_a_single_wrong_row_is_left_to_the_vetoes() -> None:
    matrix = TODAY.matrix.copy()
    matrix[-2, column("rsi_14")] = 0.0

    assert not judged(replace(TODAY, matrix=matrix)).alarm


@pytest.mark.parametrize("name", ["minute_sin", "minute_cos", "session_progress"])
def test_a_clock_feature_that_is_not_what_the_time_says_is_found(name: str) -> None:
    verdict = judged(scaled_column(TODAY, column(name), 0.5))

    assert [finding.name for finding in found(verdict, Kind.CLOCK)] == [name]


def test_the_clock_of_another_zone_is_found() -> None:
    later = replace(TODAY, starts=TODAY.starts + 3600)

    names = {finding.name for finding in found(judged(later), Kind.CLOCK)}

    assert names >= {"minute_sin", "minute_cos"}


def test_rows_without_a_time_of_their_own_are_not_held_against_the_clock() -> None:
    untimed = replace(TODAY, timed=np.zeros(len(TODAY), dtype=bool))

    assert found(judged(scaled_column(untimed, column("minute_sin"), 0.5)), Kind.CLOCK) == []


@pytest.mark.parametrize("name", ["dxy_z", "vix_z", "embi_z", "rate_spread"])
def test_a_macro_feature_that_changes_within_a_day_is_found(name: str) -> None:
    matrix = TODAY.matrix.copy()
    matrix[40:, column(name)] += 0.05

    (finding,) = found(judged(replace(TODAY, matrix=matrix)), Kind.MACRO)

    assert finding.name == name
    assert "within the session" in finding.reason or "values on record" in finding.reason


def test_macro_values_that_arrived_late_are_no_fault() -> None:
    matrix = TODAY.matrix.copy()
    matrix[:5, column("dxy_z")] += 0.05

    late = replace(TODAY, matrix=matrix, revised=True)

    assert found(judged(late), Kind.MACRO) == []


@pytest.mark.parametrize("name", ["dxy_z", "vix_z", "embi_z", "rate_spread"])
def test_a_macro_level_of_exactly_zero_is_found(name: str) -> None:
    verdict = judged(scaled_column(TODAY, column(name), 0.0))

    assert [finding.name for finding in found(verdict, Kind.MACRO)] == [name]


@pytest.mark.parametrize("factor", [100.0, 0.01])
@pytest.mark.parametrize("series", ["dxy", "vix", "embi_col", "brent", "ust10y", "usdmxn"])
def test_a_macro_value_with_a_lost_decimal_point_is_named(series: str, factor: float) -> None:
    verdict = judged(scaled_series(TODAY, market(), series, factor))

    assert series in [finding.name for finding in found(verdict, Kind.MACRO)]


def test_a_repeated_quote_is_no_fault() -> None:
    """As after a holiday elsewhere: the change is exactly 0, and the values say why."""
    before = past_of(TODAY)
    last = before.sessions[-1]
    day = TODAY.day - 1
    same = {"dxy": MacroValue(day, 104.0)}
    matrix = TODAY.matrix.copy()
    matrix[:, column("dxy_change_1d")] = 0.0
    macro = {**last.macro, "dxy": MacroValue(day - 1, 104.0)}
    past = replace(before, sessions=[*before.sessions[:-1], replace(last, macro=macro)])

    verdict = judged(replace(TODAY, matrix=matrix, macro={**TODAY.macro, **same}), past)

    assert [one for one in found(verdict, Kind.MACRO) if one.name == "dxy_change_1d"] == []


def test_models_that_go_without_macro_values_have_none_that_are_wrong() -> None:
    columns = [column(name) for name in NAMES[38:]]

    def zeroed(session: Session) -> Session:
        matrix = session.matrix.copy()
        matrix[:, columns] = 0.0
        return replace(session, matrix=matrix, macro={})

    past = past_of(TODAY, [zeroed(one) for one in sessions()])

    assert found(judged(zeroed(TODAY), past), *CERTAIN) == []


def test_a_frozen_feed_is_found_and_says_so() -> None:
    verdict = judged(scaled_volatility(TODAY, market(), 0.0))

    assert verdict.findings[0].kind is Kind.FROZEN
    assert "frozen" in verdict.reasons[0]


def test_returns_five_times_as_large_are_found_without_blaming_a_feature() -> None:
    hits = [
        bool(found(judged(scaled_volatility(one, market(), 5.0)), Kind.VOLATILITY))
        for one in ordinary()
    ]
    broken = [found(judged(scaled_volatility(one, market(), 5.0)), *CERTAIN) for one in ordinary(4)]

    assert sum(hits) >= 11
    assert broken == [[], [], [], []]


def test_all_features_one_deviation_up_are_found_in_every_hour() -> None:
    for session in ordinary(4):
        past = past_of(session)
        for hour in range(1, 6):
            known_at = int(session.starts[0]) // 3600 * 3600 + 3600 * hour
            assert judged(shifted(session, past).until(known_at), past).alarm


def test_a_share_of_drifted_features_above_the_threshold_is_an_alarm() -> None:
    """Of features that nobody knows a formula for, as in a schema of one's own."""
    names = tuple(f"own_{k}" for k in range(20))
    chance = np.random.default_rng(3)
    past_sessions = [
        replace(one, matrix=chance.normal(size=(len(one), 20)), macro={}) for one in ordinary(40)
    ]
    today = replace(past_sessions[-1], day=past_sessions[-1].day + 1)
    past = Past(names, market().hours, past_sessions, tuple(past_sessions[-30:]), ())

    quiet = judged(today, past)
    moved = today.matrix.copy()
    moved[:, :4] += 4.0
    loud = judged(replace(today, matrix=moved), past)
    one = today.matrix.copy()
    one[:, 0] += 4.0

    assert (quiet.alarm, quiet.drifted_share) == (False, 0.0)
    assert loud.alarm
    assert loud.drifted_share == 0.2
    assert {suspect.name for suspect in loud.suspects} == set(names[:4])
    assert not judged(replace(today, matrix=one), past).alarm


def test_a_column_without_a_formula_is_broken_when_it_stands_still_or_is_far_away() -> None:
    names = ("own_a", "own_b", "own_c")
    chance = np.random.default_rng(3)
    past_sessions = [
        replace(one, matrix=chance.normal(size=(len(one), 3)), macro={}) for one in ordinary(40)
    ]
    past = Past(names, market().hours, past_sessions, tuple(past_sessions[-30:]), ())
    matrix = chance.normal(size=(60, 3))
    matrix[:, 0], matrix[:, 1] = 0.0, matrix[:, 1] + 100.0
    today = replace(TODAY, matrix=matrix[: len(TODAY)], macro={})

    names_found = {finding.name for finding in found(judged(today, past), Kind.BROKEN)}

    assert names_found == {"own_a", "own_b"}


def test_features_of_the_book_are_not_judged() -> None:
    past = replace(past_of(TODAY), ignored=frozenset({"rsi_14"}))
    verdict = judged(TODAY, past)

    assert verdict.features == len(NAMES) - 1
    assert "rsi_14" not in {suspect.name for suspect in verdict.suspects}


def test_without_a_past_only_what_needs_none_is_judged() -> None:
    nothing = Past(NAMES, market().hours, [], (), ())

    clean = judged(TODAY, nothing)
    wrong = judged(scaled_column(TODAY, column("log_return_5m"), 100.0), nothing)

    assert not clean.alarm
    assert set(clean.not_judged) == {"distribution", "volatility"}
    assert wrong.findings[0].name == "log_return_5m"


def test_a_feature_of_the_closes_may_stand_still_after_a_day_that_hardly_moved() -> None:
    """As the ratio of the volatilities of an hour and a day does, which is then the same."""
    name = "volatility_ratio_1h_1d"
    matrix = TODAY.matrix.copy()
    matrix[:, column(name)] = 2.23607
    past = past_of(TODAY)
    yesterday = past.sessions[-1].matrix.copy()
    yesterday[:, column("log_return_5m")] = 0.0
    still = [*past.sessions[:-1], replace(past.sessions[-1], matrix=yesterday)]
    hour = TODAY.until(int(TODAY.starts[0]) + 3600)
    wrong = replace(hour, matrix=matrix[: len(hour)], timed=hour.timed)
    # Every second row, so that nothing can be rebuilt.
    rows = without(wrong, *range(1, len(hour), 2))

    assert found(judged(rows, replace(past, sessions=still)), Kind.BROKEN) == []
    assert [one.name for one in found(judged(rows, past), Kind.BROKEN)] == [name]


def test_a_feature_that_cannot_be_rebuilt_is_broken_when_it_is_far_from_anything() -> None:
    """A desk that decides on every third bar has no path."""

    def every_third(session: Session) -> Session:
        return without(session, *(row for row in range(len(session)) if row % 3))

    past = past_of(TODAY, [replace(every_third(one), ordinary=True) for one in sessions()])
    today = every_third(TODAY)

    assert found(judged(today, past), *CERTAIN) == []
    verdict = judged(scaled_column(today, column("rsi_14"), 100.0), past)
    assert [finding.name for finding in found(verdict, Kind.BROKEN)] == ["rsi_14"]
