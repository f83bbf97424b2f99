"""From a validated body to a call into the pipeline, and from its result to bytes.

Everything that touches the ledger runs on one thread of its own: the event loop never waits
for a disk, and one process never contends with itself.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import orjson
from fastapi import Response
from numpy.typing import NDArray

from api.access import current_caller
from api.failures import failure_of
from api.messages import (
    BatchInferenceRequest,
    InferenceRequest,
    ResetRequest,
    TradeResultRequest,
)
from api.vectors import batch_vectors, request_vector
from application import Application
from batch import BatchRequest, decide_batch, decide_batch_without_knowing
from errors import InvalidRequest, NotReady, RequestError, ServiceError, TooLarge
from monitoring.observer import ResultRecorded
from pipeline import DecisionRequest, decide, decide_without_knowing
from risk.breaker import breaker_state
from risk.resets import record_reset
from risk.results import TradeResult, record_trade_result
from risk.state import roll
from risk.summary import risk_metrics

__all__ = ["Handlers"]

_LOGGER = logging.getLogger("usdcop.api")
_MOST_WAITING = 1024
_LONGEST_WAIT = 4.0  # seconds; BentoML cuts a request off at `traffic.timeout`, in words of its own

Result = TypeVar("Result")


class Handlers:
    """The POST routes.

    Args:
        application: what `bootstrap` built.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._desk = application.desk
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._waiting = 0

    async def inference(self, message: InferenceRequest) -> Response:
        """Decide on one observation."""
        return await self._answer(lambda caller: self._decide(message, caller))

    async def inference_batch(self, message: BatchInferenceRequest) -> Response:
        """Decide on many; nothing is approved."""
        return await self._answer(lambda caller: self._decide_batch(message, caller))

    async def trade_result(self, message: TradeResultRequest) -> Response:
        """Put a closed trade on record."""
        return await self._answer(lambda caller: self._record_result(message, caller))

    async def risk_reset(self, message: ResetRequest) -> Response:
        """Clear counters."""
        return await self._answer(lambda caller: self._reset(message, caller))

    def close(self) -> None:
        """Finish what is under way."""
        self._thread.shutdown(wait=True)

    async def _answer(self, work: Callable[[str], dict[str, Any]]) -> Response:
        caller = current_caller.get().name
        try:
            content = await self._run(lambda: work(caller))
        except ServiceError as error:
            failure = failure_of(error)
            return Response(failure.body, failure.status, media_type="application/json")
        return Response(orjson.dumps(content), media_type="application/json")

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= _MOST_WAITING:
            raise NotReady(
                f"{self._waiting} requests are waiting; send this one again later",
                code="overloaded",
            )
        self._waiting += 1
        job = self._thread.submit(work)
        try:
            async with asyncio.timeout(_LONGEST_WAIT):
                return await asyncio.shield(asyncio.wrap_future(job))
        except TimeoutError:
            if job.cancel():
                raise NotReady(
                    f"the request waited {_LONGEST_WAIT:g} s and was not begun; send it again",
                    code="overloaded",
                ) from None
            # It runs already: what it puts on record must be told.
            return await asyncio.wrap_future(job)
        finally:
            self._waiting -= 1

    def _decide(self, message: InferenceRequest, caller: str) -> dict[str, Any]:
        request = DecisionRequest(
            observation=request_vector(message, self._application, self._desk.clock()),
            observed_at=message.timestamp,
            model_name=self._chosen_model(message),
            enforce_risk_checks=message.enforce_risk_checks,
            capital_usd=message.capital_usd,
            dry_run=message.dry_run,
            caller=caller,
        )
        try:
            answer = decide(request, self._desk)
        except RequestError:
            raise
        except Exception:
            # The edge: whatever went wrong, the desk gets a HOLD and the fault is on the log.
            _LOGGER.exception("a decision failed")
            answer = decide_without_knowing(request, self._desk)
        sent = message.observation is not None or message.features is not None
        if sent and message.timestamp is not None:
            self._application.cache.put(message.timestamp, request.observation, self._desk.clock())
        return answer

    def _decide_batch(self, message: BatchInferenceRequest, caller: str) -> dict[str, Any]:
        most = self._application.settings.max_batch_size
        if len(message.observations) > most:
            raise TooLarge(
                f"{len(message.observations)} rows; at most {most} (max_batch_size) fit one batch"
            )
        rows, errors = batch_vectors(message.observations, self._application.observation_dim)
        if not len(rows):
            raise InvalidRequest(
                f"none of the {len(errors)} rows can be decided on; {errors[0]['message']}",
                detail=list(errors.values())[:10],
            )
        decided = self._decide_rows(message, rows, caller)
        decisions = iter(decided.pop("decisions"))
        results = [
            {"error": errors[index]} if index in errors else next(decisions)
            for index in range(len(message.observations))
        ]
        return {**decided, "results": results, "total": len(results), "errors": len(errors)}

    def _decide_rows(
        self, message: BatchInferenceRequest, rows: NDArray[np.float32], caller: str
    ) -> dict[str, Any]:
        request = BatchRequest(
            observations=rows,
            model_name=self._chosen_model(message),
            enforce_risk_checks=message.enforce_risk_checks,
            caller=caller,
        )
        try:
            return decide_batch(request, self._desk)
        except RequestError:
            raise
        except Exception:
            _LOGGER.exception("a batch failed")
            return decide_batch_without_knowing(request, self._desk)

    def _chosen_model(self, message: InferenceRequest | BatchInferenceRequest) -> str | None:
        """The model that decides alone; None for the ensemble."""
        name = message.model_name
        if name is not None and message.use_ensemble:
            raise InvalidRequest(
                f"model_name {name!r} means that model alone; leave out `use_ensemble: true`, "
                "or leave out `model_name` for the ensemble"
            )
        if name is None and message.use_ensemble is False:
            return self._application.models.first_name
        return name

    def _record_result(self, message: TradeResultRequest, caller: str) -> dict[str, Any]:
        desk, now = self._desk, self._desk.clock()
        recorded = record_trade_result(
            TradeResult(**message.model_dump()),
            ledger=desk.ledger,
            limits=desk.limits,
            calendar=desk.calendar,
            now=now,
            new_id=desk.new_id,
            actor=caller,
        )
        tripped = tuple(trip.kind.value for trip in recorded.trips)
        desk.observer.observe(ResultRecorded(duplicate=recorded.duplicate, trips=tripped))
        state = roll(recorded.state, desk.calendar.day(now))
        return {
            "trade_id": message.trade_id,
            "duplicate": recorded.duplicate,
            "tripped": list(tripped),
            "breaker": breaker_state(state, now).value,
            "risk_metrics": risk_metrics(state),
            "state_sequence": state.sequence,
            "event_id": recorded.event.event_id,
        }

    def _reset(self, message: ResetRequest, caller: str) -> dict[str, Any]:
        desk, now = self._desk, self._desk.clock()
        event, state = record_reset(
            message.scope,
            message.reason,
            ledger=desk.ledger,
            limits=desk.limits,
            calendar=desk.calendar,
            now=now,
            new_id=desk.new_id,
            actor=caller,
        )
        return {
            "scope": message.scope.value,
            "risk_metrics": risk_metrics(state),
            "breaker": breaker_state(state, now).value,
            "state_sequence": state.sequence,
            "event_id": event.event_id,
        }
