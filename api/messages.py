"""What callers send and get, field by field: the models behind the OpenAPI document.

Requests refuse what they do not know. Fractions are fractions: 0.08 is 8%. Times are
ISO 8601 with a zone.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, WithJsonSchema

from api.fields import (
    Answer,
    Fraction,
    Name,
    Number,
    Number32,
    Reason,
    Request,
    Text,
    Time,
    example,
)
from risk.state import ResetScope

__all__ = [
    "BatchAnswer",
    "BatchInferenceRequest",
    "DecisionAnswer",
    "HaltRequest",
    "InferenceAnswer",
    "InferenceRequest",
    "MarkRequest",
    "OperatorAnswer",
    "PositionRequest",
    "ReleaseAnswer",
    "ReleaseRequest",
    "ReportAnswer",
    "ResetAnswer",
    "ResetRequest",
    "ResumeRequest",
    "TradeResultAnswer",
    "TradeResultRequest",
]

_MOST_VALUES = 4096

Vector = Annotated[list[Number32], Field(max_length=_MOST_VALUES, fail_fast=True)]
Rows = Annotated[
    list[Any],
    Field(min_length=1),
    # Rows are checked one by one, so that a bad one sinks no other.
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "anyOf": [
                    {"type": "array", "items": {"type": "number"}},
                    {"description": "Anything else is an error in its place."},
                ]
            },
            "minItems": 1,
        }
    ),
]


class InferenceRequest(Request):
    """One observation, from exactly one of `observation`, `features` or `timestamp` alone."""

    observation: (
        Annotated[list[Number32], Field(max_length=_MOST_VALUES, fail_fast=True)] | None
    ) = None
    """The vector: `observation_dim` finite numbers, in the order of the feature schema."""
    features: Annotated[dict[str, Number32], Field(max_length=_MOST_VALUES)] | None = None
    """The vector by name; every feature of the schema, in any order."""
    timestamp: Time | None = None
    """When the observation was known. With a vector: caches it. Alone: reads the cache."""
    model_name: Text | None = None
    """Decide by this model alone; absent: the ensemble."""
    use_ensemble: StrictBool | None = None
    """False without `model_name`: the first enabled model. True with `model_name` is refused."""
    enforce_risk_checks: StrictBool = True
    """False: the raw signal, never approved."""
    order_id: Name | None = None
    """The caller's name for the order. An approval binds it: the same request sent again gets the
    same approval, and the order counts until its outcome is reported. Without it an approval is
    advice and reserves nothing."""
    position: Fraction | None = None
    """What is held now, as a signed fraction of capital: 0.08 is 8% long. Absent: the one that was
    reported last."""
    capital_usd: Annotated[Number, Field(gt=0, le=1e12)] | None = None
    """Capital that the recommended size refers to; absent: the configured one."""
    dry_run: StrictBool = False
    """Judge and record, but approve nothing."""


class BatchInferenceRequest(Request):
    """Many observations; always a dry run."""

    observations: Rows
    """Vectors; a bad one is an error in its place and sinks no other."""
    model_name: Text | None = None
    """As for one."""
    use_ensemble: StrictBool | None = None
    """As for one."""
    enforce_risk_checks: StrictBool = True
    """As for one."""


class TradeResultRequest(Request):
    """A trade was closed."""

    model_config = example(trade_id="T-1001", pnl=-700, pnl_percent=-0.007)

    trade_id: Name
    """The caller's name for it; the same report may be sent again."""
    pnl: Annotated[Number, Field(ge=-1e12, le=1e12)]
    """Profit or loss in US dollars."""
    pnl_percent: Annotated[Number, Field(ge=-10, le=10)]
    """The same as a fraction of capital: 0.005 is 0.5%."""
    is_win: StrictBool | None = None
    """If given, must agree with the sign of `pnl`."""
    order_id: Name | None = None
    """The approved entry that it is the result of: its order stops counting as open."""
    closed_at: Time | None = None
    """When it was closed; absent: now."""
    position: Fraction | None = None
    """What is held since, as a signed fraction of capital."""
    unrealized_pnl_percent: Fraction = 0.0
    """P&L of what is still open, as a fraction of capital; replaces an older open mark."""
    confirm: StrictBool = False
    """A fraction beyond 0.2 is meant as it stands."""


class ResetRequest(Request):
    """Clear counters; an empty body clears the day."""

    model_config = example(scope="all", reason="a new week; the drawdown was looked into")

    scope: ResetScope = ResetScope.DAILY
    """`daily`, or `all`, which also re-bases a latched drawdown."""
    reason: Reason = ""
    """For the record; `all` needs one."""


class PositionRequest(Request):
    """What the broker says is held."""

    model_config = example(position=0.08, as_of="2026-11-24T15:00:00Z")

    position: Fraction
    """Signed fraction of capital: 0.08 is 8% long, -0.08 is 8% short."""
    as_of: Time
    """When it was held; a report of an older time than the newest is recorded and ignored."""


class MarkRequest(Request):
    """What the open book is worth."""

    model_config = example(unrealized_pnl_percent=-0.004, as_of="2026-11-24T15:00:00Z")

    unrealized_pnl_percent: Fraction
    """Open P&L as a fraction of capital: -0.01 is -1%."""
    as_of: Time
    """Of which time; a mark of an older time than the newest is recorded and ignored."""
    confirm: StrictBool = False
    """A fraction beyond 0.2 is meant as it stands."""


class ReleaseRequest(Request):
    """An approved order will have no result."""

    model_config = example(order_id="O-17", outcome="cancelled")

    order_id: Name
    """As it was approved."""
    outcome: Literal["cancelled", "rejected", "expired"]
    """Why not."""


class HaltRequest(Request):
    """Stop; an empty body halts everything."""

    model_config = example(mode="REDUCING", reason="news at ten")

    mode: Literal["HALTED", "REDUCING"] = "HALTED"
    """`HALTED` lets nothing pass, `REDUCING` exits only."""
    reason: Reason = ""
    """For the record."""


class ResumeRequest(Request):
    """Go on."""

    model_config = example(reason="all clear")

    mode: Literal["ACTIVE", "REDUCING"] = "ACTIVE"
    """What is allowed from now on."""
    reason: Annotated[Reason, Field(min_length=1)]
    """For the record."""


class ActionProbabilities(Answer):
    """Probability of each action; all zero when the models gave none."""

    SELL: float
    HOLD: float
    BUY: float


class RiskMetrics(Answer):
    """Counters that the decision was judged on."""

    daily_pnl: float
    trades_today: int
    """Results and open orders."""
    open_orders: int
    consecutive_losses: int
    drawdown: float


class PositionRecommendationAnswer(Answer):
    """What to trade."""

    position_size_percent: float
    """Fraction of capital: 0.08 is 8%."""
    position_size_usd: float
    risk_level: Literal["low", "medium", "high"]
    factors: dict[str, float]
    """What the largest size was multiplied by."""


class CheckAnswer(Answer):
    """What one rule of the gate found."""

    check: str
    passed: bool
    value: float | str | None
    limit: float | str | None
    message: str
    exempt: bool
    """The rule is for entries, and this is an exit."""


class ModelAnswer(Answer):
    """What one model said; a weight of 0 is a shadow."""

    name: str
    version: str
    weight: float
    action_probs: ActionProbabilities | None
    fault: str | None


class DecisionAnswer(Answer):
    """A decision."""

    decision_id: str
    """Names the decision on record."""
    signal: Literal["SELL", "HOLD", "BUY"]
    """What to do; HOLD when refused."""
    raw_signal: Literal["SELL", "HOLD", "BUY"]
    """What the models said."""
    confidence: float
    """Of the raw signal."""
    approved: bool
    """True only for a BUY or SELL that passed every check and is on record."""
    risk_status: str
    """APPROVED, or the first check that failed."""
    reasons: list[str]
    """Why not, in words."""
    checks: list[CheckAnswer]
    """Every check in order."""
    action_probs: ActionProbabilities
    model_name: str
    models: list[ModelAnswer]
    timestamp: str
    risk_metrics: RiskMetrics | None
    """None when the state could not be read."""
    position_recommendation: PositionRecommendationAnswer | None
    """None unless approved."""
    order_id: str | None
    """As it was sent."""
    reduces: bool
    """The signal closes or shrinks the known position: an exit."""
    probe: bool
    """The approval is the probe of a half-open breaker."""
    replayed: bool
    """The stored answer to an earlier request with the same order."""
    valid_until: str | None
    """When an approval ends."""
    state_sequence: int | None
    """The risk state it was judged on; None when the decision is not on record."""
    would_approve: bool | None = None
    """Only for a dry run."""


class InferenceAnswer(DecisionAnswer):
    """A decision, and how long it took."""

    latency_ms: float


class BatchAnswer(Answer):
    """Decisions in the order of the rows; a bad row is `{"error": …}` in its place."""

    results: list[dict[str, Any]]
    total: int
    errors: int
    batch_id: str
    """Names the batch on record."""
    model_name: str
    timestamp: str
    state_sequence: int | None
    fault: str | None
    """Why every row is HOLD with SYSTEM_ERROR."""
    latency_ms: float


class TradeResultAnswer(Answer):
    """A trade result on record."""

    trade_id: str
    duplicate: bool
    """The same report was on record already; nothing changed."""
    order_closed: bool
    """It is the outcome of an approved order, which counts as open no longer."""
    tripped: list[str]
    """Causes that this result opened the breaker with."""
    released: bool
    """It is the probe that closed a half-open breaker."""
    breaker: str
    risk_metrics: RiskMetrics
    state_sequence: int
    event_id: str


class ResetAnswer(Answer):
    """A reset on record."""

    scope: str
    risk_metrics: RiskMetrics
    breaker: str
    state_sequence: int
    event_id: str


class ReportAnswer(Answer):
    """A position or a mark on record."""

    newest: bool
    """It counts; one of an older time does not."""
    tripped: list[str]
    """Causes that it opened the breaker with."""
    unconfirmed: list[str]
    """Limits that it is beyond; a second mark confirms them."""
    breaker: str
    position: float | None
    """What is held, as far as it is known."""
    risk_metrics: RiskMetrics
    state_sequence: int
    event_id: str


class ReleaseAnswer(Answer):
    """A release on record."""

    order_id: str
    outcome: str
    duplicate: bool
    """The same release was on record already; nothing changed."""
    was_open: bool
    """The order counted until now."""
    breaker: str
    risk_metrics: RiskMetrics
    state_sequence: int
    event_id: str


class OperatorAnswer(Answer):
    """What is allowed now."""

    mode: str
    before: str
    changed: bool
    """Whether it is stricter or looser than before."""
    since: str | None
    by: str | None
    reason: str
    state_sequence: int
    event_id: str | None
    """Of the act; None when it asked for what was in force."""
