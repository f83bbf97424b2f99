"""What the production guide promises, class by class as in its section on testing.

    pytest tests/integration/test_mlops_integration.py::TestRiskManager -v

The real application runs in this process, with the shipped configuration and models, on a
clock that stands at 09:00 in Bogotá; `TestAPI` asks a real server.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from config.load import DEFAULT_FILE, load_settings
from config.settings import Environment, MonitoringSettings
from errors import ConfigurationError, ModelNotFound, StoreUnavailable
from features.compute import WINDOW, compute_vector
from features.schema import USDCOP_M5
from ledgers import open_ledger
from risk.events import EventKind
from risk.fold import fold
from risk.ledger.sqlite import SqliteLedger
from risk.state import RiskState
from runners.session import OnnxSession
from runners.signal import ACTIONS, Signal
from tests.features.market import random_bars, random_macro
from tests.integration.guide import (
    ANSWER,
    CONFIGURATION,
    METRICS,
    RECOMMENDATION,
    REQUEST,
    has_type,
)
from tests.integration.running import (
    CONFIDENT,
    MODELS,
    ROOT,
    Running,
    SteppedClock,
    observation_that,
    rows,
    running,
)

ZEROS = [0.0] * 45


class TestConfiguration:
    def test_it_prints_what_the_guide_says(self) -> None:
        config = load_settings({}).settings
        assert config.risk_limits.max_daily_loss == -0.02
        assert config.trading_hours.start_hour == 8

    def test_the_shipped_file_holds_every_value_of_the_guide(self) -> None:
        shipped = load_settings({}).settings.model_dump(mode="json")
        for section, values in CONFIGURATION.items():
            if isinstance(values, dict):
                assert {name: shipped[section][name] for name in values} == values
        assert shipped["environment"] == CONFIGURATION["environment"] == "production"

    def test_the_session_is_monday_to_friday_from_8_to_12_55_in_bogota(self) -> None:
        hours = load_settings({}).settings.trading_hours
        assert (hours.start.isoformat(), hours.end.isoformat()) == ("08:00:00", "12:55:00")
        assert (hours.timezone, hours.trading_days) == ("America/Bogota", (0, 1, 2, 3, 4))

    def test_the_three_models_of_the_guide_read_45_features(self) -> None:
        models = load_settings({}).settings.enabled_models
        assert tuple(model.name for model in models) == MODELS
        assert {model.observation_dim for model in models} == {45}

    @pytest.mark.parametrize(
        ("variable", "text", "path", "value"),
        [
            ("MLOPS_ENVIRONMENT", "staging", ("environment",), "staging"),
            ("REDIS_HOST", "redis", ("redis", "host"), "redis"),
            ("REDIS_PORT", "6380", ("redis", "port"), 6380),
            ("MAX_DAILY_LOSS", "-0.01", ("risk_limits", "max_daily_loss"), -0.01),
            ("MAX_DRAWDOWN", "-0.03", ("risk_limits", "max_drawdown"), -0.03),
            ("MIN_CONFIDENCE", "0.7", ("risk_limits", "min_confidence"), 0.7),
        ],
    )
    def test_a_variable_of_the_guides_table_goes_before_the_file(
        self, variable: str, text: str, path: tuple[str, ...], value: object
    ) -> None:
        found: Any = load_settings({variable: text}).settings
        for name in path:
            found = getattr(found, name)
        assert found == value

    def test_the_password_of_redis_comes_from_its_variable_and_is_not_shown(self) -> None:
        redis = load_settings({"REDIS_PASSWORD": "not-to-be-seen"}).settings.redis
        assert redis.password is not None
        assert redis.password.get_secret_value() == "not-to-be-seen"
        assert "not-to-be-seen" not in repr(redis)

    def test_without_variables_the_defaults_of_the_guides_table_hold(self) -> None:
        loaded = load_settings({})
        assert loaded.file == DEFAULT_FILE == ROOT / "config" / "mlops.yaml"
        assert loaded.settings.environment is Environment.PRODUCTION
        assert (loaded.settings.redis.port, loaded.settings.redis.password) == (6379, None)

    def test_a_variable_names_another_file(self, tmp_path: Path) -> None:
        file = write_configuration(tmp_path, CONFIGURATION)
        assert load_settings({"MLOPS_CONFIG_PATH": str(file)}).file == file

    def test_a_limit_from_the_environment_is_the_one_that_stops_trades(self) -> None:
        with running({"MIN_CONFIDENCE": "0.78"}) as service:
            assert service.decide()["risk_status"] == "LOW_CONFIDENCE"
        with running({"MAX_DAILY_LOSS": "-0.01"}) as service:
            assert service.report("t", -0.01)["tripped"] == ["daily_loss"]
        with running({"MAX_DRAWDOWN": "-0.01"}) as service:
            assert service.report("t", -0.01)["tripped"] == ["drawdown"]

    def test_a_redis_that_is_not_there_is_refused_by_its_address(self) -> None:
        settings = load_settings({"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}).settings
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1"):
            open_ledger(settings, create=True)

    @pytest.mark.parametrize("storage", ["models/onnx", ""])
    @pytest.mark.usefixtures("bentoml_home")
    def test_the_guides_file_loads_registers_its_model_and_serves(
        self, tmp_path: Path, storage: str
    ) -> None:
        shutil.copytree(ROOT / "models" / "onnx", tmp_path / "models" / "onnx")
        file = write_configuration(tmp_path, CONFIGURATION)
        with running({"MODEL_STORAGE_PATH": str(tmp_path / storage)}, path=file) as service:
            (listed,) = service.get("/v1/models")[1]["models"]
            assert (listed["name"], listed["origin"]) == ("ppo_usdcop_v3", "file")
            answer = service.decide()
            assert (answer["approved"], answer["model_name"]) == (True, "ensemble")

    @pytest.mark.usefixtures("bentoml_home")
    def test_a_model_file_that_is_not_there_stops_the_start_by_name(self, tmp_path: Path) -> None:
        file = write_configuration(tmp_path, CONFIGURATION)
        with (
            pytest.raises(ModelNotFound, match=r"ppo_usdcop_v3.*models/onnx/ppo_usdcop_v3\.onnx"),
            running({"MODEL_STORAGE_PATH": str(tmp_path)}, path=file),
        ):
            pass


class TestRiskManager:
    def test_a_confident_signal_in_the_session_is_approved_and_sized(
        self, service: Running
    ) -> None:
        answer = service.decide()
        assert (answer["signal"], answer["risk_status"]) == ("BUY", "APPROVED")
        size = answer["position_recommendation"]
        assert 0 < size["position_size_percent"] <= 0.10
        assert size["position_size_usd"] == size["position_size_percent"] * 100_000

    def test_the_flow_checks_confidence_hours_breaker_and_daily_limits_in_this_order(self) -> None:
        # From the last step to the first: each fault is seen before those that were there.
        with running({"MLOPS__RISK_LIMITS__MAX_TRADES_PER_DAY": "1"}) as service:
            unsure = observation_that(service, Signal.SELL, sure=False)
            held = observation_that(service, Signal.HOLD, sure=False)
            assert service.decide()["risk_status"] == "APPROVED"
            service.report("win", 0.001)
            assert service.decide()["risk_status"] == "MAX_TRADES_REACHED"
            service.report("loss", -0.025)
            assert service.decide()["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"
            service.clock.advance(hours=4)
            assert service.decide()["risk_status"] == "OUTSIDE_TRADING_HOURS"
            answer = service.decide(unsure)
            assert (answer["risk_status"], answer["raw_signal"]) == ("LOW_CONFIDENCE", "SELL")
            assert (answer["signal"], len(answer["reasons"])) == ("HOLD", 5)
            assert service.decide(held)["risk_status"] == "HOLD_SIGNAL"

    def test_every_refusal_is_hold_and_keeps_what_the_models_said(self, service: Running) -> None:
        service.report("loss", -0.02)
        answer = service.decide()
        assert (answer["signal"], answer["raw_signal"], answer["approved"]) == (
            "HOLD",
            "BUY",
            False,
        )
        assert answer["position_recommendation"] is None

    @pytest.mark.parametrize(
        ("at", "status"),
        [
            ("2026-03-02T12:59:59Z", "OUTSIDE_TRADING_HOURS"),
            ("2026-03-02T13:00:00Z", "APPROVED"),
            ("2026-03-02T17:55:00Z", "APPROVED"),
            ("2026-03-02T17:55:01Z", "OUTSIDE_TRADING_HOURS"),
            ("2026-03-06T14:00:00Z", "APPROVED"),
            ("2026-03-07T14:00:00Z", "OUTSIDE_TRADING_HOURS"),
            ("2026-03-08T14:00:00Z", "OUTSIDE_TRADING_HOURS"),
            ("2026-07-20T14:00:00Z", "MARKET_HOLIDAY"),
        ],
    )
    def test_outside_the_session_signals_are_hold(self, at: str, status: str) -> None:
        with running(clock=SteppedClock(datetime.fromisoformat(at))) as service:
            answer = service.decide()
            assert answer["risk_status"] == status
            assert answer["signal"] == ("BUY" if status == "APPROVED" else "HOLD")

    def test_two_percent_lost_in_a_day_trips_the_breaker_until_the_next_day(
        self, service: Running
    ) -> None:
        assert service.report("t1", -0.015)["tripped"] == []
        assert service.decide()["approved"] is True
        tripped = service.report("t2", -0.005)
        assert (tripped["tripped"], tripped["breaker"]) == (["daily_loss"], "OPEN")
        assert service.decide()["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"
        service.clock.advance(days=1)
        assert service.decide()["approved"] is True

    def test_five_percent_below_the_peak_trips_the_breaker_until_everything_is_reset(
        self, service: Running
    ) -> None:
        for day in range(3):
            service.report(f"t{day}", -0.018)
            service.clock.advance(days=1)
        assert service.decide()["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"
        service.post("/v1/risk/reset")
        assert service.decide()["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"
        service.clock.advance(days=1)
        status, _ = service.post("/v1/risk/reset", scope="all", reason="the desk looked at it")
        assert status == 200
        assert service.decide()["approved"] is True

    def test_five_losses_in_a_row_stop_trading_until_a_reset(self, service: Running) -> None:
        answers = [service.report(f"t{number}", -0.0001) for number in range(5)]
        assert [answer["tripped"] for answer in answers] == [[]] * 4 + [["consecutive_losses"]]
        assert service.decide()["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"
        service.post("/v1/risk/reset")
        assert service.decide()["approved"] is True

    def test_the_breaker_ends_its_pause_and_a_win_lets_trading_resume(
        self, service: Running
    ) -> None:
        for number in range(5):
            service.report(f"t{number}", -0.0001)
        pause = service.application.settings.risk_limits.cooldown_after_circuit_break
        service.clock.advance(seconds=pause)
        assert service.get("/v1/risk/summary")[1]["breaker"]["state"] == "HALF_OPEN"
        assert service.decide()["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"
        probe = service.decide(order_id="probe")
        assert (probe["approved"], probe["probe"]) == (True, True)
        assert probe["position_recommendation"]["factors"]["probe"] == 0.5
        won = service.report("win", 0.0001, order_id="probe")
        assert (won["released"], won["order_closed"]) == (True, True)
        assert service.get("/v1/risk/summary")[1]["breaker"]["state"] == "CLOSED"
        assert service.decide()["approved"] is True

    def test_the_fiftieth_trade_of_a_day_is_the_last(self, service: Running) -> None:
        for number in range(49):
            service.report(f"t{number}", 0.00001)
        assert service.decide()["approved"] is True
        service.report("t49", 0.00001)
        assert service.decide()["risk_status"] == "MAX_TRADES_REACHED"

    def test_the_summary_says_what_stands_in_the_way(self, service: Running) -> None:
        assert service.get("/v1/risk/summary")[1]["trading_status"] == "ACTIVE"
        service.report("t1", -0.02)
        summary = service.get("/v1/risk/summary")[1]
        assert summary["trading_status"] == "CIRCUIT_BREAKER_ACTIVE"
        assert summary["daily_stats"]["pnl_percent"] == -0.02
        assert summary["risk_utilization"]["daily_loss"] == 1.0
        assert [cause["cause"] for cause in summary["breaker"]["causes"]] == ["daily_loss"]


class TestFeatureCache:
    def test_a_vector_lives_for_five_minutes(self, service: Running) -> None:
        at = service.clock.now.isoformat()
        service.decide(timestamp=at)
        service.clock.advance(seconds=299)
        assert service.post("/v1/inference", timestamp=at)[0] == 200
        service.clock.advance(seconds=1)
        status, gone = service.post("/v1/inference", timestamp=at)
        assert (status, gone["error"]["code"]) == (404, "features_not_found")
        assert service.get("/v1/cache/stats")[1]["ttl_seconds"] == 300

    def test_the_configured_time_to_live_is_the_one_in_force(self) -> None:
        with running({"MLOPS__CACHE__TTL_SECONDS": "10"}) as service:
            at = service.clock.now.isoformat()
            service.decide(timestamp=at)
            service.clock.advance(seconds=10)
            assert service.post("/v1/inference", timestamp=at)[0] == 404

    def test_features_by_name_are_kept_in_the_order_of_the_schema(self, service: Running) -> None:
        at = service.clock.now
        named = dict(reversed([*zip(USDCOP_M5.names, CONFIDENT, strict=True)]))
        service.post("/v1/inference", features=named, timestamp=at.isoformat())
        kept = service.application.cache.get(at, at)
        assert kept is not None
        assert kept.vector.tobytes() == np.array(CONFIDENT, np.float32).tobytes()

    def test_several_vectors_are_read_at_once_in_the_order_asked_for(
        self, service: Running
    ) -> None:
        now = service.clock.now
        times = [now - timedelta(minutes=5 * bar) for bar in range(3)]
        for at, row in zip(times, rows(3), strict=True):
            service.decide([float(value) for value in row], timestamp=at.isoformat())
        asked = [times[2], now + timedelta(hours=1), times[0]]
        last, missing, first = service.application.cache.get_many(asked, now)
        assert last is not None
        assert first is not None
        assert missing is None
        assert (last.vector == rows(3)[2]).all()
        assert (first.vector == rows(3)[0]).all()

    def test_it_works_in_memory_without_redis_and_counts_what_it_did(
        self, service: Running
    ) -> None:
        at = service.clock.now.isoformat()
        service.decide(timestamp=at)
        service.post("/v1/inference", timestamp=at)
        service.post("/v1/inference", timestamp="2026-03-02T13:55:00Z")
        stats = service.get("/v1/cache/stats")[1]
        assert (stats["backend"], stats["size"]) == ("memory", 1)
        assert (stats["hits"], stats["misses"], stats["hit_rate"]) == (1, 1, 0.5)


class TestInferenceEngine:
    @pytest.mark.parametrize("name", MODELS)
    def test_a_single_model_gives_probabilities(self, service: Running, name: str) -> None:
        said = service.application.models.predict_one(rows(200), name)
        assert said.model_name == name
        assert_probabilities(said.probabilities)

    def test_the_ensemble_gives_probabilities_of_all_three(self, service: Running) -> None:
        said = service.application.models.predict(rows(200))
        assert said.model_name == "ensemble"
        assert tuple(output.name for output in said.outputs) == MODELS
        assert_probabilities(said.probabilities)
        assert set(said.signals) == set(ACTIONS)
        assert ((said.confidence > 0) & (said.confidence <= 1)).all()

    def test_the_average_is_weighted_as_configured(self, service: Running) -> None:
        models, observations = service.application.models, rows(50)
        ppo, sac, a2c = (models.predict_one(observations, n).probabilities for n in MODELS)
        expected = (1.0 * ppo + 1.0 * sac + 0.5 * a2c) / 2.5
        np.testing.assert_allclose(models.predict(observations).probabilities, expected, atol=1e-12)

    def test_the_majority_vote_counts_shares_of_the_weight(self) -> None:
        with running({"MLOPS__ENSEMBLE__STRATEGY": "majority_vote"}) as service:
            models, observations = service.application.models, rows(200)
            winners = [models.predict_one(observations, name).signals for name in MODELS]
            said = models.predict(observations).probabilities
            for index, votes in enumerate(zip(*winners, strict=True)):
                for action, share in zip(ACTIONS, said[index], strict=True):
                    weights = zip(votes, (1.0, 1.0, 0.5), strict=True)
                    cast = sum(weight for vote, weight in weights if vote is action)
                    assert share == pytest.approx(cast / 2.5)

    @pytest.mark.usefixtures("service")  # registers the models: what follows only loads them
    def test_models_are_warm_before_the_first_request(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runs: list[int] = []

        class CountingSession(OnnxSession):
            def run(self, names: Any, observations: NDArray[np.float32]) -> Any:
                runs.append(len(observations))
                return super().run(names, observations)

        monkeypatch.setattr("runners.loading.OnnxSession", CountingSession)
        with running() as service:
            assert len(runs) >= 10 * len(MODELS)
            assert [runner.latency().count for runner in service.application.runners] == [0, 0, 0]
            service.decide()
            assert [runner.latency().count for runner in service.application.runners] == [1, 1, 1]

    def test_threads_that_predict_at_once_get_what_one_alone_gets(self, service: Running) -> None:
        models, observations = service.application.models, rows(64)
        alone = [models.predict(row[np.newaxis]).probabilities.tobytes() for row in observations]

        def predict_all(_: int) -> list[bytes]:
            return [models.predict(row[np.newaxis]).probabilities.tobytes() for row in observations]

        with ThreadPoolExecutor(8) as pool:
            assert all(found == alone for found in pool.map(predict_all, range(8)))


class TestDriftConfiguration:
    def test_the_shipped_settings_are_the_guides(self) -> None:
        monitoring = load_settings({}).settings.monitoring
        assert monitoring.enable_drift_detection is True
        assert monitoring.drift_check_interval_minutes == 60
        assert monitoring.drift_threshold == 0.15

    def test_they_are_read_from_the_file(self, tmp_path: Path) -> None:
        chosen = {
            "enable_drift_detection": False,
            "drift_check_interval_minutes": 30,
            "drift_threshold": 0.25,
        }
        file = write_configuration(tmp_path, {**CONFIGURATION, "monitoring": chosen})
        monitoring = load_settings({}, file).settings.monitoring
        assert monitoring.model_dump() == {**MonitoringSettings().model_dump(), **chosen}

    def test_they_are_read_from_the_environment(self) -> None:
        variables = {"MLOPS__MONITORING__DRIFT_THRESHOLD": "0.5"}
        assert load_settings(variables).settings.monitoring.drift_threshold == 0.5

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("DRIFT_THRESHOLD", "0"),
            ("DRIFT_THRESHOLD", "1.5"),
            ("DRIFT_CHECK_INTERVAL_MINUTES", "0"),
            ("ENABLE_DRIFT_DETECTION", "maybe"),
        ],
    )
    def test_what_cannot_be_is_refused_by_name(self, name: str, text: str) -> None:
        with pytest.raises(ConfigurationError, match=name.lower()):
            load_settings({f"MLOPS__MONITORING__{name}": text})


class TestFullPipeline:
    def test_bars_become_features_become_a_decision(self, service: Running) -> None:
        bars = random_bars(WINDOW)
        hours = service.application.settings.trading_hours
        vector = compute_vector(bars.closes, bars.starts, random_macro(), hours=hours)
        known = datetime.fromtimestamp(int(bars.starts[-1]), UTC) + timedelta(minutes=5)
        service.clock.now = known
        named = dict(zip(USDCOP_M5.names, map(float, vector), strict=True))
        sent = service.post("/v1/inference", features=named, timestamp=known.isoformat())[1]
        read = service.post("/v1/inference", timestamp=known.isoformat())[1]
        assert sent["action_probs"] == read["action_probs"]
        assert sent["risk_status"] != "STALE_DATA"
        record = service.get(f"/v1/decisions/{sent['decision_id']}")[1]
        assert np.array(record["observation"], np.float32).tobytes() == vector.tobytes()

    def test_a_day_at_the_desk_from_approval_to_breaker_to_reset(self, service: Running) -> None:
        approved = service.decide()
        assert approved["approved"] is True
        service.report("t1", -0.012)
        smaller = service.decide()
        assert smaller["risk_metrics"]["daily_pnl"] == -0.012
        assert (
            smaller["position_recommendation"]["position_size_usd"]
            < approved["position_recommendation"]["position_size_usd"]
        )
        service.report("t2", -0.008)
        assert service.decide()["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"
        service.post("/v1/risk/reset")
        assert service.decide()["approved"] is True
        listed = service.get("/v1/decisions")[1]["decisions"]
        assert [entry["approved"] for entry in listed] == [True, False, True, True]

    def test_a_restart_keeps_limits_decisions_and_reports(self, tmp_path: Path) -> None:
        clock = SteppedClock()
        with running(ledger=SqliteLedger(tmp_path / "state.db"), clock=clock) as service:
            decided = service.decide()
            service.report("t1", -0.015)
        with running(ledger=SqliteLedger(tmp_path / "state.db"), clock=clock) as service:
            assert service.get(f"/v1/decisions/{decided['decision_id']}")[0] == 200
            assert service.report("t1", -0.015)["duplicate"] is True
            assert service.report("t2", -0.005)["tripped"] == ["daily_loss"]
            assert service.decide()["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"

    def test_everything_that_happened_adds_up_to_the_state(self, service: Running) -> None:
        service.decide()
        service.report("t1", -0.02)
        service.post("/v1/inference/batch", observations=[CONFIDENT, ZEROS])
        service.post("/v1/risk/reset")
        ledger = service.application.ledger
        state = RiskState()
        for event in reversed(ledger.recent([*EventKind], limit=100)):
            state = fold(state, event)
        assert state == ledger.head().state

    def test_a_batch_says_what_single_dry_runs_say(self, service: Running) -> None:
        observations = [[float(value) for value in row] for row in rows(20)]
        status, batch = service.post("/v1/inference/batch", observations=observations)
        assert (status, batch["total"]) == (200, 20)
        for observation, row in zip(observations, batch["results"], strict=True):
            single = service.decide(observation, dry_run=True)
            assert row["action_probs"] == pytest.approx(single["action_probs"])
            assert (row["signal"], row["risk_status"]) == (single["signal"], single["risk_status"])
            assert row["approved"] is False


@pytest.mark.live
class TestAPI:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "/health", None),
            ("POST", "/v1/inference", {"observation": ZEROS}),
            ("POST", "/v1/inference/batch", {"observations": [ZEROS, ZEROS]}),
            ("GET", "/v1/risk/summary", None),
            ("POST", "/v1/risk/trade-result", {"trade_id": "t", "pnl": 5, "pnl_percent": 5e-5}),
            ("POST", "/v1/risk/reset", None),
            ("GET", "/v1/metrics", None),
            ("GET", "/v1/models", None),
            ("GET", "/v1/cache/stats", None),
        ],
    )
    def test_every_endpoint_of_the_guide_answers(
        self, client: httpx.Client, method: str, path: str, body: dict[str, Any] | None
    ) -> None:
        answer = client.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()

    def test_the_guides_request_gets_the_guides_response(self, client: httpx.Client) -> None:
        answer = client.post("/v1/inference", json={**REQUEST, "observation": CONFIDENT}).json()
        assert {
            name: has_type(answer[name], kind) for name, kind in ANSWER.items()
        } == dict.fromkeys(ANSWER, True)
        assert set(answer["action_probs"]) == {"SELL", "HOLD", "BUY"}
        assert sum(answer["action_probs"].values()) == pytest.approx(1)
        for part, fields in (
            ("risk_metrics", METRICS),
            ("position_recommendation", RECOMMENDATION),
        ):
            for name, kind in fields.items():
                assert has_type(answer[part][name], kind), (part, name)
        assert (answer["signal"], answer["model_name"]) == ("BUY", "ensemble")
        assert answer["confidence"] == answer["action_probs"]["BUY"]
        assert answer["position_recommendation"]["risk_level"] in {"low", "medium", "high"}

    @pytest.mark.parametrize("digits", [400, 4300, 100_000])
    def test_a_whole_number_too_long_for_any_float_is_400(
        self, client: httpx.Client, digits: int
    ) -> None:
        number, zeros = "9" * digits, ",".join(["0"] * 44)
        others = ",".join(f'"{name}": 0' for name in USDCOP_M5.names[1:])
        for path, body in (
            ("/v1/inference", f'{{"observation": [{number},{zeros}]}}'),
            ("/v1/inference", f'{{"features": {{"{USDCOP_M5.names[0]}": {number},{others}}}}}'),
            ("/v1/inference", f'{{"observation": [0,{zeros}], "capital_usd": {number}}}'),
            ("/v1/inference/batch", f'{{"observations": [[-{number},{zeros}]]}}'),
            ("/v1/risk/trade-result", f'{{"trade_id": "t", "pnl": 1, "pnl_percent": {number}}}'),
        ):
            headers = {"Content-Type": "application/json"}
            answer = client.post(path, content=body, headers=headers)
            assert answer.status_code == 400, (path, answer.text[:200])
            assert set(answer.json()["error"]) == {"code", "message", "detail"}

    def test_prometheus_finds_metrics(self, client: httpx.Client) -> None:
        client.post("/v1/inference", json={"observation": ZEROS})
        text = client.get("/metrics").text
        assert "usdcop_decisions_total{" in text
        assert "usdcop_decision_seconds_bucket{" in text


def write_configuration(folder: Path, content: dict[str, Any]) -> Path:
    file = folder / "config" / "mlops.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def assert_probabilities(found: NDArray[np.float64]) -> None:
    assert found.shape[1] == 3
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
