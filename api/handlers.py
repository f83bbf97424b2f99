"""From a validated body to a call into the pipeline, and from its result to JSON values."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from fastapi import Response
from numpy.typing import NDArray

from api.deciding import Observed, approved_observation, chosen_model, decisions_of
from api.messages import (
    BatchInferenceRequest,
    HaltRequest,
    InferenceRequest,
    MarkRequest,
    PositionRequest,
    ReleaseRequest,
    ResetRequest,
    ResumeRequest,
    TradeResultRequest,
)
from api.turns import Turns
from api.vectors import batch_vectors, request_observation
from application import Application
from batch import BatchRequest, decide_batch, decide_batch_without_knowing
from errors import InvalidRequest, NotFound, RequestError, StoreError, TooLarge
from monitoring.observer import OperatorActed, ReportRecorded, ResultRecorded
from observation import DecisionRequest
from pipeline import Decided, obey_halt_file, told
from risk.acts import Act
from risk.breaker import breaker_state
from risk.events import timestamp
from risk.fixed_point import from_nano
from risk.fold import roll
from risk.operator import Operated, record_halt, record_resume
from risk.orders import Outcome, record_release
from risk.reports import Reported, record_mark, record_position
from risk.resets import record_reset
from risk.results import TradeResult, record_trade_result
from risk.state import OperatorMode, RiskState
from risk.summary import risk_metrics

__all__ = ["Handlers"]

_LOGGER = logging.getLogger("usdcop.api")

Result = TypeVar("Result")


class Handlers:
    """The POST routes.

    Args:
        application: what `bootstrap` built.
        turns: for all that touches the ledger.
    """

    def __init__(self, application: Application, turns: Turns) -> None:
        self._application, self._turns = application, turns
        self._desk = application.desk

    async def inference(self, message: InferenceRequest) -> Response:
        """Decide on one observation."""
        return await self._turns.answer_together(self._decide_all, message)

    async def inference_batch(self, message: BatchInferenceRequest) -> Response:
        """Decide on many; nothing is approved."""
        return await self._turns.answer(lambda caller: self._decide_batch(message, caller))

    async def trade_result(self, message: TradeResultRequest) -> Response:
        """Put a closed trade on record."""
        return await self._act(lambda act: self._record_result(message, act))

    async def risk_position(self, message: PositionRequest) -> Response:
        """Put on record what is held."""
        return await self._act(
            lambda act: self._told_report(
                record_position(message.position, message.as_of, act), act
            )
        )

    async def risk_mark(self, message: MarkRequest) -> Response:
        """Put on record what the open book is worth."""
        return await self._act(lambda act: self._record_mark(message, act))

    async def order_release(self, message: ReleaseRequest) -> Response:
        """Put on record that an order will have no result."""
        return await self._act(lambda act: self._release(message, act))

    async def risk_halt(self, message: HaltRequest) -> Response:
        """Stop."""
        return await self._act(
            lambda act: self._operated(record_halt(OperatorMode(message.mode), message.reason, act))
        )

    async def risk_resume(self, message: ResumeRequest) -> Response:
        """Go on."""
        return await self._act(lambda act: self._resume(message, act))

    async def risk_reset(self, message: ResetRequest) -> Response:
        """Clear counters."""
        return await self._act(lambda act: self._reset(message, act))

    async def obey_halt_file(self) -> None:
        """Halt the book if the halt file is there, also while nobody asks for a decision."""
        await self._turns.run(lambda: obey_halt_file(self._desk, self._desk.clock()))

    async def _act(self, work: Callable[[Act], dict[str, Any]]) -> Response:
        desk = self._desk
        return await self._turns.answer(lambda caller: work(desk.act(desk.clock(), caller)))

    def _decide_all(self, asked: Sequence[tuple[InferenceRequest, str]]) -> list[Any]:
        """Decide on all that wait; what is wrong with one is its own."""
        requests = [_outcome(self._request, message, caller) for message, caller in asked]
        good = [request for request in requests if isinstance(request, DecisionRequest)]
        found = iter(decisions_of(good, self._desk))
        outcomes = [
            request if isinstance(request, Exception) else next(found) for request in requests
        ]
        for outcome, (message, _) in zip(outcomes, asked, strict=True):
            if isinstance(outcome, Decided):
                self._keep(message, outcome.request)
        decided = [outcome for outcome in outcomes if isinstance(outcome, Decided)]
        answers = iter(told(decided, self._desk))
        return [next(answers) if isinstance(outcome, Decided) else outcome for outcome in outcomes]

    def _keep(self, message: InferenceRequest, request: DecisionRequest) -> None:
        """Keep a vector that was sent with its time in the cache, for who asks with its time."""
        sent = message.observation is not None or message.features is not None
        if not sent or message.timestamp is None:
            return
        try:
            self._application.cache.put(message.timestamp, request.observation, self._desk.clock())
        except Exception:
            about = {"caller": request.caller, "order_id": request.order_id}
            _LOGGER.exception("a vector could not be cached", extra=about)

    def _request(self, message: InferenceRequest, caller: str) -> DecisionRequest:
        observed = self._observation(message)
        return DecisionRequest(
            observation=observed.vector,
            observed_at=message.timestamp,
            evidence=observed.evidence,
            fill_state=observed.fill_state,
            superseded_by=observed.superseded_by,
            model_name=self._chosen_model(message),
            enforce_risk_checks=message.enforce_risk_checks,
            order_id=message.order_id,
            position=message.position,
            capital_usd=message.capital_usd,
            dry_run=message.dry_run,
            caller=caller,
        )

    def _observation(self, message: InferenceRequest) -> Observed:
        """What to decide on; of an order that is approved already, what it was approved on.

        That also where a late bar has changed the vector since, or no cache has it any more.
        """
        fault, approved = None, None
        if message.observation is None and message.features is None:
            try:
                approved = approved_observation(message.order_id, message.timestamp, self._desk)
            except StoreError as error:
                fault = error  # `decide` says what is wrong
        if approved is not None and message.enforce_risk_checks and not message.dry_run:
            return approved
        try:
            return request_observation(message, self._application, self._desk.clock())
        except NotFound:
            if fault is not None:
                raise fault from None
            if approved is None:
                raise
            return approved

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
            _LOGGER.exception("a batch failed", extra={"caller": caller})
            return decide_batch_without_knowing(request, self._desk)

    def _chosen_model(self, message: InferenceRequest | BatchInferenceRequest) -> str | None:
        return chosen_model(
            message.model_name, self._application, use_ensemble=message.use_ensemble
        )

    def _record_result(self, message: TradeResultRequest, act: Act) -> dict[str, Any]:
        recorded = record_trade_result(TradeResult(**message.model_dump()), act)
        tripped = tuple(trip.kind.value for trip in recorded.trips)
        self._desk.observer.observe(
            ResultRecorded(recorded.duplicate, tripped, act.actor, message.order_id)
        )
        return {
            "trade_id": message.trade_id,
            "duplicate": recorded.duplicate,
            "order_closed": recorded.order_closed,
            "tripped": list(tripped),
            "released": recorded.released,
            **_standing(recorded.state, act),
            "event_id": recorded.event.event_id,
        }

    def _record_mark(self, message: MarkRequest, act: Act) -> dict[str, Any]:
        reported = record_mark(
            message.unrealized_pnl_percent, message.as_of, act, confirm=message.confirm
        )
        return self._told_report(reported, act)

    def _told_report(self, reported: Reported, act: Act) -> dict[str, Any]:
        tripped = tuple(trip.kind.value for trip in reported.trips)
        self._desk.observer.observe(
            ReportRecorded(
                kind=reported.event.kind.value,
                newest=reported.newest,
                trips=tripped,
                caller=act.actor,
            )
        )
        position = reported.state.position
        return {
            "newest": reported.newest,
            "tripped": list(tripped),
            "unconfirmed": [trip.kind.value for trip in reported.unconfirmed],
            "position": None if position is None else from_nano(position.value),
            **_standing(reported.state, act),
            "event_id": reported.event.event_id,
        }

    def _release(self, message: ReleaseRequest, act: Act) -> dict[str, Any]:
        released = record_release(message.order_id, Outcome(message.outcome), act)
        return {
            "order_id": message.order_id,
            "outcome": message.outcome,
            "duplicate": released.duplicate,
            "was_open": released.was_open,
            **_standing(released.state, act),
            "event_id": released.event.event_id,
        }

    def _resume(self, message: ResumeRequest, act: Act) -> dict[str, Any]:
        present = self._desk.halt_requested()
        mode = OperatorMode(message.mode)
        return self._operated(record_resume(mode, message.reason, act, halt_file=present))

    def _operated(self, operated: Operated) -> dict[str, Any]:
        operator = operated.operator
        self._desk.observer.observe(
            OperatorActed(
                mode=operator.mode.value,
                changed=operated.changed,
                actor=operator.actor or "",
                reason=operator.reason,
            )
        )
        return {
            "mode": operator.mode.value,
            "before": operated.before.value,
            "changed": operated.changed,
            "since": None if operator.since is None else timestamp(operator.since),
            "by": operator.actor,
            "reason": operator.reason,
            "state_sequence": operated.state.sequence,
            "event_id": operated.event_id,
        }

    def _reset(self, message: ResetRequest, act: Act) -> dict[str, Any]:
        event, state = record_reset(message.scope, message.reason, act)
        return {
            "scope": message.scope.value,
            **_standing(state, act),
            "event_id": event.event_id,
        }


def _outcome(work: Callable[..., Result], *arguments: Any) -> Result | Exception:
    try:
        return work(*arguments)
    except Exception as error:  # noqa: BLE001 - told to the one who asked
        return error


def _standing(state: RiskState, act: Act) -> dict[str, Any]:
    """Where the book stands after an act."""
    state = roll(state, act.day)
    return {
        "risk_metrics": risk_metrics(state),
        "breaker": breaker_state(state, act.now).value,
        "state_sequence": state.sequence,
    }
