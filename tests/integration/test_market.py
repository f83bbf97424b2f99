"""Bars and macro values through the real application: what each request is answered."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from examples.trading_data import simulated_series
from features.bars import BarSeries
from features.compute import WINDOW, FeatureSeries
from features.macro import MACRO_COLUMNS, MacroSeries
from recomputation import Recomputer
from risk.events import EventKind
from risk.ledger.memory import MemoryLedger
from runners.signal import Signal
from tests.integration.running import Running, SteppedClock, running

HISTORY = 300
EPOCH = date(1970, 1, 1)


@cache
def market() -> tuple[BarSeries, MacroSeries, FeatureSeries]:
    """A simulated market that no model was trained on."""
    return simulated_series(30, seed=1234)


def at(start: float) -> datetime:
    return datetime.fromtimestamp(start, UTC)


def bar(index: int, **more: Any) -> dict[str, Any]:
    bars = market()[0]
    start = int(bars.starts[index])
    return {"time": at(start).isoformat(), "close": float(bars.closes[index]), **more}


def bars_of(first: int, beyond: int) -> list[dict[str, Any]]:
    return [bar(index) for index in range(first, beyond)]


def day_of(index: int) -> int:
    """Date of a bar; in Bogotá a session is within one date of UTC."""
    return int(market()[0].starts[index]) // 86_400


def macro_rows(until: int, since: int = 0) -> list[dict[str, Any]]:
    """Values dated before a day, and not before another one; a row a day."""
    macro = market()[1]
    days: dict[int, dict[str, Any]] = {}
    for name in MACRO_COLUMNS:
        series = macro.columns[name]
        for day, value in zip(series.days.tolist(), series.values.tolist(), strict=True):
            if since <= day < until:
                days.setdefault(day, {})[name] = value
    return [
        {"date": (EPOCH + timedelta(days=day)).isoformat(), **values}
        for day, values in days.items()
    ]


def close_of(index: int) -> datetime:
    """When a bar is known."""
    return at(float(market()[0].starts[index]) + 300)


@pytest.fixture
def service(bentoml_home: object) -> Iterator[Running]:
    """A service that has had 300 bars, a second after the last of them."""
    del bentoml_home
    clock = SteppedClock(close_of(HISTORY - 1) + timedelta(seconds=1))
    with running({}, clock=clock) as started:
        status, answer = started.post("/v1/market/macro", values=macro_rows(day_of(HISTORY)))
        assert status == 200, answer
        status, answer = started.post("/v1/market/bars", bars=bars_of(0, HISTORY))
        assert status == 200, answer
        yield started


def post(service: Running, index: int, **more: Any) -> dict[str, Any]:
    """Post one bar a second after it is complete."""
    service.clock.now = max(service.clock.now, close_of(index) + timedelta(seconds=1))
    if day_of(index) != day_of(index - 1):
        service.post("/v1/market/macro", values=macro_rows(day_of(index), day_of(index - 1)))
    status, answer = service.post("/v1/market/bars", bars=[bar(index)], **more)
    assert status == 200, answer
    return answer


def decide_until(service: Running, wanted: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """Post bar after bar until one is decided as wanted."""
    for index in range(HISTORY, HISTORY + 900):
        answer = post(service, index, decide=True, dry_run=True)
        if answer["decision"]["raw_signal"] == wanted and answer["decision"]["would_approve"]:
            return index, post(service, index, decide=True, **more)
    raise AssertionError(f"no bar was decided {wanted}")


def test_the_vector_of_a_posted_bar_is_the_row_of_the_offline_build(service: Running) -> None:
    series = market()[2]
    for index in range(HISTORY, HISTORY + 70):
        answer = post(service, index, decide=True)
        _, record = service.get(f"/v1/decisions/{answer['decision']['decision_id']}")
        found = np.array(record["observation"], dtype=np.float32)
        assert found.tobytes() == series.matrix[index - WINDOW + 1].tobytes()


def test_bars_of_a_market_that_the_models_know_are_approved(service: Running) -> None:
    _, answer = decide_until(service, Signal.SELL, order_id="O-1")

    assert answer["decision"]["approved"]
    assert answer["decision"]["risk_status"] == "APPROVED"


def test_before_there_is_enough_history_it_says_how_much_is_there(bentoml_home: object) -> None:
    with running({}, clock=SteppedClock(close_of(11))) as service:
        _, answer = service.post("/v1/market/bars", bars=bars_of(0, 12), decide=True)
        assert (answer["ready"], answer["features"], answer["decision"]) == (False, None, None)
        assert answer["not_ready"].startswith("not ready: 12 of 240 bars")
        status, refusal = service.get("/v1/features/latest")
        assert (status, refusal["error"]["code"]) == (503, "not_ready")
        _, health = service.get("/health")
        assert health["components"]["market"]["bars"] == 12
        assert health["status"] == "healthy"


def test_without_macro_values_it_says_which_are_missing(bentoml_home: object) -> None:
    with running({}, clock=SteppedClock(close_of(HISTORY))) as service:
        _, answer = service.post("/v1/market/bars", bars=bars_of(0, HISTORY), decide=True)
        assert "0 of 60 daily values of dxy" in answer["not_ready"]
        assert answer["decision"] is None


def test_a_caller_that_retries_gets_the_same_approval(service: Running) -> None:
    index, answer = decide_until(service, Signal.SELL, order_id="O-7")
    again = post(service, index, decide=True, order_id="O-7")

    assert again["received"]["duplicate"] == 1
    assert again["decision"]["replayed"]
    assert again["decision"]["decision_id"] == answer["decision"]["decision_id"]


def test_a_retry_gets_its_approval_also_when_a_late_bar_has_changed_the_vector(
    service: Running,
) -> None:
    index, answer = decide_until(service, Signal.SELL, order_id="O-8")
    assert answer["decision"]["approved"]
    earlier = bar(index - 3)
    _, corrected = service.post(
        "/v1/market/bars", bars=[{**earlier, "close": earlier["close"] + 0.5}], confirm=True
    )
    assert corrected["received"]["corrected"] == 1

    again = post(service, index, decide=True, order_id="O-8")

    assert again["decision"]["approved"]
    assert again["decision"]["replayed"]


def test_a_retry_that_names_the_time_alone_gets_its_approval_though_the_vector_has_changed(
    service: Running,
) -> None:
    index, seen = decide_until(service, Signal.SELL)
    asked = {"timestamp": seen["timestamp"], "order_id": "O-9"}
    _, answer = service.post("/v1/inference", **asked)
    assert answer["approved"], answer["reasons"]
    earlier = bar(index - 3)
    service.post(
        "/v1/market/bars", bars=[{**earlier, "close": earlier["close"] + 0.5}], confirm=True
    )

    _, again = service.post("/v1/inference", **asked)
    _, dry = service.post("/v1/inference", **asked, dry_run=True)

    assert (again["approved"], again["replayed"]) == (True, True)
    assert dry["action_probs"] != answer["action_probs"]


def test_a_vector_of_a_bar_that_is_not_the_newest_is_stale(service: Running) -> None:
    older = post(service, HISTORY)["timestamp"]
    newest = post(service, HISTORY + 1)["timestamp"]

    _, stale = service.post("/v1/inference", timestamp=older)
    _, fresh = service.post("/v1/inference", timestamp=newest)

    assert stale["risk_status"] == "STALE_DATA"
    assert "a newer bar is known" in stale["reasons"][0]
    assert fresh["risk_status"] != "STALE_DATA"


def test_a_decision_on_an_older_bar_than_is_known_is_stale(service: Running) -> None:
    post(service, HISTORY)
    service.clock.now = close_of(HISTORY + 1)
    post(service, HISTORY + 1)
    answer = post(service, HISTORY, decide=True)

    assert answer["decision"]["risk_status"] == "STALE_DATA"
    assert "a newer bar is known" in answer["decision"]["reasons"][0]


def test_a_frozen_feed_is_stale_and_told_with_its_price(service: Running) -> None:
    for index in range(HISTORY, HISTORY + 6):
        service.clock.now = close_of(index)
        _, answer = service.post(
            "/v1/market/bars", bars=[{**bar(index), "close": 4000.25}], decide=True, confirm=True
        )

    assert answer["decision"]["risk_status"] == "STALE_DATA"
    assert "the last 6 closes are all 4000.25" in answer["decision"]["reasons"][0]


def test_a_feed_that_was_down_for_weeks_is_stale(service: Running) -> None:
    later = {**bar(HISTORY), "time": (close_of(HISTORY) + timedelta(days=21)).isoformat()}
    service.clock.now = close_of(HISTORY) + timedelta(days=21, minutes=5, seconds=1)
    newest: dict[str, Any] = {}
    for row in macro_rows(day_of(HISTORY)):
        newest.update(row)
    yesterday = (EPOCH + timedelta(days=day_of(HISTORY) + 20)).isoformat()
    service.post("/v1/market/macro", values=[{**newest, "date": yesterday}])

    _, answer = service.post("/v1/market/bars", bars=[later], decide=True)

    assert answer["decision"]["risk_status"] == "STALE_DATA"
    assert "bars are missing" in answer["decision"]["reasons"][0]


def test_a_jump_is_refused_by_name_and_taken_when_it_is_confirmed(service: Running) -> None:
    service.clock.now = close_of(HISTORY)
    off = {**bar(HISTORY), "close": bar(HISTORY)["close"] / 100}

    status, refusal = service.post("/v1/market/bars", bars=[off])
    assert (status, refusal["error"]["code"]) == (400, "price_jump")
    status, answer = service.post("/v1/market/bars", bars=[off], confirm=True, decide=True)
    assert answer["decision"]["risk_status"] == "OUT_OF_DISTRIBUTION"
    reasons = answer["decision"]["reasons"][0]
    assert "close" in reasons
    assert "volatility_30m" in reasons

    confirmed = service.application.ledger.recent([EventKind.MARKET_CONFIRMED], limit=5)
    assert [event.actor for event in confirmed] == ["local"]
    assert "jumps" in confirmed[0].payload["confirmed"][0]


def test_another_close_for_a_bar_is_a_conflict(service: Running) -> None:
    other = {**bar(HISTORY - 1), "close": bar(HISTORY - 1)["close"] + 1}

    status, refusal = service.post("/v1/market/bars", bars=[other, bar(HISTORY - 2)])

    assert (status, refusal["error"]["code"]) == (409, "bar_conflict")
    _, latest = service.get("/v1/features/latest")
    assert latest["evidence"]["close"] == bar(HISTORY - 1)["close"]


def test_a_bar_that_is_not_complete_is_refused(service: Running) -> None:
    service.clock.now = close_of(HISTORY) - timedelta(seconds=10)
    status, refusal = service.post("/v1/market/bars", bars=[bar(HISTORY)])

    assert (status, refusal["error"]["code"]) == (400, "bar_not_complete")


@pytest.mark.parametrize(
    "wrong",
    [
        {"time": "2026-03-02T13:00:00"},
        {"time": 1_772_456_400},
        {"close": float("nan")},
        {"close": "4000"},
        {"volume": 3},
    ],
)
def test_a_bar_of_another_shape_is_refused(service: Running, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        service.post("/v1/market/bars", bars=[{**bar(HISTORY), **wrong}])


@pytest.mark.parametrize("price", [0.0, -4000.0, 1e300])
def test_a_price_that_is_none_is_refused(service: Running, price: float) -> None:
    status, refusal = service.post("/v1/market/bars", bars=[{**bar(HISTORY - 1), "close": price}])

    assert status == 400
    assert "positive, finite price" in refusal["error"]["message"]


@pytest.mark.parametrize(
    "question", [{"model_name": "nobody"}, {"model_name": "a2c_macro_v1", "use_ensemble": True}]
)
def test_a_question_that_cannot_be_answered_takes_no_bar(
    service: Running, question: dict[str, Any]
) -> None:
    service.clock.now = close_of(HISTORY)
    status, _ = service.post("/v1/market/bars", bars=[bar(HISTORY)], decide=True, **question)
    _, latest = service.get("/v1/features/latest")

    assert status == 400
    assert latest["evidence"]["close"] == bar(HISTORY - 1)["close"]


def test_options_of_a_decision_mean_nothing_without_one(service: Running) -> None:
    status, refusal = service.post("/v1/market/bars", bars=[bar(HISTORY - 1)], order_id="O-1")

    assert status == 400
    assert "order_id" in refusal["error"]["message"]


def test_a_lost_decimal_point_in_a_macro_value_is_refused_by_name(service: Running) -> None:
    service.clock.now = close_of(HISTORY + 60)
    yesterday = (close_of(HISTORY + 60) - timedelta(days=1)).date().isoformat()

    status, refusal = service.post(
        "/v1/market/macro", values=[{"date": yesterday, "usdmxn": 174650.0}]
    )

    assert (status, refusal["error"]["code"]) == (400, "suspect_macro_value")
    assert "usdmxn" in refusal["error"]["message"]


@pytest.mark.parametrize(
    "value", [{"embi_col": 1e308}, {"dxy": 5e-324}, {"ust10y": -1e308}, {"brent": 1e12}]
)
def test_whatever_macro_value_is_insisted_on_bars_are_taken_and_told(
    service: Running, value: dict[str, float]
) -> None:
    service.clock.now = close_of(HISTORY) + timedelta(seconds=1)
    yesterday = (service.clock.now - timedelta(days=1)).date().isoformat()
    status, _ = service.post(
        "/v1/market/macro", values=[{"date": yesterday, **value}], confirm=True
    )
    assert status == (200 if value == {"brent": 1e12} else 400)

    taken, answer = service.post("/v1/market/bars", bars=[bar(HISTORY)], decide=True)
    shown, _ = service.get("/v1/features/latest")

    assert (taken, answer["ready"], shown) == (200, True, 200)


def test_a_macro_value_of_tomorrow_is_refused(service: Running) -> None:
    tomorrow = (service.clock.now + timedelta(days=1)).date().isoformat()

    status, refusal = service.post("/v1/market/macro", values=[{"date": tomorrow, "vix": 17.0}])

    assert status == 400
    assert "vix is dated" in refusal["error"]["message"]


def test_a_vector_is_found_by_the_time_it_was_known_and_named(service: Running) -> None:
    answer = post(service, HISTORY)
    status, found = service.get(f"/v1/features/{answer['timestamp'].replace('+00:00', 'Z')}")
    assert status == 200
    assert found["features"] == answer["features"]
    assert found["evidence"]["bar"] == bar(HISTORY)["time"].replace("+00:00", "Z")

    status, refusal = service.get(f"/v1/features/{bar(HISTORY)['time'].replace('+00:00', 'Z')}")
    assert status == 200  # the time at which the bar before was known
    status, refusal = service.get("/v1/features/2026-13-99")
    assert (status, refusal["error"]["code"]) == (400, "invalid_request")
    status, refusal = service.get("/v1/features/2021-03-02T13:05:00Z")
    assert (status, refusal["error"]["code"]) == (404, "features_not_found")


def test_a_vector_far_from_what_the_models_know_is_refused_with_its_names(
    service: Running,
) -> None:
    names = list(service.application.schema.names)  # type: ignore[union-attr]
    vector = market()[2].matrix[100].tolist()
    vector[names.index("volatility_1h")] *= 100

    answer = service.decide(vector)

    assert answer["risk_status"] == "OUT_OF_DISTRIBUTION"
    assert "volatility_1h" in answer["reasons"][0]
    _, metrics = service.get("/v1/metrics")
    assert metrics["vetoes"]["by_name"]["volatility_1h"] == 1


def test_a_row_of_a_batch_that_no_model_knows_is_refused_too(service: Running) -> None:
    good = market()[2].matrix[100].tolist()
    status, answer = service.post(
        "/v1/inference/batch", observations=[good, [1e6] * len(good)], enforce_risk_checks=True
    )

    assert status == 200
    statuses = [row["risk_status"] for row in answer["results"]]
    assert statuses[0] != "OUT_OF_DISTRIBUTION"
    assert statuses[1] == "OUT_OF_DISTRIBUTION"


def test_decisions_on_bars_are_recomputed_identically(bentoml_home: object) -> None:
    from bootstrap import models_on_record  # noqa: PLC0415 - the store is the fixture's

    ledger = MemoryLedger()
    clock = SteppedClock(close_of(HISTORY - 1) + timedelta(seconds=1))
    with running({}, clock=clock, ledger=ledger) as service:
        service.post("/v1/market/macro", values=macro_rows(day_of(HISTORY)))
        service.post("/v1/market/bars", bars=bars_of(0, HISTORY))
        for index in range(HISTORY, HISTORY + 20):
            post(service, index, decide=True)
        post(service, HISTORY + 18, decide=True)
        recomputer = Recomputer(ledger, models_on_record)
        events = ledger.recent([EventKind.DECISION], limit=100)
        assert len(events) == 21
        for event in events:
            assert recomputer.recompute(event).identical, recomputer.recompute(event)
