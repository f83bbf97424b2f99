"""One decision for a caller: what the routes that decide have in common."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from application import Application
from desk import Desk
from errors import InvalidRequest, RequestError
from features.evidence import Evidence
from observation import DecisionRequest
from pipeline import Decided, decided_without_knowing, told
from risk.events import timestamp
from risk.orders import order_key
from together import decide_all

__all__ = ["Observed", "answer_one", "approved_observation", "chosen_model", "decisions_of"]

_LOGGER = logging.getLogger("usdcop.api")


@dataclass(frozen=True, eq=False, slots=True)
class Observed:
    """A vector to decide on.

    Attributes:
        vector: (observation_dim,), float32.
        evidence: what it was made of, when the service made it.
        fill_state: the features of the book are to be filled in.
        superseded_by: start of a newer bar than it was made of; None when there is none.
    """

    vector: NDArray[np.float32]
    evidence: Evidence | None = None
    fill_state: bool = False
    superseded_by: datetime | None = None


def answer_one(request: DecisionRequest, desk: Desk) -> dict[str, Any]:
    """Decide; whatever goes wrong inside is a HOLD, and the fault is on the log.

    Raises:
        RequestError: the caller asked for something that cannot be served.
    """
    (decision,) = decisions_of([request], desk)
    if isinstance(decision, RequestError):
        raise decision
    (answer,) = told([decision], desk)
    return answer


def decisions_of(requests: Sequence[DecisionRequest], desk: Desk) -> list[Decided | RequestError]:
    """The decisions on all that are asked at the same time; errors of their callers are values."""
    found: list[Decided | RequestError] = []
    for request, decision in zip(requests, decide_all(requests, desk), strict=True):
        if isinstance(decision, Decided | RequestError):
            found.append(decision)
        else:
            unknown = decided_without_knowing(request, desk)
            about = {
                "decision_id": unknown.answer["decision_id"],
                "caller": request.caller,
                "order_id": request.order_id,
            }
            _LOGGER.error("a decision failed", exc_info=decision, extra=about)
            found.append(unknown)
    return found


def chosen_model(
    name: str | None, application: Application, *, use_ensemble: bool | None
) -> str | None:
    """The model that decides alone; None for the ensemble.

    Raises:
        InvalidRequest: both one model and the ensemble are asked for.
    """
    if name is not None and use_ensemble:
        raise InvalidRequest(
            f"model_name {name!r} means that model alone; leave out `use_ensemble: true`, "
            "or leave out `model_name` for the ensemble"
        )
    if name is None and use_ensemble is False:
        return application.models.first_name
    return name


def approved_observation(
    order_id: str | None, observed_at: datetime | None, desk: Desk
) -> Observed | None:
    """What an order was approved on, if it was, for an observation of this time.

    A retry is answered from it whatever has become of cache and bars since.

    Raises:
        StoreError: the ledger cannot be read.
    """
    if order_id is None or observed_at is None:
        return None
    approval = desk.ledger.by_key(order_key(order_id))
    if approval is None or approval.payload["observed_at"] != timestamp(observed_at):
        return None
    request = DecisionRequest.from_json(approval.payload, approval.actor)
    return Observed(request.observation, request.evidence, request.fill_state)
