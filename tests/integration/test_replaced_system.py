"""What went wrong in the system that this one replaces, once more against the whole of this one.

The parts have tests of their own; here each fault is tried on the real application.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from api.access import ROUTES
from api.messages import InferenceRequest, TradeResultRequest
from config.load import DEFAULT_FILE
from config.settings import Role
from risk.ledger.sqlite import SqliteLedger
from runners.session import OnnxSession
from runners.signal import ACTIONS, Signal
from tests.fakes import TroubledLedger, decisions_of
from tests.integration.running import (
    CONFIDENT,
    MODELS,
    Running,
    SteppedClock,
    observation_that,
    rows,
    running,
)

NIGHT = datetime.fromisoformat("2026-03-03T02:00:00+00:00")


class BrokenSession(OnnxSession):
    """A graph whose output is NaN, once it is broken."""

    broken = False

    def run(self, names: Any, observations: Any) -> Any:
        arrays = super().run(names, observations)
        return [np.full_like(array, np.nan) for array in arrays] if self.broken else arrays


@pytest.fixture
def breakable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runners.loading.OnnxSession", BrokenSession)


def break_model(service: Running, name: str) -> None:
    (runner,) = (r for r in service.application.runners if r.name == name)
    runner._graph.broken = True  # type: ignore[attr-defined]


@pytest.mark.usefixtures("breakable")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_gives_nan_is_named_and_nothing_is_approved(name: str) -> None:
    with running() as service:
        assert service.decide()["approved"] is True
        break_model(service, name)
        answer = service.decide()
        assert (answer["signal"], answer["risk_status"]) == ("HOLD", "SYSTEM_ERROR")
        assert answer["approved"] is False
        assert name in answer["reasons"][0]
        assert answer["state_sequence"] is not None


@pytest.mark.usefixtures("breakable")
def test_a_failed_model_leaves_no_smaller_ensemble_behind() -> None:
    with running() as service:
        break_model(service, MODELS[0])
        assert service.decide()["models"] == []
        assert service.decide(model_name=MODELS[1])["model_name"] == MODELS[1]
        assert len(service.get("/v1/models")[1]["models"]) == 3
        batch = service.post("/v1/inference/batch", observations=[CONFIDENT])[1]
        assert batch["results"][0]["risk_status"] == "SYSTEM_ERROR"
        assert MODELS[0] in batch["fault"]


@pytest.mark.parametrize("field", ["pnl", "pnl_percent", "unrealized_pnl_percent"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_pnl_that_is_no_number_is_refused_and_the_loss_limit_stands(
    service: Running, field: str, number: str
) -> None:
    report = {"trade_id": '"t"', "pnl": "-1000", "pnl_percent": "-0.01", field: number}
    text = ", ".join(f'"{name}": {value}' for name, value in report.items())
    with pytest.raises(ValidationError, match=field):
        TradeResultRequest.model_validate_json(f"{{{text}}}")
    assert service.report("t", -0.02)["tripped"] == ["daily_loss"]


def test_the_breaker_opens_on_the_report_at_night_without_waiting_for_a_signal() -> None:
    with running(clock=SteppedClock(NIGHT)) as service:
        assert service.report("t", -0.03)["breaker"] == "OPEN"
        assert service.get("/v1/risk/summary")[1]["breaker"]["state"] == "OPEN"
        assert decisions_of(service.application.ledger) == []


def test_the_pause_of_the_breaker_is_as_long_as_configured() -> None:
    variables = {"MLOPS__RISK_LIMITS__COOLDOWN_AFTER_CIRCUIT_BREAK": "30"}
    with running(variables) as service:
        for number in range(5):
            service.report(f"t{number}", -0.0001)
        service.clock.advance(seconds=29)
        assert service.get("/v1/risk/summary")[1]["breaker"]["state"] == "OPEN"
        service.clock.advance(seconds=1)
        assert service.get("/v1/risk/summary")[1]["breaker"]["state"] == "HALF_OPEN"


def test_results_that_are_reported_at_once_are_all_counted_once(tmp_path: Path) -> None:
    with running(ledger=SqliteLedger(tmp_path / "state.db")) as service:

        def report(number: int) -> bool:
            answer = service.report(f"trade-{number % 40}", 0.0001)
            return bool(answer["duplicate"])

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(report, range(80))) == 40
        stats = service.get("/v1/risk/summary")[1]["daily_stats"]
        assert (stats["trades_today"], stats["realized_pnl_percent"]) == (40, 0.004)


def test_a_win_that_lost_money_is_refused(service: Running) -> None:
    status, answer = service.post(
        "/v1/risk/trade-result", trade_id="t", pnl=-10, pnl_percent=-0.0001, is_win=True
    )
    assert status == 400
    assert "is_win is true, but pnl is -10" in answer["error"]["message"]
    assert service.get("/v1/risk/summary")[1]["daily_stats"]["trades_today"] == 0


@pytest.mark.parametrize("signal", [Signal.HOLD, Signal.BUY])
def test_a_store_that_cannot_be_read_is_an_answer_for_hold_too(signal: Signal) -> None:
    ledger = TroubledLedger()
    with running(ledger=ledger) as service:
        observation = observation_that(service, signal, sure=True)
        ledger.unreadable = True
        answer = service.decide(observation)
        assert (answer["signal"], answer["risk_status"]) == ("HOLD", "SYSTEM_ERROR")
        ledger.unreadable = False
        assert service.decide(observation)["raw_signal"] == signal.value


def test_a_batch_is_held_against_the_limits_like_any_decision(service: Running) -> None:
    def ask() -> dict[str, Any]:
        answer = service.post("/v1/inference/batch", observations=[CONFIDENT] * 2)[1]
        return dict(answer["results"][0])

    assert (ask()["signal"], ask()["would_approve"], ask()["approved"]) == ("BUY", True, False)
    service.report("t", -0.02)
    assert ask()["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"
    assert (ask()["signal"], ask()["would_approve"]) == ("HOLD", False)


def test_without_risk_checks_nothing_is_ever_approved(service: Running) -> None:
    for _ in range(2):
        answer = service.decide(enforce_risk_checks=False)
        assert (answer["signal"], answer["approved"]) == ("BUY", False)
        assert answer["risk_status"] == "NOT_CHECKED"
        service.report("t", -0.05)


def test_no_route_loads_a_model_and_resets_are_for_admins() -> None:
    assert {route for route in ROUTES if "model" in route} == {"GET /v1/models"}
    assert ROUTES["POST /v1/risk/reset"] is Role.ADMIN


def test_health_is_503_when_the_ledger_cannot_be_read_and_asks_no_model() -> None:
    ledger = TroubledLedger()
    with running(ledger=ledger) as service:
        assert service.get("/health")[0] == 200
        ledger.unreadable = True
        status, health = service.get("/health")
        assert (status, health["status"]) == (503, "unhealthy")
        assert health["components"]["ledger"]["reason"] == "the store cannot be read"
        assert health["components"]["models"] == {"status": "healthy", "loaded": 3}
        assert [runner.latency().count for runner in service.application.runners] == [0, 0, 0]
        assert service.get("/v1/metrics")[1]["decisions"]["total"] == 0


@pytest.mark.parametrize("observation", [[], [0.0], CONFIDENT[:-1], [*CONFIDENT, 0.0]])
def test_a_wrong_or_empty_observation_is_400(service: Running, observation: list[float]) -> None:
    status, answer = service.post("/v1/inference", observation=observation)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert f"has {len(observation)} values; the models read 45" in answer["error"]["message"]


def test_a_cached_vector_does_not_read_back_as_zeros(service: Running) -> None:
    at = service.clock.now.isoformat()
    sent = service.decide(timestamp=at)
    read = service.post("/v1/inference", timestamp=at)[1]
    record = service.get(f"/v1/decisions/{read['decision_id']}")[1]
    assert np.array(record["observation"], np.float32).tobytes() == (
        np.array(CONFIDENT, np.float32).tobytes()
    )
    assert read["action_probs"] == sent["action_probs"]


def test_latest_is_no_timestamp_and_reaches_no_key_of_the_cache() -> None:
    with pytest.raises(ValidationError, match="timestamp"):
        InferenceRequest.model_validate({"observation": CONFIDENT, "timestamp": "latest"})


def test_the_strategy_and_the_time_to_live_of_the_file_are_in_force(tmp_path: Path) -> None:
    content = yaml.safe_load(DEFAULT_FILE.read_text())
    content["ensemble"]["strategy"] = "majority_vote"
    content["cache"]["ttl_seconds"] = 7
    file = tmp_path / "mlops.yaml"
    file.write_text(yaml.safe_dump(content))
    with running(path=file) as service:
        assert service.decide()["action_probs"] == {"SELL": 0.0, "HOLD": 0.0, "BUY": 1.0}
        assert service.get("/v1/models")[1]["strategy"] == "majority_vote"
        assert service.get("/v1/cache/stats")[1]["ttl_seconds"] == 7


@pytest.mark.parametrize("name", MODELS)
def test_every_model_sells_holds_and_buys_the_continuous_one_too(
    service: Running, name: str
) -> None:
    said = service.application.models.predict_one(rows(500), name)
    assert set(said.signals) == set(ACTIONS)


def test_one_configured_model_says_in_the_answer_that_it_is_alone() -> None:
    variables = {"MLOPS__MODELS__1__ENABLED": "false", "MLOPS__MODELS__2__ENABLED": "false"}
    with running(variables) as service:
        assert [model["name"] for model in service.decide()["models"]] == [MODELS[0]]


def test_every_time_that_goes_out_has_a_zone(service: Running) -> None:
    service.report("t", -0.02)
    answers = [
        service.decide(),
        *(service.get(path)[1] for path in ("/health", "/v1/metrics", "/v1/risk/summary")),
    ]
    found = [text for answer in answers for text in times_in(answer)]
    assert len(found) >= 5
    assert [text for text in found if datetime.fromisoformat(text).utcoffset() is None] == []


def times_in(value: object) -> list[str]:
    """Every text of a JSON value that is a date with a time."""
    if isinstance(value, dict):
        return [text for inner in value.values() for text in times_in(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in times_in(inner)]
    if not isinstance(value, str) or "T" not in value:
        return []
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return []
    return [value]
