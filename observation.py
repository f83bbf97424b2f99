"""One observation and what is asked of it: what goes on record, and what makes two the same."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.evidence import Evidence
from risk.events import timestamp

__all__ = ["DecisionRequest", "decoded_vector"]


class DecisionRequest(NamedTuple):
    """One observation and what is asked of it.

    Attributes:
        observation: float32, (observation_dim,), finite.
        observed_at: when it was known, aware; None when the caller did not say.
        evidence: what it was made of, when the service made it of bars.
        superseded_by: start of a newer bar that is known already; None when there is none.
        fill_state: the features of the book, if the schema has any, are 0 in the observation and
            to be filled in.
        model_name: decide by this model alone; None for the ensemble.
        enforce_risk_checks: False returns the raw signal, never approved.
        order_id: the caller's name for the order; an approval binds it.
        position: signed fraction of capital held now; None for the one reported last.
        capital_usd: of this caller; None for the configured one.
        dry_run: judge, but approve nothing.
        caller: name of the key that asks.
    """

    observation: NDArray[np.float32]
    observed_at: datetime | None = None
    evidence: Evidence | None = None
    superseded_by: datetime | None = None
    fill_state: bool = False
    model_name: str | None = None
    enforce_risk_checks: bool = True
    order_id: str | None = None
    position: float | None = None
    capital_usd: float | None = None
    dry_run: bool = False
    caller: str = "local"

    @property
    def tradable(self) -> bool:
        """Whether it may be approved."""
        return self.enforce_risk_checks and not self.dry_run

    def content(self) -> dict[str, Any]:
        """What makes a second request the same; what the market did since plays no part."""
        observed_at = self.observed_at
        return {
            "vector": _encoded_vector(self.observation),
            "observed_at": None if observed_at is None else timestamp(observed_at),
            "evidence": None if self.evidence is None else self.evidence.to_json(),
            "model_name": self.model_name,
            "enforce_risk_checks": self.enforce_risk_checks,
            "order_id": self.order_id,
            "position": self.position,
            "capital_usd": self.capital_usd,
            "dry_run": self.dry_run,
        }

    def to_json(self) -> dict[str, Any]:
        """What goes on record of it."""
        superseded_by = self.superseded_by
        return {
            **self.content(),
            "superseded_by": None if superseded_by is None else timestamp(superseded_by),
            "fill_state": self.fill_state,
        }

    @classmethod
    def from_json(cls, record: dict[str, Any], caller: str) -> DecisionRequest:
        """Read what `to_json` wrote; records of before there were bars lack what is about them."""
        observed_at, superseded_by = record["observed_at"], record.get("superseded_by")
        evidence = record.get("evidence")
        return cls(
            observation=decoded_vector(record["vector"]),
            observed_at=None if observed_at is None else datetime.fromisoformat(observed_at),
            evidence=None if evidence is None else Evidence.from_json(evidence),
            superseded_by=None if superseded_by is None else datetime.fromisoformat(superseded_by),
            fill_state=record.get("fill_state", False),
            model_name=record["model_name"],
            enforce_risk_checks=record["enforce_risk_checks"],
            order_id=record["order_id"],
            position=record["position"],
            capital_usd=record["capital_usd"],
            dry_run=record["dry_run"],
            caller=caller,
        )


def _encoded_vector(observation: NDArray[np.float32]) -> str:
    return base64.b64encode(observation.astype("<f4", copy=False).tobytes()).decode()


def decoded_vector(text: str) -> NDArray[np.float32]:
    """The observation of a decision on record, (observation_dim,)."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4")
