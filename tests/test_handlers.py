"""The POST routes from a checked body to bytes: what a handler does when things go wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Event as Signpost
from typing import Any

import numpy as np
import pytest
from fastapi import Response
from numpy.typing import NDArray
from pydantic import ValidationError

from api.handlers import Handlers
from api.messages import BatchInferenceRequest, InferenceRequest, TradeResultRequest
from api.vectors import request_observation
from application import Application
from errors import InvalidRequest, NotFound, StoreUnavailable
from features.evidence import Evidence
from features.reference import Reference
from features.schema import USDCOP_M5
from features.vetoes import Veto
from risk.events import Draft, Event, EventKind
from risk.ledger.memory import MemoryLedger
from runners.ensemble import Prediction
from tests.fakes import TroubledLedger, decisions_of
from tests.integration.running import CONFIDENT, MODELS, Running, as_local, running

MOST_WAITING = 1024
LONG = 10**400
ZEROS = [0.0] * 45
VECTOR = np.array(CONFIDENT, np.float32)
INFERENCE = InferenceRequest(observation=CONFIDENT)


class SlowLedger(MemoryLedger):
    """A ledger that, once told to, answers nobody until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.let_go = Signpost(), Signpost()
        self.let_go.set()

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        self.asked.set()
        if not self.let_go.wait(30):
            raise StoreUnavailable("nobody let the ledger go")
        return super().append(drafts, expected=expected, durable=durable)

    def hold_up(self) -> None:
        self.asked.clear()
        self.let_go.clear()


@dataclass
class FailingModels:
    """Models that fail in a way that nobody foresaw."""

    error: Exception

    def predict(self, observations: NDArray[np.float32]) -> Prediction:
        raise self.error

    def predict_one(self, observations: NDArray[np.float32], name: str) -> Prediction:
        raise self.error

    def references(self, name: str | None) -> tuple[Reference, ...]:
        del name
        return ()

    def vetoes(
        self, vector: NDArray[np.float32], evidence: Evidence | None, name: str | None
    ) -> tuple[Veto, ...]:
        raise self.error


def request_vector(
    message: InferenceRequest, application: Application, now: datetime
) -> NDArray[np.float32]:
    return request_observation(message, application, now).vector


@contextmanager
def with_failing_models(service: Running, error: Exception) -> Iterator[Running]:
    desk = replace(service.application.desk, models=FailingModels(error))
    failing = Running(replace(service.application, desk=desk), service.clock)
    try:
        yield failing
    finally:
        failing.turns.close()


@pytest.fixture
def service() -> Iterator[Running]:
    with running() as started:
        yield started


@pytest.fixture
def application(service: Running) -> Application:
    return service.application


@pytest.fixture
def slow() -> Iterator[tuple[Running, SlowLedger]]:
    ledger = SlowLedger()
    with running(ledger=ledger) as started:
        try:
            yield started, ledger
        finally:
            ledger.let_go.set()


@pytest.fixture
def troubled() -> Iterator[tuple[Running, TroubledLedger]]:
    ledger = TroubledLedger()
    with running(ledger=ledger) as started:
        yield started, ledger


class TestWaiting:
    def test_the_event_loop_goes_on_while_a_decision_waits_for_the_ledger(
        self, slow: tuple[Running, SlowLedger]
    ) -> None:
        service, ledger = slow

        async def run() -> Response:
            ledger.hold_up()
            waiting = asyncio.create_task(as_local(service.handlers.inference, INFERENCE))
            assert await asyncio.to_thread(ledger.asked.wait, 20)
            assert not waiting.done()
            ledger.let_go.set()
            return await waiting

        assert b'"risk_status":"APPROVED"' in bytes(asyncio.run(run()).body)

    def test_what_waited_too_long_is_not_begun_and_what_was_begun_is_told(
        self, slow: tuple[Running, SlowLedger], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service, ledger = slow
        monkeypatch.setattr("api.turns._LONGEST_WAIT", 0.05)

        async def run() -> tuple[Response, Response]:
            ledger.hold_up()
            begun = asyncio.create_task(as_local(service.handlers.inference, INFERENCE))
            assert await asyncio.to_thread(ledger.asked.wait, 20)
            refused = await as_local(service.handlers.inference, INFERENCE)
            assert not begun.done()
            ledger.let_go.set()
            return await begun, refused

        told, refused = asyncio.run(run())
        assert (told.status_code, refused.status_code) == (200, 503)
        assert b'"code":"overloaded"' in bytes(refused.body)
        assert b"was not begun" in bytes(refused.body)
        assert len(decisions_of(ledger)) == 1

    def test_one_more_than_may_wait_is_told_to_come_again_and_the_others_are_served(
        self, slow: tuple[Running, SlowLedger], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service, ledger = slow
        monkeypatch.setattr("api.turns._LONGEST_WAIT", 60)  # however slow this machine is
        refused, served = asyncio.run(flood(service.handlers, ledger))
        assert refused.status_code == 503
        assert b'"code":"overloaded"' in bytes(refused.body)
        assert b"1024 requests are waiting" in bytes(refused.body)
        assert [response.status_code for response in served] == [200] * MOST_WAITING
        assert len(ledger.recent([EventKind.DECISION], limit=2000)) == MOST_WAITING
        assert service.decide()["approved"] is True


async def flood(handlers: Handlers, ledger: SlowLedger) -> tuple[Response, list[Response]]:
    """Fill the queue, ask once more, then let everything go."""
    ledger.hold_up()
    waiting = [
        asyncio.create_task(as_local(handlers.inference, INFERENCE)) for _ in range(MOST_WAITING)
    ]
    await asyncio.sleep(0)  # each of them now waits for the thread
    try:
        async with asyncio.timeout(20):
            refused = await as_local(handlers.inference, INFERENCE)
    finally:
        ledger.let_go.set()
    return refused, await asyncio.gather(*waiting)


class TestFaults:
    @pytest.mark.parametrize(
        "error", [RuntimeError("boom"), ZeroDivisionError(), KeyError("x"), MemoryError()]
    )
    def test_whatever_goes_wrong_in_a_decision_is_hold_and_on_the_log(
        self, service: Running, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        with with_failing_models(service, error) as failing, caplog.at_level(logging.ERROR):
            answer = failing.decide()
        assert (answer["signal"], answer["risk_status"]) == ("HOLD", "SYSTEM_ERROR")
        assert (answer["approved"], answer["state_sequence"]) == (False, None)
        assert "boom" not in answer["reasons"][0]
        (logged,) = [record for record in caplog.records if record.name == "usdcop.api"]
        assert logged.getMessage() == "a decision failed"
        assert logged.exc_info is not None
        assert logged.exc_info[1] is error

    def test_whatever_goes_wrong_in_a_batch_holds_every_row_and_is_on_the_log(
        self, service: Running, caplog: pytest.LogCaptureFixture
    ) -> None:
        with with_failing_models(service, RuntimeError("boom")) as failing:
            status, answer = failing.post("/v1/inference/batch", observations=[ZEROS, [1.0]])
            assert failing.get("/v1/metrics")[1]["batches"]["faults"] == 1
        assert (status, answer["state_sequence"], answer["errors"]) == (200, None, 1)
        assert answer["results"][0]["risk_status"] == "SYSTEM_ERROR"
        assert (answer["results"][0]["signal"], answer["results"][0]["approved"]) == ("HOLD", False)
        assert "error" in answer["results"][1]
        assert "boom" not in answer["fault"]
        assert "a batch failed" in [record.getMessage() for record in caplog.records]

    def test_such_a_decision_is_counted_as_not_stored(self, service: Running) -> None:
        with with_failing_models(service, RuntimeError("boom")) as failing:
            failing.decide()
            counted = failing.get("/v1/metrics")[1]["decisions"]
        assert (counted["total"], counted["not_stored"]) == (1, 1)
        assert counted["by_risk_status"] == {"SYSTEM_ERROR": 1}

    def test_without_a_ledger_decisions_are_hold_and_reports_are_503(
        self, troubled: tuple[Running, TroubledLedger]
    ) -> None:
        service, ledger = troubled
        ledger.unwritable = True
        assert service.decide()["risk_status"] == "SYSTEM_ERROR"
        batch = service.post("/v1/inference/batch", observations=[CONFIDENT])
        assert (batch[0], batch[1]["results"][0]["risk_status"]) == (200, "SYSTEM_ERROR")
        report = {"trade_id": "t", "pnl": -1000, "pnl_percent": -0.01}
        for path, body in (("/v1/risk/trade-result", report), ("/v1/risk/reset", {})):
            status, answer = service.post(path, **body)
            assert status == 503
            assert answer["error"] == {
                "code": "not_ready",
                "message": "the store cannot be written",
                "detail": None,
            }
        ledger.unwritable = False
        assert service.post("/v1/risk/trade-result", **report)[1]["duplicate"] is False

    def test_who_asked_is_on_record(self, service: Running) -> None:
        service.decide()
        service.report("t", -0.01)
        service.post("/v1/risk/reset")
        kinds = [EventKind.DECISION, EventKind.TRADE_RESULT, EventKind.RESET]
        events = service.application.ledger.recent(kinds, limit=10)
        assert [event.actor for event in events] == ["local"] * 3


class TestBatch:
    def test_a_bad_row_is_an_error_in_its_place(self, service: Running) -> None:
        observations: list[Any] = [ZEROS, ZEROS[1:], "text", [None] * 45, [LONG, *ZEROS[1:]], ZEROS]
        status, answer = service.post("/v1/inference/batch", observations=observations)
        assert (status, answer["total"], answer["errors"]) == (200, 6, 4)
        assert ["error" in row for row in answer["results"]] == [False, *[True] * 4, False]
        assert answer["results"][0] == answer["results"][5]
        for index in range(1, 5):
            assert f"row {index}: " in answer["results"][index]["error"]["message"]

    def test_a_whole_number_beyond_every_float_sinks_its_own_row_only(
        self, service: Running
    ) -> None:
        observations = [ZEROS, [LONG, *ZEROS[1:]]]
        status, answer = service.post("/v1/inference/batch", observations=observations)
        assert (status, answer["errors"]) == (200, 1)
        assert answer["results"][1]["error"]["message"].startswith("row 1: value 0 is no finite")

    def test_a_batch_of_bad_rows_only_is_400_and_says_what_is_wrong_with_the_first(
        self, service: Running
    ) -> None:
        status, answer = service.post("/v1/inference/batch", observations=[[1.0], "text"] * 10)
        assert (status, answer["error"]["code"]) == (400, "invalid_request")
        assert "none of the 20 rows" in answer["error"]["message"]
        assert (
            "row 0: the observation has 1 values; the models read 45"
            in (answer["error"]["message"])
        )
        assert len(answer["error"]["detail"]) == 10
        assert service.application.statistics.snapshot()["batches"]["total"] == 0

    def test_more_rows_than_configured_is_413(self) -> None:
        with running({"MLOPS__MAX_BATCH_SIZE": "3"}) as service:
            assert service.post("/v1/inference/batch", observations=[ZEROS] * 3)[0] == 200
            status, answer = service.post("/v1/inference/batch", observations=[ZEROS] * 4)
        assert (status, answer["error"]["code"]) == (413, "too_large")
        assert "4 rows; at most 3 (max_batch_size)" in answer["error"]["message"]

    def test_one_model_can_be_asked_alone(self, service: Running) -> None:
        def name_of(**more: object) -> object:
            answer = service.post("/v1/inference/batch", observations=[ZEROS], **more)[1]
            return answer.get("model_name", answer.get("error"))

        assert name_of() == "ensemble"
        assert name_of(model_name=MODELS[1]) == MODELS[1]
        assert name_of(use_ensemble=False) == MODELS[0]
        assert "means that model alone" in str(name_of(model_name=MODELS[1], use_ensemble=True))
        assert "is not loaded" in str(name_of(model_name="nobody"))


class TestRefusals:
    def test_a_model_that_nobody_loaded_is_400_with_the_names_there_are(
        self, service: Running
    ) -> None:
        status, answer = service.post("/v1/inference", observation=ZEROS, model_name="nobody")
        assert (status, answer["error"]["code"]) == (400, "unknown_model")
        assert answer["error"]["detail"] == {"models": list(MODELS)}
        assert decisions_of(service.application.ledger) == []

    def test_another_content_for_a_trade_is_409(self, service: Running) -> None:
        service.report("t", -0.001)
        status, answer = service.post(
            "/v1/risk/trade-result", trade_id="t", pnl=-200, pnl_percent=-0.002
        )
        assert (status, answer["error"]["code"]) == (409, "trade_conflict")
        assert answer["error"]["detail"]["differs"] == ["pnl", "pnl_percent"]

    def test_a_reset_of_everything_needs_a_reason_and_a_second_reset_is_409(
        self, service: Running
    ) -> None:
        assert service.post("/v1/risk/reset", scope="all")[0] == 400
        assert service.post("/v1/risk/reset")[0] == 200
        status, answer = service.post("/v1/risk/reset")
        assert (status, answer["error"]["code"]) == (409, "reset_limit")


class TestMessages:
    @pytest.mark.parametrize(
        "value",
        [LONG, -LONG, float("nan"), float("inf"), "1", True, None],
        ids=lambda value: f"{value!s:.8}",
    )
    def test_what_is_no_finite_number_is_no_observation(self, value: Any) -> None:
        with pytest.raises(ValidationError):
            InferenceRequest(observation=[value, *ZEROS[1:]])
        with pytest.raises(ValidationError):
            InferenceRequest(features={"rsi_14": value})
        with pytest.raises(ValidationError):
            TradeResultRequest(trade_id="t", pnl=-1.0, pnl_percent=value)

    def test_whole_numbers_are_numbers(self, application: Application) -> None:
        numbers = list(range(45))
        now = application.desk.clock()
        vector = request_vector(InferenceRequest(observation=numbers), application, now)
        assert vector.tolist() == [float(number) for number in numbers]

    @pytest.mark.parametrize(
        "timestamp", ["latest", "", "2026-03-02", "2026-03-02T14:00:00", 1_772_456_400, True]
    )
    def test_what_is_no_time_with_a_zone_is_no_timestamp(self, timestamp: Any) -> None:
        with pytest.raises(ValidationError):
            InferenceRequest.model_validate({"timestamp": timestamp})

    def test_a_batch_needs_a_row(self) -> None:
        with pytest.raises(ValidationError):
            BatchInferenceRequest(observations=[])


class TestVectors:
    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(LONG, id="400 digits"),
            1e39,
            -1e39,
            float("nan"),
        ],
    )
    def test_what_does_not_fit_32_bits_is_refused_by_its_place(
        self, application: Application, value: Any
    ) -> None:
        # As it would come if a number slipped past the message.
        message = InferenceRequest.model_construct(observation=[0.0, value, *ZEROS[2:]])
        with pytest.raises(InvalidRequest, match="value 1 is no finite 32-bit number") as caught:
            request_vector(message, application, application.desk.clock())
        assert len(str(caught.value)) < 120

    @pytest.mark.parametrize("count", [0, 1, 44, 46])
    def test_another_length_is_refused_with_both(
        self, application: Application, count: int
    ) -> None:
        message = InferenceRequest(observation=[0.0] * count)
        with pytest.raises(InvalidRequest, match=f"has {count} values; the models read 45"):
            request_vector(message, application, application.desk.clock())

    def test_names_come_in_any_order_and_each_exactly_once(self, application: Application) -> None:
        named = dict(reversed([*zip(USDCOP_M5.names, CONFIDENT, strict=True)]))
        now = application.desk.clock()
        vector = request_vector(InferenceRequest(features=named), application, now)
        assert vector.tobytes() == VECTOR.tobytes()
        del named["rsi_14"]
        with pytest.raises(InvalidRequest, match="missing: rsi_14"):
            request_vector(InferenceRequest(features=named), application, now)
        named["rsi14"] = 50.0
        with pytest.raises(InvalidRequest, match="unknown: rsi14"):
            request_vector(InferenceRequest(features=named), application, now)

    def test_without_a_schema_names_are_refused(self, application: Application) -> None:
        bare = replace(application, schema=None)
        with pytest.raises(InvalidRequest, match="send `observation`"):
            request_vector(InferenceRequest(features={"a": 1.0}), bare, bare.desk.clock())

    @pytest.mark.parametrize(
        ("body", "says"),
        [({}, "nothing to decide on"), ({"observation": ZEROS, "features": {}}, "both given")],
    )
    def test_there_is_exactly_one_source(
        self, application: Application, body: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(InvalidRequest, match=says):
            request_vector(InferenceRequest(**body), application, application.desk.clock())

    def test_a_vector_sent_with_its_time_is_read_by_its_time_in_any_zone(
        self, service: Running
    ) -> None:
        application, now = service.application, service.clock.now
        service.decide(timestamp="2026-03-02T14:00:00Z")
        for text in ("2026-03-02T14:00:00+00:00", "2026-03-02T09:00:00-05:00"):
            asked = InferenceRequest.model_validate({"timestamp": text})
            assert request_vector(asked, application, now).tobytes() == VECTOR.tobytes()
        other = InferenceRequest.model_validate({"timestamp": "2026-03-02T14:00:01Z"})
        with pytest.raises(NotFound, match=r"vectors are kept 300 s"):
            request_vector(other, application, now)

    @pytest.mark.parametrize(
        "wrong", [{"observation": [0.0]}, {"model_name": "nobody"}, {"features": {}}]
    )
    def test_what_came_with_a_refused_request_is_not_kept(
        self, service: Running, wrong: dict[str, Any]
    ) -> None:
        body = {"observation": CONFIDENT, "timestamp": "2026-03-02T14:00:00Z", **wrong}
        assert service.post("/v1/inference", **body)[0] == 400
        assert service.application.cache.stats().size == 0
