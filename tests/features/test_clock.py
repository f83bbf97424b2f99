from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import TradingHours
from features.clock import clock_features, in_session, local_seconds

HOURS = TradingHours()


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@given(
    zone=st.sampled_from(
        ["America/Bogota", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]
    ),
    instants=st.lists(st.integers(1_500_000_000, 1_900_000_000), min_size=1, max_size=30),
    close_together=st.booleans(),
)
def test_local_time_is_what_the_time_zone_database_says(
    zone: str, instants: list[int], *, close_together: bool
) -> None:
    if close_together:
        instants = [instants[0] + moment % (20 * 86_400) for moment in instants]

    local = local_seconds(np.array(instants), ZoneInfo(zone))

    walls = [datetime.fromtimestamp(moment, ZoneInfo(zone)) for moment in instants]
    assert local.tolist() == [int(wall.replace(tzinfo=UTC).timestamp()) for wall in walls]


def test_local_time_follows_the_change_to_daylight_saving_within_one_array() -> None:
    moments = np.array([instant("2026-03-08T06:59:59Z"), instant("2026-03-08T07:00:00Z")])

    local = local_seconds(moments, ZoneInfo("America/New_York"))

    assert (local[1] - local[0]) == 3601


def test_clock_features_are_taken_in_local_time() -> None:
    known_at = np.array([instant("2026-03-04T15:30:00Z")])  # Wednesday 10:30 in Bogotá

    features = clock_features(known_at, HOURS)

    assert features["minute_sin"][0] == pytest.approx(np.sin(2 * np.pi * 630 / 1440))
    assert features["minute_cos"][0] == pytest.approx(np.cos(2 * np.pi * 630 / 1440))
    assert features["weekday"][0] == 2
    assert features["session_progress"][0] == pytest.approx(150 / 295)


def test_progress_ends_at_one_although_the_last_bar_is_known_after_the_session() -> None:
    known_at = np.array([instant("2026-03-04T13:00:00Z"), instant("2026-03-04T18:00:00Z")])

    assert clock_features(known_at, HOURS)["session_progress"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("start", "inside"),
    [
        ("2026-03-02T12:55:00Z", False),
        ("2026-03-02T13:00:00Z", True),
        ("2026-03-02T17:55:00Z", True),
        ("2026-03-02T18:00:00Z", False),
        ("2026-03-01T14:00:00Z", False),  # a Sunday
    ],
)
def test_bars_of_the_session_start_within_its_hours_on_a_trading_day(
    start: str, *, inside: bool
) -> None:
    assert in_session(np.array([instant(start)]), HOURS).tolist() == [inside]
