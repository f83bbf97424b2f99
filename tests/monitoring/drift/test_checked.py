"""One check of what is on record: its state, its reference, what it tells."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from features.schema import USDCOP_M5
from monitoring.drift.checked import Checked, DriftRules, check
from monitoring.drift.market_sessions import market_sample
from monitoring.drift.recorded import Recorded, Row
from tests.monitoring.drift.markets import HOURS, NAMES, _series, ordinary, sessions

RULES = DriftRules(USDCOP_M5, HOURS, 0.15, 0.8, 0.5)


def recorded(days: int, *, last_rows: int = 60) -> Recorded:
    """The record of the last days of the market, as decisions on its bars would leave it."""
    chosen = sessions()[-days:]
    rows = [
        Row(int(start), vector.astype(np.float32), True, k % 3, session.macro)
        for session in chosen
        for k, (start, vector) in enumerate(zip(session.starts, session.matrix, strict=True))
        if session is not chosen[-1] or k < last_rows
    ]
    whole = Recorded.empty(USDCOP_M5.hash, len(NAMES)).with_rows(rows, HOURS)
    return whole.trimmed(NAMES, HOURS, whole.days(HOURS))


def training() -> Recorded:
    _, macro, series = _series()
    return market_sample(series, macro, USDCOP_M5, HOURS, lambda _: True)


def checked(known: Recorded, trained: Recorded | None = None) -> Checked:
    at = int(known.starts[-1]) + 310 if len(known.starts) else 1_700_000_000
    now = datetime.fromtimestamp(at, UTC)
    return check(known, trained, RULES, now, known.days(HOURS))


def test_with_nothing_on_record_there_is_no_verdict() -> None:
    found = checked(Recorded.empty(USDCOP_M5.hash, len(NAMES)))

    assert found.state == "not_enough_data"
    assert found.reasons == ("0 of 6 vectors of this session are on record",)
    assert found.drifted_share is None
    json.dumps(found.to_json(), allow_nan=False)


def test_enough_on_record_is_the_reference() -> None:
    found = checked(recorded(45))

    assert found.state == "ok"
    assert found.to_json()["reference"]["kind"] == "recorded"
    assert found.to_json()["reference"]["sessions"] == 30
    assert found.hour.shape == (12, 45)
    assert found.drifted_share == 0.0


def test_until_then_the_training_reference_stands_in() -> None:
    found = checked(recorded(5), training())

    assert found.state == "ok"
    assert found.to_json()["reference"]["kind"] == "training"


def test_without_either_a_clean_session_is_not_called_clean() -> None:
    found = checked(recorded(5))

    assert found.state == "not_enough_data"
    assert any(reason.startswith("volatility:") for reason in found.reasons)
    assert found.drifted_share is None
    assert found.to_json()["reference"]["sessions"] < 30


def test_a_training_reference_of_another_schema_is_not_used() -> None:
    found = checked(recorded(5), replace(training(), schema="other"))

    assert found.to_json()["reference"]["kind"] == "recorded"


def test_a_broken_feature_is_an_alarm_also_without_any_reference() -> None:
    known = recorded(5)
    matrix = known.matrix.copy()
    matrix[-60:, NAMES.index("log_return_15m")] *= 100
    found = checked(replace(known, matrix=matrix))

    assert found.state == "alarm"
    assert found.to_json()["suspects"][0]["name"] == "log_return_15m"
    assert found.faulty


def test_rows_of_bars_that_are_not_over_yet_do_not_count() -> None:
    known = recorded(45)
    last = ordinary(1)[0]
    early = datetime.fromtimestamp(int(last.starts[0]) + 3600, UTC)

    found = check(known, None, RULES, early, known.days(HOURS))

    assert found.today is not None
    assert found.to_json()["window"]["rows"] <= 12


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_a_session_that_has_hardly_begun_is_not_judged(rows: int) -> None:
    known = recorded(45, last_rows=max(rows, 1))
    at = datetime.fromtimestamp(int(known.starts[-1]) + (310 if rows else 0), UTC)

    assert check(known, None, RULES, at, known.days(HOURS)).state == "not_enough_data"
