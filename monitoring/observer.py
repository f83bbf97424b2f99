"""The hook through which the core tells what happened. It imports no metrics library."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from monitoring.gauges import Reading

__all__ = [
    "AlertAcknowledged",
    "AlertAttempted",
    "AlertTold",
    "BarsReceived",
    "BatchDecided",
    "DecisionMade",
    "DriftChecked",
    "Observation",
    "Observer",
    "Observers",
    "OperatorActed",
    "ReportRecorded",
    "ResultRecorded",
    "Stages",
    "Traffic",
    "WorkerStanding",
]


class Stages(NamedTuple):
    """How long the stages of a decision took, nanoseconds; 0 for one that did not take place.

    Attributes:
        read: models and vetoes.
        judge: risk gate, size, and the answer.
        append: onto the ledger; for all that were decided together.
        persist: until it would survive the loss of power; approvals only.
    """

    read: int = 0
    judge: int = 0
    append: int = 0
    persist: int = 0


class DecisionMade(NamedTuple):
    """One decision was answered.

    Attributes:
        signal, risk_status, model_name, confidence, approved: as answered.
        dry_run: it could not have been approved.
        seconds: from request to answer, ledger included.
        stored: whether it is on record.
        reason: why it was refused, in words; empty when it was not.
        vetoes: kind and name of each thing that spoke against the observation: stale, frozen, or
            outside of what the models know; few words, all of the schema or of a series.
        stages: how long each took.
        decision_id: as answered.
        caller: name of the key that asked.
        order_id: as asked.
    """

    signal: str
    risk_status: str
    model_name: str
    confidence: float
    approved: bool
    dry_run: bool
    seconds: float
    stored: bool
    reason: str
    vetoes: tuple[tuple[str, str], ...] = ()
    stages: Stages = Stages()
    decision_id: str = ""
    caller: str = ""
    order_id: str | None = None


@dataclass(frozen=True, slots=True)
class BarsReceived:
    """Bars were taken: what became of how many of them."""

    states: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BatchDecided:
    """A batch was answered.

    Attributes:
        rows: decisions in it.
        seconds: from request to answer, ledger included.
        fault: why every row was answered HOLD; None when they were judged.
        caller: name of the key that asked.
    """

    rows: int
    seconds: float
    fault: str | None = None
    caller: str = ""


@dataclass(frozen=True, slots=True)
class ResultRecorded:
    """A trade result was answered.

    Attributes:
        duplicate: it was known and changed nothing.
        trips: causes that it opened the breaker with.
        caller: name of the key that reported it.
        order_id: whose result it is, if it said.
    """

    duplicate: bool
    trips: tuple[str, ...]
    caller: str = ""
    order_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReportRecorded:
    """A position or a mark was answered.

    Attributes:
        kind: `position` or `mark`.
        newest: whether it counts.
        trips: causes that it opened the breaker with.
        caller: name of the key that reported it.
    """

    kind: str
    newest: bool
    trips: tuple[str, ...]
    caller: str = ""


@dataclass(frozen=True, slots=True)
class OperatorActed:
    """A person halted or resumed: what is in force since, and whether that is new."""

    mode: str
    changed: bool
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class AlertTold:
    """An alert was put into the outbox: by one process, once.

    Attributes:
        cause, severity: of its episode.
        kind: `opened`, `reminder` or `resolved`.
        title, body: as people read them.
    """

    cause: str
    severity: str
    kind: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class AlertAttempted:
    """A delivery of an alert was tried.

    Attributes:
        outcome: `delivered`, `failed` (it is tried again) or `given_up`.
        target: position and scheme.
        title: of the message.
        error: why not, without an address.
    """

    outcome: str
    target: str
    title: str
    error: str


@dataclass(frozen=True, slots=True)
class AlertAcknowledged:
    """A person took note of alerts."""

    causes: tuple[str, ...]
    actor: str
    note: str


@dataclass(frozen=True, slots=True)
class DriftChecked:
    """A drift check of this process ended.

    Attributes:
        state: `ok`, `alarm`, `not_enough_data`, or `failed`.
        seconds: from its beginning to its end, report included.
        report: what made the report: `evidently`, `scipy`, or `none`.
        trigger: `scheduled`, or `manual` when somebody asked for it.
    """

    state: str
    seconds: float
    report: str
    trigger: str


Observation = (
    DecisionMade
    | BarsReceived
    | BatchDecided
    | ResultRecorded
    | ReportRecorded
    | OperatorActed
    | DriftChecked
    | AlertTold
    | AlertAttempted
    | AlertAcknowledged
)


class Observer(Protocol):
    """Somebody who wants to know."""

    def observe(self, observation: Observation) -> None:
        """Take note. Must not raise, and must not block."""
        ...


class WorkerStanding(NamedTuple):
    """How a worker process stands.

    Attributes:
        cache_hits, cache_misses: reads of the feature cache since it was made.
        cache_degraded, market_degraded, alerts_degraded: whether these go without their store.
        append_failing: whether the newest append to the ledger failed.
    """

    cache_hits: int
    cache_misses: int
    cache_degraded: bool
    market_degraded: bool
    alerts_degraded: bool
    append_failing: bool


class Traffic(Protocol):
    """Counts requests, and tells a scrape all that was counted."""

    @property
    def content_type(self) -> str:
        """Of the exposition."""
        ...

    def exposition(self, standing: Iterable[Reading]) -> bytes:
        """What all worker processes counted, and how things stand now."""
        ...

    def write(self, worker: WorkerStanding) -> None:
        """Let the scrapes of all workers see what this one counted. To be called every second."""
        ...

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered.

        Args:
            route: one of the few that there are, whatever path was asked for.
            status: of the answer.
            seconds: from the request's head to the end of the answer.
        """
        ...


class Observers:
    """Several observers as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def observe(self, observation: Observation) -> None:
        """Tell each of them."""
        for observer in self._observers:
            observer.observe(observation)
