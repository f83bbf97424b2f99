"""How the service around the book stands, as gauges: models, drift checks, alerts, the build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from config.settings import Algorithm
from monitoring.alerts.board import Board
from monitoring.alerts.causes import Cause, severity_of
from monitoring.gauges import Gauge, Reading

__all__ = [
    "LEDGER_FREE_BYTES",
    "SERVICE_GAUGES",
    "LoadedModel",
    "alert_readings",
    "build_reading",
    "drift_readings",
    "model_readings",
]

BUILD: Final = Gauge(
    "usdcop_build_info", "1; the labels say what runs", ("version", "python", "bentoml")
)
MODEL: Final = Gauge(
    "usdcop_model_info",
    "1 for each loaded model; a shadow runs and has no vote",
    ("model_name", "version", "algorithm", "state"),
)
WEIGHT: Final = Gauge(
    "usdcop_model_weight_ratio", "Share of each model in the ensemble", ("model_name",)
)
SHARE: Final = Gauge("usdcop_drift_share", "Share of drifted features in the newest check")
THRESHOLD: Final = Gauge(
    "usdcop_drift_threshold", "Share of drifted features above which a check alarms"
)
LAST_CHECK: Final = Gauge(
    "usdcop_drift_last_check_timestamp_seconds", "When the newest drift check was made"
)
NEXT_CHECK: Final = Gauge(
    "usdcop_drift_next_check_timestamp_seconds", "When the scheduler makes the next drift check"
)
OVERDUE: Final = Gauge(
    "usdcop_drift_check_overdue", "1 when a drift check was due and nobody has made it"
)
STANDING: Final = Gauge(
    "usdcop_alerts_standing", "Alerts that stand now, by what they are about", ("cause", "severity")
)
UNDELIVERED: Final = Gauge(
    "usdcop_alerts_undelivered", "Deliveries of alerts that are still to be made or tried again"
)
LEDGER_FREE_BYTES: Final = Gauge(
    "usdcop_ledger_free_bytes", "Room that the disk of an embedded ledger has left"
)

SERVICE_GAUGES: Final = (
    BUILD, MODEL, WEIGHT, SHARE, THRESHOLD, LAST_CHECK, NEXT_CHECK, OVERDUE, STANDING, UNDELIVERED,
    LEDGER_FREE_BYTES,
)  # fmt: skip


class LoadedModel(Protocol):
    """What is told of a model."""

    @property
    def name(self) -> str:
        """Name in requests and on record."""
        ...

    @property
    def version(self) -> str:
        """Version in the model store."""
        ...

    @property
    def algorithm(self) -> Algorithm:
        """How it was trained."""
        ...

    @property
    def weight(self) -> float:
        """Share before normalisation; 0 is a shadow."""
        ...


def build_reading(version: str, python: str, bentoml: str) -> Reading:
    """What runs."""
    return BUILD.reads(1, version, python, bentoml)


def model_readings(models: Iterable[LoadedModel]) -> Iterator[Reading]:
    """Which models are loaded, and what their votes weigh."""
    models = tuple(models)
    total = sum(model.weight for model in models)
    for model in models:
        state = "voting" if model.weight > 0 else "shadow"
        yield MODEL.reads(1, model.name, model.version, model.algorithm.value, state)
        yield WEIGHT.reads(model.weight / total, model.name)


def drift_readings(
    newest: Mapping[str, Any] | None, threshold: float, next_run: datetime | None, *, overdue: bool
) -> Iterator[Reading]:
    """How the drift checks stand.

    Args:
        newest: entry of the newest check; None before the first.
        threshold: share of drifted features above which a check alarms.
        next_run: when the scheduler makes the next one; None when it makes none.
        overdue: whether one was due that nobody has made.
    """
    yield THRESHOLD.reads(threshold)
    yield OVERDUE.reads(overdue)
    if next_run is not None:
        yield NEXT_CHECK.reads(next_run.timestamp())
    if newest is None:
        return
    made_at, share = newest.get("at"), newest.get("drifted_share")
    if isinstance(made_at, str):
        yield LAST_CHECK.reads(datetime.fromisoformat(made_at).timestamp())
    if isinstance(share, int | float):
        yield SHARE.reads(share)


def alert_readings(boards: Mapping[frozenset[Cause], Board]) -> Iterator[Reading]:
    """Which alerts stand: those that were opened and are not over yet.

    Args:
        boards: that can be read, by the causes that are kept on them; of others nothing is told.
    """
    standing = Counter(episode.cause for board in boards.values() for episode in board.open)
    for cause in sorted(frozenset[Cause]().union(*boards)):
        yield STANDING.reads(standing[cause], cause.value, severity_of(cause).value)
    messages = [message for board in boards.values() for message in board.messages]
    waiting = [found for message in messages for found in message.deliveries if found.pending]
    yield UNDELIVERED.reads(len(waiting))
