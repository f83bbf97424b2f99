"""What the models make of an observation, and what speaks against asking them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from errors import InvalidRequest
from features.evidence import Evidence
from features.reference import Reference
from features.schema import Schema
from features.state_features import BookValues, filled, without_state
from features.vetoes import Veto, VetoKind
from observation import DecisionRequest
from risk.calendar import SessionStatus
from risk.exposure import exposure_of
from risk.fixed_point import from_nano
from risk.state import RiskState
from risk.verdict import Candidate
from runners.ensemble import Prediction

__all__ = ["Models", "Reading", "book_values", "predict", "read", "refuse_shadow"]


class Models(Protocol):
    """The loaded models, alone and together."""

    def predict(self, observations: NDArray[np.float32]) -> Prediction:
        """The ensemble's view of (n, observation_dim) rows."""
        ...

    def predict_one(self, observations: NDArray[np.float32], name: str) -> Prediction:
        """One model's view of them."""
        ...

    def references(self, name: str | None) -> Sequence[Reference]:
        """What those know that decide: the named model, or all that have a vote."""
        ...

    def vetoes(
        self, vector: NDArray[np.float32], evidence: Evidence | None, name: str | None
    ) -> tuple[Veto, ...]:
        """What those say against a vector."""
        ...


class Reading(NamedTuple):
    """An observation after the models and the vetoes.

    Attributes:
        prediction: what the models said.
        candidate: their signal, and what speaks against the observation.
        vetoes: the same, one by one.
        book: the features of the book that were filled in; None when none were.
        nanoseconds: that it took.
    """

    prediction: Prediction
    candidate: Candidate
    vetoes: tuple[Veto, ...]
    book: BookValues | None
    nanoseconds: int


def predict(models: Models, rows: NDArray[np.float32], name: str | None) -> Prediction:
    """Ask the ensemble, or the one model that is named."""
    return models.predict(rows) if name is None else models.predict_one(rows, name)


def read(
    request: DecisionRequest,
    models: Models,
    schema: Schema | None,
    book: BookValues | None,
    timer: Callable[[], int],
) -> Reading:
    """Ask the models about one observation.

    Args:
        request: the observation.
        models: to ask.
        schema: of the observation; None when nobody has named its numbers.
        book: what to fill in for the features of the book; None leaves the observation as it is.
        timer: nanoseconds of a clock that never goes back.

    Raises:
        InvalidRequest: the request names no loaded model, or a shadow that is asked to trade.
        InferenceFault: a model failed.
    """
    started = timer()
    vector = request.observation
    if schema is not None and book is not None:
        vector = filled(vector, schema, book)
    prediction = predict(models, vector[np.newaxis, :], request.model_name)
    refuse_shadow(request, prediction.outputs[0].weight)
    of_market = vector if schema is None else without_state(vector, schema)
    found = models.vetoes(of_market, request.evidence, request.model_name)
    candidate = Candidate(
        prediction.signals[0],
        float(prediction.confidence[0]),
        request.observed_at,
        request.order_id,
        request.position,
        stale=_stale(request, found),
        unfamiliar=_messages(found, VetoKind.OUTSIDE),
    )
    return Reading(prediction, candidate, found, book, timer() - started)


def book_values(
    request: DecisionRequest, state: RiskState, session: SessionStatus, now: datetime
) -> BookValues:
    """Where the book stands, for a policy that reads it.

    Args:
        request: may say what is held.
        state: rolled to the session date of `now`.
        session: of that date.
        now: aware.
    """
    left = 0.0
    if session.closure is None and session.ends_at is not None:
        left = (session.ends_at - now).total_seconds() / 60
    held = exposure_of(state, request.position).held
    return BookValues(from_nano(held), from_nano(state.mark), left)


def refuse_shadow(request: DecisionRequest, weight: float) -> None:
    """A model without a vote must not trade by being asked alone.

    Raises:
        InvalidRequest: the request asks one to, with this weight.
    """
    if request.tradable and request.model_name is not None and weight == 0:
        raise InvalidRequest(
            f"model {request.model_name!r} is a shadow (weight 0) and may not trade; "
            "send `dry_run: true` to see what it would do",
            code="shadow_model",
        )


def _stale(request: DecisionRequest, found: Sequence[Veto]) -> tuple[str, ...]:
    frozen = _messages(found, VetoKind.STALE)
    if request.superseded_by is None:
        return frozen
    return (f"a newer bar is known, of {request.superseded_by:%Y-%m-%d %H:%M} UTC", *frozen)


def _messages(found: Sequence[Veto], kind: VetoKind) -> tuple[str, ...]:
    return tuple(veto.message for veto in found if veto.kind is kind)
