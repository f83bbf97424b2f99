"""Whether what decisions are made of is there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from features.feed import FeedStatus
from features.macro_limits import MACRO_SERIES
from monitoring.day.input_checks import (
    calendar_check,
    clock_check,
    disk_check,
    drift_checks,
    market_checks,
    models_check,
    target_checks,
)
from monitoring.day.preflight import Check, Readiness
from monitoring.day.schedule import Opening
from risk.events import timestamp

ARMED, WARNING, NOT_ARMED = Readiness.ARMED, Readiness.WARNING, Readiness.NOT_ARMED
BOGOTA = ZoneInfo("America/Bogota")
NOW = datetime(2026, 3, 3, 12, 45, tzinfo=UTC)
TODAY = date(2026, 3, 3)


def session(day: date) -> Opening:
    start = datetime(day.year, day.month, day.day, 13, tzinfo=UTC)
    return Opening(day, start, start + timedelta(hours=4, minutes=55))


COMING, BEFORE = session(TODAY), session(date(2026, 3, 2))
FEED = FeedStatus(
    bars=300,
    needed=240,
    newest_bar=BEFORE.ends_at,
    macro={spec.name: "2026-03-02" for spec in MACRO_SERIES},
    backend="memory",
    degraded=None,
    not_ready=None,
)


def states(checks: Iterable[Check]) -> dict[str, Readiness]:
    return {check.name: check.state for check in checks}


def test_a_session_today_is_armed_and_tells_its_hours_in_the_desks_time() -> None:
    check = calendar_check(COMING, TODAY, date(2027, 12, 31), BOGOTA)
    assert check.state is ARMED
    assert check.found == "Tuesday 2026-03-03, 08:00:00 to 12:55:00 America/Bogota"


@pytest.mark.parametrize(
    ("coming", "known", "state"),
    [
        (session(date(2026, 3, 4)), date(2027, 12, 31), WARNING),
        (COMING, date(2026, 3, 20), WARNING),
        (COMING, None, ARMED),
        (None, date(2026, 3, 1), NOT_ARMED),
    ],
)
def test_a_day_without_a_session_warns_and_an_unknown_calendar_is_not_armed(
    coming: Opening | None, known: date | None, state: Readiness
) -> None:
    assert calendar_check(coming, TODAY, known, BOGOTA).state is state


def test_models_answer_with_probabilities_and_are_those_that_are_live() -> None:
    served = {"ppo": "1"}
    assert models_check({"ppo": [0.2, 0.3, 0.5]}, served, served).state is ARMED
    assert models_check({"ppo": [0.2, 0.3, 0.9]}, served, served).state is NOT_ARMED
    assert models_check({"ppo": [float("nan")] * 3}, served, served).state is NOT_ARMED
    assert models_check({"ppo": [0.2, 0.3, 0.5]}, served, {"ppo": "2"}).state is WARNING


@pytest.mark.parametrize(
    ("changes", "bars", "macro"),
    [
        ({}, ARMED, ARMED),
        ({"bars": 239, "not_ready": "it needs more"}, NOT_ARMED, ARMED),
        ({"newest_bar": BEFORE.starts_at}, WARNING, ARMED),
        ({"not_ready": "something else is missing"}, NOT_ARMED, ARMED),
        ({"macro": {**FEED.macro, "vix": "2026-02-01"}}, ARMED, NOT_ARMED),
        ({"macro": {**FEED.macro, "vix": None}}, ARMED, NOT_ARMED),
    ],
)
def test_where_bars_are_used_they_are_enough_and_macro_values_are_fresh(
    changes: dict[str, Any], bars: Readiness, macro: Readiness
) -> None:
    status = replace(FEED, **changes)
    found = states(market_checks(status, COMING, BEFORE, NOW, macro=True))
    assert found == {"bars": bars, "macro": macro}
    assert states(market_checks(status, COMING, BEFORE, NOW, macro=False)) == {"bars": bars}


@pytest.mark.parametrize("newest", [None, NOW - timedelta(days=8)])
def test_a_desk_that_brings_its_vectors_needs_no_bars(newest: datetime | None) -> None:
    status = replace(FEED, bars=0, newest_bar=newest, not_ready="there are none")
    assert states(market_checks(status, COMING, BEFORE, NOW, macro=True)) == {"bars": ARMED}


def drift(**changes: Any) -> dict[str, Readiness]:
    entry = {
        "at": timestamp(NOW),
        "state": "ok",
        "reasons": [],
        "reference": {
            "kind": "recorded",
            "sessions": 30,
            "from": timestamp(NOW - timedelta(days=45)),
            "to": timestamp(NOW - timedelta(days=1)),
        },
        **changes,
    }
    return states(drift_checks(entry, NOW - timedelta(minutes=5), NOW, enabled=True))


def test_the_drift_job_is_alive_and_its_reference_is_fresh() -> None:
    assert drift() == {"drift": ARMED, "drift reference": ARMED}
    assert drift(at=timestamp(NOW - timedelta(hours=1)))["drift"] is WARNING
    assert drift(state="alarm", reasons=["strayed"])["drift"] is WARNING
    assert drift(reference=None)["drift reference"] is WARNING
    for changes in ({"kind": "training"}, {"to": timestamp(NOW - timedelta(days=22))}):
        reference = {"kind": "recorded", "sessions": 30, "from": timestamp(NOW), **changes}
        reference.setdefault("to", timestamp(NOW))
        assert drift(reference=reference)["drift reference"] is WARNING
    assert states(drift_checks(None, None, NOW, enabled=True)) == {"drift": WARNING}
    assert states(drift_checks(None, None, NOW, enabled=False)) == {"drift": WARNING}


def test_a_full_disk_and_a_clock_behind_the_record_are_not_armed() -> None:
    assert disk_check(500 << 20, 500, "/data").state is ARMED
    assert disk_check((500 << 20) - 1, 500, "/data").state is NOT_ARMED
    assert clock_check(NOW, None).state is ARMED
    assert clock_check(NOW, NOW + timedelta(seconds=5)).state is ARMED
    assert clock_check(NOW, NOW + timedelta(seconds=6)).state is NOT_ARMED


def test_somebody_is_told_as_long_as_one_target_takes_a_message() -> None:
    assert states(target_checks([], None)) == {"alerts": WARNING}
    assert states(target_checks(["1 (json)"], None)) == {"alerts": ARMED}
    both = states(target_checks(["1", "2"], {"1": None, "2": "down"}))
    assert both == {"alerts 1": ARMED, "alerts 2": WARNING}
    none = states(target_checks(["1", "2"], {"1": "late", "2": "down"}))
    assert none == {"alerts 1": NOT_ARMED, "alerts 2": NOT_ARMED}
