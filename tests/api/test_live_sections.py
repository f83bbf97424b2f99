"""What the stream tells of a long day, and of what cannot be read."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from api.live_sections import section, thinned
from errors import StoreUnavailable
from risk.course import Point

BEGIN = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)


def test_a_long_day_is_told_in_few_points_with_its_extremes() -> None:
    points = [Point(BEGIN + timedelta(seconds=n), 0.001 * (n % 7), 0.0) for n in range(5000)]
    points[1234] = points[1234]._replace(daily_pnl=-0.02)
    points[4321] = points[4321]._replace(drawdown=-0.05)
    told = thinned(points)
    assert len(told) <= 400
    assert told == sorted(told)
    assert {points[0], points[1234], points[4321], points[-1]} <= set(told)
    assert thinned(points[:300]) == points[:300]


def test_what_cannot_be_read_is_a_fault_in_words_and_nothing_else() -> None:
    def gone() -> Mapping[str, Any]:
        raise StoreUnavailable("the ledger is locked")

    def broken() -> Mapping[str, Any]:
        raise KeyError("/srv/secret")

    assert orjson.loads(section(gone)) == {"fault": "the ledger is locked"}
    assert orjson.loads(section(broken)) == {
        "fault": "the service failed to make this; its log says why"
    }
    assert orjson.loads(section(lambda: {"state": 1})) == {"state": 1}
