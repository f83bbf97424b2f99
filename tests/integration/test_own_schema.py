"""A policy that sees its own position, on a schema of the desk's own."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bootstrap import models_on_record
from config.load import DEFAULT_FILE
from errors import ConfigurationError, ModelMismatch
from features.own_schema import schema_from_document
from recomputation import Recomputer
from risk.events import EventKind
from risk.ledger.memory import MemoryLedger
from tests.integration.running import Running, SteppedClock, running
from tests.integration.test_market import HISTORY, bar, bars_of, close_of, day_of, macro_rows, post
from tests.runners.graphs import linear_graph

FIRST = HISTORY + 75  # on a day without a holiday, an hour or so into the session
SCHEMA = {
    "version": "desk-1",
    "features": ["log_return_5m", "position", "unrealized_pnl", "minutes_left"],
}
# SELL, HOLD, BUY: holding pulls to HOLD, being flat to BUY.
WEIGHTS = np.array([[0.0, 0.0, 0.0], [0.0, 90.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.02]])


def configured(folder: Path, schema: dict[str, Any] = SCHEMA, hashed: str | None = None) -> Path:
    """A configuration that serves one small model on this schema."""
    metadata = {
        "algorithm": "PPO",
        "output": "probabilities",
        "observation_dim": "4",
        "actions": "SELL,HOLD,BUY",
        "feature_schema": hashed or schema_from_document(SCHEMA).hash,
    }
    content = linear_graph("probabilities", weights=WEIGHTS, metadata=metadata, dimension=4)
    (folder / "small.onnx").write_bytes(content)
    (folder / "small.schema.yaml").write_text(yaml.safe_dump(schema))
    settings = yaml.safe_load(DEFAULT_FILE.read_text())
    settings["models"] = [
        {"name": "small", "algorithm": "PPO", "onnx_path": "small.onnx", "observation_dim": 4}
    ]
    settings["model_storage_path"] = str(folder)
    settings["feature_schema"] = "small.schema.yaml"
    file = folder / "mlops.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def service(bentoml_home: object, tmp_path: Path, ledger: MemoryLedger) -> Iterator[Running]:
    del bentoml_home
    clock = SteppedClock(close_of(FIRST - 1) + timedelta(seconds=1))
    with running({}, path=configured(tmp_path), clock=clock, ledger=ledger) as started:
        started.post("/v1/market/macro", values=macro_rows(day_of(FIRST)))
        started.post("/v1/market/bars", bars=bars_of(0, FIRST))
        yield started


def observation(service: Running, answer: dict[str, Any]) -> dict[str, float]:
    _, record = service.get(f"/v1/decisions/{answer['decision_id']}")
    return dict(zip(SCHEMA["features"], record["observation"], strict=True))


def test_the_policy_sees_what_the_request_or_the_newest_report_says_is_held(
    service: Running,
) -> None:
    flat = post(service, FIRST, decide=True)["decision"]
    assert (flat["raw_signal"], observation(service, flat)["position"]) == ("BUY", 0.0)

    now = service.clock.now.isoformat()
    service.post("/v1/risk/position", position=0.08, as_of=now)
    service.post("/v1/risk/mark", unrealized_pnl_percent=-0.004, as_of=now)
    held = post(service, FIRST, decide=True)["decision"]
    seen = observation(service, held)
    assert held["raw_signal"] == "HOLD"
    assert seen["position"] == pytest.approx(0.08)
    assert seen["unrealized_pnl"] == pytest.approx(-0.004)
    ends_at = service.clock.now.replace(hour=17, minute=55, second=0)
    assert seen["minutes_left"] == pytest.approx((ends_at - service.clock.now).seconds / 60)

    told = post(service, FIRST, decide=True, position=-0.02)["decision"]
    assert observation(service, told)["position"] == pytest.approx(-0.02)


def test_a_caller_names_the_features_of_the_book_himself_or_leaves_them_out(
    service: Running,
) -> None:
    _, left_out = service.post("/v1/inference", features={"log_return_5m": 0.001}, position=0.05)
    assert observation(service, left_out)["position"] == pytest.approx(0.05)
    own = {"log_return_5m": 0.001, "position": 0.02, "unrealized_pnl": 0.0, "minutes_left": 5.0}
    _, given = service.post("/v1/inference", features=own, position=0.05)
    assert observation(service, given)["position"] == pytest.approx(0.02)


def test_a_cached_vector_is_filled_anew(service: Running) -> None:
    at = service.clock.now.isoformat()
    service.post("/v1/inference", features={"log_return_5m": 0.001}, position=0.05, timestamp=at)
    _, again = service.post("/v1/inference", timestamp=at, position=0.01)
    assert observation(service, again)["position"] == pytest.approx(0.01)


def test_a_retry_of_an_order_is_the_same_though_the_book_has_changed(service: Running) -> None:
    first = post(service, FIRST, decide=True, order_id="O-1")["decision"]
    assert first["approved"], first["reasons"]
    now = service.clock.now.isoformat()
    service.post("/v1/risk/position", position=0.01, as_of=now)

    again = post(service, FIRST, decide=True, order_id="O-1")["decision"]

    assert (again["approved"], again["replayed"]) == (True, True)


def test_such_decisions_are_recomputed_identically(service: Running, ledger: MemoryLedger) -> None:
    for index in range(FIRST, FIRST + 4):
        now = service.clock.now.isoformat()
        service.post("/v1/risk/position", position=0.01 * (index - FIRST), as_of=now)
        post(service, index, decide=True)
    recomputer = Recomputer(ledger, models_on_record)
    events = ledger.recent([EventKind.DECISION], limit=10)
    assert len(events) == 4
    for event in events:
        assert recomputer.recompute(event).identical, recomputer.recompute(event)


def test_a_model_of_another_schema_stops_the_start(bentoml_home: object, tmp_path: Path) -> None:
    file = configured(tmp_path, hashed="0" * 64)
    with (
        pytest.raises(ModelMismatch, match="trained on feature schema 0000"),
        running({}, path=file),
    ):
        pass


def test_a_schema_of_another_length_or_with_an_unknown_name_stops_the_start(
    bentoml_home: object, tmp_path: Path
) -> None:
    short = {**SCHEMA, "features": SCHEMA["features"][:3]}
    for schema, complaint in (
        (short, "names 3 features, but the models read 4"),
        ({**SCHEMA, "features": ["rsi_15"] * 4}, "which is not built in; did you mean 'rsi_"),
    ):
        file = configured(tmp_path, schema)
        with pytest.raises(ConfigurationError, match=complaint), running({}, path=file):
            pass
    (tmp_path / "small.schema.yaml").unlink()
    with pytest.raises(ConfigurationError, match="no such file"), running({}, path=file):
        pass


def test_bars_of_a_schema_with_numbers_of_callers_are_kept_and_not_decided_on(
    bentoml_home: object, tmp_path: Path
) -> None:
    own = {"name": "flow", "formula": "f", "unit": "ratio"}
    schema = {"version": "desk-2", "features": ["log_return_5m", "rsi_14", "position", own]}
    file = configured(tmp_path, schema, hashed=schema_from_document(schema).hash)
    clock = SteppedClock(close_of(FIRST))
    with running({}, path=file, clock=clock) as service:
        _, answer = service.post("/v1/market/bars", bars=bars_of(0, FIRST), decide=True)
        assert answer["decision"] is None
        assert "only callers know: flow" in answer["not_ready"]
        status, decided = service.post(
            "/v1/inference", features={"log_return_5m": 0.0, "rsi_14": 50.0, "flow": 1.0}
        )
        assert (status, decided["risk_status"] != "SYSTEM_ERROR") == (200, True)
    assert bar(0)["close"] > 0
