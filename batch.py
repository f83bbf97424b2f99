"""Many observations at once: judged against one state, never approved, one event."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from answers import batch_row, system_error_row
from desk import Desk
from errors import InferenceFault, StoreError
from features.state_features import without_state
from features.vetoes import refused_rows
from monitoring.observer import BatchDecided
from pipeline import obey_halt_file
from reading import predict
from risk.calendar import SessionStatus
from risk.events import Draft, EventKind, timestamp
from risk.fold import roll
from risk.gate import judge
from risk.state import RiskState
from risk.verdict import Candidate, Situation, Verdict
from runners.ensemble import ENSEMBLE_NAME, Prediction
from runners.signal import Signal

_UNFAMILIAR = ("a row alone is told why",)

__all__ = ["BatchRequest", "decide_batch", "decide_batch_without_knowing"]


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Many observations, judged against one state, never approved.

    Attributes:
        observations: float32, (n, observation_dim), n >= 1, finite.
        model_name, enforce_risk_checks, caller: as for one.
    """

    observations: NDArray[np.float32]
    model_name: str | None = None
    enforce_risk_checks: bool = True
    caller: str = "local"


def decide_batch(request: BatchRequest, desk: Desk) -> dict[str, Any]:
    """Judge many observations against one state; nothing is approved or reserved.

    Returns:
        `decisions`: one dictionary a row; and what they have in common.

    Raises:
        InvalidRequest: `model_name` names no loaded model.
    """
    started = desk.timer()
    now = desk.clock()
    batch_id = desk.new_id(now)
    fault, sequence = None, None
    try:
        session = desk.calendar.status(now)
        obey_halt_file(desk, now)
        state = roll(desk.ledger.head().state, session.day)
        try:
            prediction = predict(desk.models, request.observations, request.model_name)
            rows = _batch_rows(request, prediction, desk, state, session, now)
        except InferenceFault as error:
            fault, rows = str(error), _held(request)
        _record_batch(request, rows, fault, state, desk, now, batch_id)
        sequence = state.sequence
    except StoreError as error:
        fault, rows = str(error), _held(request)
    elapsed = desk.timer() - started
    desk.observer.observe(BatchDecided(len(rows), elapsed / 1e9, fault, request.caller))
    return _batch_answer(request, rows, fault, sequence, now, batch_id, elapsed)


def decide_batch_without_knowing(request: BatchRequest, desk: Desk) -> dict[str, Any]:
    """The answer when `decide_batch` itself failed: every row HOLD, not on record."""
    now, rows = desk.clock(), _held(request)
    fault = "the service failed; its log says why"
    desk.observer.observe(BatchDecided(len(rows), 0.0, fault, request.caller))
    return _batch_answer(request, rows, fault, None, now, desk.new_id(now), 0)


def _held(request: BatchRequest) -> list[dict[str, Any]]:
    return [system_error_row() for _ in request.observations]


def _batch_answer(
    request: BatchRequest,
    rows: list[dict[str, Any]],
    fault: str | None,
    sequence: int | None,
    now: datetime,
    batch_id: str,
    elapsed: int,
) -> dict[str, Any]:
    return {
        "decisions": rows,
        "fault": fault,
        "batch_id": batch_id,
        "model_name": request.model_name or ENSEMBLE_NAME,
        "timestamp": timestamp(now),
        "state_sequence": sequence,
        "latency_ms": elapsed / 1e6,
    }


def _batch_rows(
    request: BatchRequest,
    prediction: Prediction,
    desk: Desk,
    state: RiskState,
    session: SessionStatus,
    now: datetime,
) -> list[dict[str, Any]]:
    """One dictionary a row. Rows differ in few respects, so few are judged."""
    verdicts: dict[tuple[Signal, bool, bool], Verdict] = {}
    references, of_market = desk.models.references(request.model_name), request.observations
    if desk.schema is not None:
        of_market = without_state(of_market, desk.schema)
    rows = []
    for signal, confidence, probabilities, refused in zip(
        prediction.signals,
        prediction.confidence.tolist(),
        prediction.probabilities.tolist(),
        refused_rows(of_market, references).tolist(),
        strict=True,
    ):
        kind = (signal, confidence >= desk.limits.min_confidence, refused)
        if kind not in verdicts:
            candidate = Candidate(signal, confidence, unfamiliar=_UNFAMILIAR if refused else ())
            situation = Situation(candidate, state, desk.limits, session, now, desk.configuration)
            verdicts[kind] = judge(situation)
        checked = request.enforce_risk_checks
        rows.append(batch_row(signal, confidence, probabilities, verdicts[kind], checked=checked))
    return rows


def _record_batch(
    request: BatchRequest,
    rows: Sequence[Mapping[str, Any]],
    fault: str | None,
    state: RiskState,
    desk: Desk,
    now: datetime,
    batch_id: str,
) -> None:
    contiguous = np.ascontiguousarray(request.observations)
    draft = Draft(
        kind=EventKind.BATCH,
        event_id=batch_id,
        at=now,
        day=desk.calendar.day(now),
        actor=request.caller,
        payload={
            "rows": len(rows),
            "fault": fault,
            "observations_sha256": hashlib.sha256(contiguous.tobytes()).hexdigest(),
            "model_name": request.model_name,
            "enforce_risk_checks": request.enforce_risk_checks,
            "configuration": desk.configuration,
            "state_sequence": state.sequence,
            "statuses": dict(Counter(row["risk_status"] for row in rows)),
        },
    )
    desk.ledger.append([draft])
