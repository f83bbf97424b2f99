"""What callers get when they ask about the service: health, models, counts, features, alerts.

These describe what the GET routes answer, for the OpenAPI document; no answer is made of them.
"""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from api.book_messages import EvidenceAnswer
from api.fields import Answer
from config.settings import Algorithm, EnsembleStrategy, Environment
from monitoring.alerts.board import DeliveryState, MessageKind
from monitoring.alerts.causes import Cause, Severity
from monitoring.day.preflight import Readiness

__all__ = [
    "AlertsAnswer",
    "CacheStatsAnswer",
    "DriftLatestAnswer",
    "FeaturesAnswer",
    "HealthAnswer",
    "MetricsAnswer",
    "ModelsAnswer",
    "PreflightAnswer",
]

State = Literal["healthy", "degraded", "unhealthy"]


class ComponentHealth(Answer):
    """How one part is; what else is known of it stands beside these."""

    model_config = ConfigDict(extra="allow")

    status: State
    reason: str | None = None
    """Why it is not healthy."""


class HealthAnswer(Answer):
    """Whether the service works, part by part."""

    status: State
    """The worst of its parts; `unhealthy` comes with status 503."""
    components: dict[str, ComponentHealth]
    environment: Environment
    timestamp: str


class LatencyAnswer(Answer):
    """Of one model, in this worker."""

    count: int
    p50_ms: float | None
    p99_ms: float | None


class ReferenceAnswer(Answer):
    """What a model knows."""

    rows: int
    first_bar: str
    last_bar: str


class LoadedModel(Answer):
    """A model that is served."""

    name: str
    tag: str
    version: str
    algorithm: Algorithm
    sha256: str
    weight: float
    share: float
    """Of all weights."""
    state: Literal["voting", "shadow"]
    origin: str
    """Why this version: pinned, promoted, or the newest."""
    metadata: dict[str, str]
    """What the file itself says."""
    reference: ReferenceAnswer | None
    latency: LatencyAnswer


class ModelsAnswer(Answer):
    """The ensemble and its models."""

    strategy: EnsembleStrategy
    observation_dim: int
    feature_schema: str | None
    """Hash of the names of a vector's values; None when nothing names them."""
    models: list[LoadedModel]


class DecisionCounts(Answer):
    """Decisions of this worker."""

    total: int
    approved: int
    dry_runs: int
    not_stored: int
    by_signal: dict[str, int]
    by_risk_status: dict[str, int]
    by_model: dict[str, int]


class VetoCounts(Answer):
    """Vectors that the models do not know."""

    total: int
    rate: float
    by_name: dict[str, int]


class BatchCounts(Answer):
    """Batches and their rows."""

    total: int
    rows: int
    faults: int


class ResultCounts(Answer):
    """Trade results."""

    total: int
    duplicates: int


class ReportCounts(Answer):
    """Reports of what is held and worth."""

    positions: int
    marks: int


class DecisionLatency(Answer):
    """Of the last 4,096 decisions, in milliseconds."""

    count: int
    p50: float | None
    p99: float | None


class CacheStatsAnswer(Answer):
    """The feature cache of the worker that answers."""

    hits: int
    misses: int
    hit_rate: float
    size: int
    evictions: int
    ttl_seconds: float
    backend: str
    degraded: str | None
    """Why it goes without its store."""


class MetricsAnswer(Answer):
    """Counts and latencies of the worker that answers."""

    uptime_seconds: float
    started_at: str
    decisions: DecisionCounts
    vetoes: VetoCounts
    bars: dict[str, int]
    """By what became of them."""
    batches: BatchCounts
    trade_results: ResultCounts
    reports: ReportCounts
    operator_acts: int
    breaker_trips: int
    latency_ms: DecisionLatency
    models: dict[str, LatencyAnswer]
    cache: CacheStatsAnswer


class SchemaAnswer(Answer):
    """What names the values of a vector."""

    version: str
    hash: str


class VetoAnswer(Answer):
    """What the models would refuse a vector for."""

    kind: str
    name: str
    message: str


class FeaturesAnswer(Answer):
    """A vector, by name and in order."""

    timestamp: str
    """When it was known."""
    feature_schema: Annotated[SchemaAnswer | None, Field(alias="schema")]
    features: dict[str, float] | None
    observation: list[float]
    evidence: EvidenceAnswer | None
    """None for a vector that a caller sent."""
    vetoes: list[VetoAnswer]


class DriftLatestAnswer(Answer):
    """The newest check; what else it found stands beside these."""

    model_config = ConfigDict(extra="allow")

    tick: str
    """Names the check."""
    state: Literal["ok", "alarm", "not_enough_data"]
    reasons: list[str]
    suspects: list[dict[str, Any]]
    next_run: str | None
    """None when none is scheduled."""
    checks_of_worker: dict[str, Any]
    history: list[dict[str, Any]] | None = None
    """With `history`: entries, newest first."""


class DeliveryAnswer(Answer):
    """A message on its way to one address."""

    target: str
    """Without its secrets."""
    state: DeliveryState
    attempts: int
    next_attempt_at: str | None
    last_error: str | None


class AlertMessageAnswer(Answer):
    """What was told of an alert."""

    kind: MessageKind
    title: str
    made_at: str
    deliveries: list[DeliveryAnswer]


class ListedAlert(Answer):
    """One cause, from when it began until it is over."""

    id: str
    cause: Cause
    key: str
    """Tells apart what one cause can be about."""
    severity: Severity
    state: Literal["open", "acknowledged", "resolved"]
    message: str
    opened_at: str
    resolved_at: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None
    note: str
    messages: list[AlertMessageAnswer]


class AlertsAnswer(Answer):
    """Alerts, newest first."""

    alerts: list[ListedAlert]
    degraded: str | None
    """Why they are not kept where they should be."""


class CheckedThing(Answer):
    """One thing that trading rests on."""

    name: str
    state: Readiness
    found: str
    """What it is, in a line."""
    right: str
    """What would be right; empty where it is."""


class PreflightAnswer(Answer):
    """The newest look before a session."""

    state: Readiness
    """The worst of all checks."""
    book: str
    session: str | None
    """Date of the session that it is about; None when none is known of."""
    at: str
    by: str
    checks: list[CheckedThing]
