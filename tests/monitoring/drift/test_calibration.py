"""The measurement itself: it counts what it says, and its figures are those of the rules."""

from monitoring.drift.calibration import calibrate, found_after
from monitoring.drift.calibration_table import Due, calibration_rows
from monitoring.drift.faults import scaled_volatility
from monitoring.drift.share import Share
from tests.monitoring.drift.markets import THRESHOLD, market, ordinary, sessions

JUDGED = {one.day for one in ordinary(6)}
COUNTED = calibrate(sessions(), market(), JUDGED.__contains__, threshold=THRESHOLD, draws=4, seed=5)
ROWS = {row.words: row for row in calibration_rows(COUNTED)}


def test_every_session_is_judged_after_each_of_its_hours() -> None:
    assert COUNTED.sessions == 6
    assert COUNTED.checks.of == 30


def test_faults_of_each_kind_are_drawn_for_every_session() -> None:
    assert ROWS["one feature x100: all columns"].share.of == 24
    assert ROWS["frozen feed"].share.of == 6


def test_what_is_always_found_is_counted_as_found() -> None:
    for words in (
        "all features +1 sd",
        "frozen feed",
        "one feature x100: columns of the closes",
        "one feature zeroed: columns of the closes",
        "two features swapped: columns of the closes",
        "a macro series x100",
        "a macro series /100",
    ):
        assert ROWS[words].share.value == 1.0


def test_nothing_is_found_where_nothing_was_put_in() -> None:
    assert ROWS["false alarms, of all checks but those of frozen hours"].share.value <= 0.1


def test_the_same_seed_gives_the_same_figures() -> None:
    again = calibrate(
        sessions(), market(), JUDGED.__contains__, threshold=THRESHOLD, draws=4, seed=5
    )

    assert again.found == COUNTED.found


def test_a_day_that_is_wrong_is_found_by_its_number() -> None:
    day = ordinary(1)[0]
    wrong = [scaled_volatility(day, market(), 0.0) if one is day else one for one in sessions()]

    number, reasons = found_after(wrong, market(), day.day, threshold=THRESHOLD)

    assert number == 1
    assert "frozen" in reasons[0]
    assert found_after(wrong, market(), -1, threshold=THRESHOLD) == (None, ())


def test_a_row_says_whether_it_is_as_due() -> None:
    assert Due("x", Share(99, 100), least=0.99).kept is True
    assert Due("x", Share(98, 100), least=0.99).kept is False
    assert Due("x", Share(1, 100), most=0.01).kept is True
    assert Due("x", Share(2, 100), most=0.01).kept is False
    assert Due("x", Share(2, 100)).kept is None
