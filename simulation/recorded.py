"""Decisions of a live service as its exports hold them, one by one.

An export is any number of JSON documents, each of one of three kinds:

- a page of `GET /v1/decisions?full=true`,
- one decision: an entry of such a page, or what `GET /v1/decisions/{id}` gives,
- a line of `usdcop ledger export --format jsonl`, whatever the record is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from errors import InvalidRequest
from observation import decoded_vector
from risk.events import EventKind

__all__ = ["AsItWas", "Batch", "Recorded", "recorded_in"]

_REMEDY: Final = (
    "give pages of GET /v1/decisions?full=true, or what `usdcop ledger export --format jsonl` wrote"
)


@dataclass(frozen=True, slots=True)
class AsItWas:
    """What the live service answered.

    Attributes:
        decision_id: its name on record.
        decided_at: when, aware.
        signal: that was answered.
        raw_signal: that the models gave.
        confidence: of the raw signal.
        approved: whether it was.
        risk_status: one word for it.
        model_name: the one model that was asked; None for the ensemble.
    """

    decision_id: str
    decided_at: datetime
    signal: str
    raw_signal: str
    confidence: float
    approved: bool
    risk_status: str
    model_name: str | None


class Recorded(BaseModel):
    """One decision, as far as a replay reads it.

    Attributes:
        sequence: its place in the ledger, from 1.
        decision_id: its name.
        timestamp: when it was decided, aware.
        signal: that was answered.
        raw_signal: that the models gave.
        confidence: of the raw signal.
        approved: whether it was.
        risk_status: one word for it.
        observation: the vector, with the features of the book as the models saw them.
        observed_at: when the vector was known, aware; None when nobody said.
        evidence: what the vector was made of; None when nobody knows.
        fill_state: the service filled in the features of the book.
        dry_run: nothing could be approved.
        enforce_risk_checks: the gate was asked.
        model_name: the one model that was asked; None for the ensemble.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    sequence: int = Field(ge=1)
    decision_id: str
    timestamp: AwareDatetime
    signal: str
    raw_signal: str
    confidence: FiniteFloat
    approved: bool
    risk_status: str
    observation: list[float]
    observed_at: AwareDatetime | None
    evidence: dict[str, Any] | None = None
    fill_state: bool = False
    dry_run: bool
    enforce_risk_checks: bool
    model_name: str | None

    @property
    def as_it_was(self) -> AsItWas:
        """The answer."""
        return AsItWas(
            decision_id=self.decision_id,
            decided_at=self.timestamp,
            signal=self.signal,
            raw_signal=self.raw_signal,
            confidence=self.confidence,
            approved=self.approved,
            risk_status=self.risk_status,
            model_name=self.model_name,
        )


class Batch:
    """A batch on record, which is a dry run of many rows."""


def recorded_in(document: object, place: str) -> Iterator[tuple[str, Recorded | Batch]]:
    """The decisions and batches in one document, each with its place in words.

    Args:
        document: decoded JSON.
        place: what messages call it.

    Raises:
        InvalidRequest: it is no part of an export, or holds decisions without their vectors.
    """
    if isinstance(document, Mapping) and isinstance(document.get("decisions"), list):
        for number, entry in enumerate(document["decisions"], start=1):
            where = f"{place}, decision {number}"
            yield where, _recorded(entry, where)
    elif isinstance(document, Mapping) and "decision_id" in document:
        yield place, _recorded(document, place)
    elif isinstance(document, Mapping) and isinstance(document.get("body"), Mapping):
        yield from _on_record(document["body"], place)
    else:
        raise InvalidRequest(f"{place} is no decision on record; {_REMEDY}")


def _on_record(body: Mapping[str, Any], place: str) -> Iterator[tuple[str, Recorded | Batch]]:
    """What a record holds; nothing for one that is about something else."""
    if body.get("kind") == EventKind.BATCH:
        yield place, Batch()
    if body.get("kind") != EventKind.DECISION:
        return
    try:
        payload = dict(body["payload"])
        vector = decoded_vector(payload.pop("vector")).tolist()
        entry = {**payload.pop("answer"), **payload, "sequence": body["sequence"]}
    except (KeyError, TypeError, ValueError):
        raise InvalidRequest(
            f"{place} holds no whole decision; write it again with `usdcop ledger export`"
        ) from None
    yield place, _recorded({**entry, "observation": vector}, place)


def _recorded(entry: object, where: str) -> Recorded:
    if isinstance(entry, Mapping) and "risk_status" in entry and "observation" not in entry:
        raise InvalidRequest(
            f"{where} is an answer without what it was made from; ask for it with "
            "GET /v1/decisions?full=true"
        )
    try:
        return Recorded.model_validate(entry)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(map(str, problem["loc"])) or "the entry"
        said = problem["msg"][0].lower() + problem["msg"][1:]
        raise InvalidRequest(
            f"{where}: {field} is not what an export holds: {said}; export it again"
        ) from None
