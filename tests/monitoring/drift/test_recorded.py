"""What a check remembers of the ledger: the same as if it read all of it again."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import system_error_answer
from config.settings import CalendarSettings, TradingHours
from errors import InvalidRequest
from features.evidence import Evidence
from features.macro import MacroValue
from monitoring.drift.reading import read_on, trading_days
from monitoring.drift.recorded import SIGNALS, Recorded, Row, recorded_sessions, row_of
from monitoring.drift.recorded_json import decoded_record, encoded_record, sample_of
from observation import DecisionRequest
from risk.calendar import SessionCalendar
from risk.ledger.memory import MemoryLedger
from tests.recorded_decisions import recorded_decision

HOURS = TradingHours()
CALENDAR = SessionCalendar(HOURS, CalendarSettings())
NAMES = ("log_return_5m", "b", "c")
MONDAY = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)


def row(bar: int, *, value: float = 0.5, macro: float | None = None) -> Row:
    """A row of the bar at so many places from Monday's first."""
    known = {} if macro is None else {"dxy": MacroValue(20_000, macro)}
    start = int(MONDAY.timestamp()) + 300 * bar
    return Row(start, np.array([value, bar, 1.0], dtype=np.float32), True, bar % 3, known)


def empty() -> Recorded:
    return Recorded.empty("schema", len(NAMES))


def put(ledger: MemoryLedger, bars: Sequence[int], *, dry_run: bool = False) -> None:
    """Decisions on record, as the pipeline writes them."""
    for bar in bars:
        known_at = MONDAY + timedelta(seconds=300 * (bar + 1))
        request = DecisionRequest(
            observation=np.array([0.001 * (bar % 7 - 3), bar, 1.0], dtype=np.float32),
            observed_at=known_at,
            evidence=Evidence(int(known_at.timestamp()) - 300, 4000.0, 1, 4.0),
            dry_run=dry_run,
        )
        name = f"{bar}-{ledger.head().sequence}"
        draft = recorded_decision(request, known_at, name, SIGNALS[bar % 3])
        ledger.append([draft])


def read(known: Recorded, ledger: MemoryLedger) -> Recorded:
    return read_on(known, ledger, NAMES, HOURS, CALENDAR)


def same(one: Recorded, other: Recorded) -> bool:
    return json.dumps(encoded_record(one)) == json.dumps(encoded_record(other))


@given(st.lists(st.integers(0, 400), max_size=40))
def test_rows_are_in_order_of_time_each_bar_once_whatever_order_they_came_in(
    bars: list[int],
) -> None:
    recorded = empty().with_rows([row(bar) for bar in bars], HOURS)

    assert recorded.starts.tolist() == [row(bar).start for bar in sorted(set(bars))]
    assert recorded.matrix[:, 1].tolist() == sorted(set(map(float, bars)))


def test_of_two_rows_of_one_bar_the_later_one_holds() -> None:
    once = empty().with_rows([row(3, value=1.0), row(3, value=2.0)], HOURS)
    twice = once.with_rows([row(3, value=3.0)], HOURS)

    assert once.matrix[:, 0].tolist() == [2.0]
    assert twice.matrix[:, 0].tolist() == [3.0]


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=60), st.booleans())
def test_what_was_written_is_read_back(bars: list[int], with_macro: bool) -> None:
    rows = [row(bar, macro=100.0 + bar if with_macro else None) for bar in bars]
    recorded = empty().with_rows(rows, HOURS).read_until(7, "f" * 64).with_fault(20_514)
    trimmed = recorded.trimmed(NAMES, HOURS, recorded.days(HOURS))

    again = decoded_record(json.loads(json.dumps(encoded_record(trimmed))))

    assert same(again, trimmed)
    assert np.array_equal(again.matrix, trimmed.matrix)


@pytest.mark.parametrize(
    "damage",
    [
        {"format": 2},
        {"starts": "x"},
        {"width": 4},
        {"macro": {"1": {"dxy": 3}}},
        {"returns": {}},
        {"timed": ""},
        {"matrix": None},
    ],
)
def test_what_is_damaged_is_refused(damage: dict[str, object]) -> None:
    whole = encoded_record(empty().with_rows([row(1), row(2)], HOURS))

    with pytest.raises(InvalidRequest):
        decoded_record({**whole, **damage})
    with pytest.raises(InvalidRequest):
        decoded_record([])


def test_macro_values_that_change_within_a_day_are_marked() -> None:
    calm = empty().with_rows([row(1, macro=100.0), row(2, macro=100.0)], HOURS)
    late = calm.with_rows([row(3, macro=101.0)], HOURS)

    assert calm.revised == frozenset()
    assert late.revised == calm.days(HOURS)
    (session,) = recorded_sessions(late, HOURS, late.days(HOURS))
    assert session.revised
    assert session.macro["dxy"].value == 101.0


def test_a_dry_run_is_no_row_and_a_vector_without_a_time_has_that_of_asking() -> None:
    request = DecisionRequest(observation=np.zeros(3, dtype=np.float32))
    payload = {**request.to_json(), "answer": {"raw_signal": "BUY", "models": [{}]}}
    asked = MONDAY + timedelta(minutes=7)

    untimed = row_of(payload, asked)

    assert row_of({**payload, "dry_run": True}, asked) is None
    assert untimed is not None
    assert (untimed.start, untimed.timed, untimed.signal) == (
        int(MONDAY.timestamp()),
        False,
        2,
    )


def test_the_hold_of_a_decision_that_the_models_could_not_make_is_not_theirs() -> None:
    request = DecisionRequest(observation=np.zeros(3, dtype=np.float32))
    answer = system_error_answer("the model failed", None, MONDAY, "1")

    found = row_of({**request.to_json(), "answer": answer}, MONDAY)

    assert answer["raw_signal"] == "HOLD"
    assert found is not None
    assert found.signal == -1


def test_reading_on_is_reading_it_all() -> None:
    ledger = MemoryLedger()
    put(ledger, range(30))
    first = read(empty(), ledger)
    put(ledger, [*range(20, 70), *range(300, 340)])
    put(ledger, range(400, 420), dry_run=True)

    on = read(first, ledger)

    assert same(on, read(empty(), ledger))
    assert len(on.starts) == 70 + 40
    assert on.sequence == ledger.head().sequence


def test_reading_what_was_read_changes_nothing() -> None:
    ledger = MemoryLedger()
    put(ledger, range(30))
    first = read(empty(), ledger)

    assert read(first, ledger) is first


def test_another_ledger_is_read_from_its_start() -> None:
    ledger, other = MemoryLedger(), MemoryLedger()
    put(ledger, range(30))
    put(other, range(5))
    known = read(empty(), ledger)

    assert len(read(known, other).starts) == 5


def test_vectors_of_another_length_do_not_count() -> None:
    ledger = MemoryLedger()
    put(ledger, range(5))

    assert len(read_on(Recorded.empty("s", 2), ledger, NAMES[:2], HOURS, CALENDAR).starts) == 0


def test_old_rows_go_and_their_returns_stay() -> None:
    recorded = empty()
    for day in range(80):
        rows = [row(288 * day + bar, value=0.001 * (bar % 5 - 2)) for bar in range(60)]
        recorded = recorded.with_rows(rows, HOURS)
        recorded = recorded.trimmed(
            NAMES, HOURS, trading_days(recorded.days(HOURS), HOURS, CALENDAR)
        )

    sessions = recorded_sessions(
        recorded, HOURS, trading_days(recorded.days(HOURS), HOURS, CALENDAR)
    )

    assert len(sessions) == 45
    trading = [one for one in range(80) if one % 7 < 5]
    # Without the holidays of March to May, and without the last session: it may not be over.
    assert len(trading) - 6 <= len(recorded.returns) <= len(trading)
    assert [one.day for one in recorded.returns] == sorted({one.day for one in recorded.returns})
    assert all(len(one.absolute) == 59 for one in recorded.returns)


def test_weekends_and_faulty_days_are_no_ordinary_sessions() -> None:
    recorded = empty()
    for day in range(14):
        rows = [row(288 * day + bar, value=0.001 * (bar % 5 - 2)) for bar in range(60)]
        recorded = recorded.with_rows(rows, HOURS)
    faulty = sorted(recorded.days(HOURS))[1]
    trading = trading_days(recorded.days(HOURS), HOURS, CALENDAR)

    sessions = recorded_sessions(recorded.with_fault(faulty), HOURS, trading)

    assert [one.ordinary for one in sessions] == [
        one.day in trading and one.day != faulty for one in sessions
    ]
    assert len(trading) == 10


def test_a_desk_that_decides_every_quarter_of_an_hour_has_ordinary_sessions_too() -> None:
    recorded = empty()
    for day in range(5):
        recorded = recorded.with_rows([row(288 * day + bar) for bar in range(0, 60, 3)], HOURS)

    sessions = recorded_sessions(recorded, HOURS, recorded.days(HOURS))

    assert all(one.ordinary for one in sessions)


def test_a_profile_without_a_sample_has_nothing_for_checks() -> None:
    assert sample_of({"format": 1}) is None
    with pytest.raises(InvalidRequest, match="the sample of x"):
        sample_of({"sample": {"format": 9}}, "x")
