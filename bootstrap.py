"""The one place where things are constructed and joined.

`open_application()` is all that a program needs: settings, models, ledger, calendar, observers.
Edges and tests call it, or `build` with parts of their own.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.load import load_settings
from config.settings import ModelSettings, Settings
from errors import ConfigurationError
from features.cache import FeatureCache, MemoryFeatureCache
from features.schema import USDCOP_M5, Schema
from models.on_record import LedgerPromotions
from models.promotions import Promotions
from models.resolution import ResolvedModel, resolve_model
from models.store import BentoModelStore
from models.stored import ModelStore
from monitoring.log import LogObserver
from monitoring.observer import Observers
from monitoring.prometheus import PrometheusObserver
from monitoring.statistics import Statistics
from pipeline import Desk
from risk.calendar import SessionCalendar
from risk.configuration import record_configuration
from risk.identifiers import new_identifier
from risk.ledger.protocol import Ledger
from risk.ledger.sqlite import SqliteLedger
from runners.ensemble import Ensemble
from runners.loading import inspect_model, load_runner
from runners.runner import Runner

__all__ = [
    "Application",
    "build",
    "live_versions",
    "open_application",
    "open_ledger",
    "prepare",
    "promotions_of",
    "resolve_models",
]

Clock = Callable[[], datetime]

SHIPPED_MODELS = Path(__file__).parent / "models" / "onnx"
"""The demonstration models of a checkout; a Bento has its models pinned instead."""

_ACTOR = "service"


@dataclass(frozen=True, slots=True)
class Application:
    """Everything that was built.

    Attributes:
        settings: in force.
        models: the loaded models: `predict`, `predict_one`.
        runners: the same, one by one, with their latencies.
        origins: where each model's version came from, by model name.
        schema: names of the observation; None when the models read something else.
        ledger: events and risk state.
        cache: feature vectors by timestamp.
        statistics: counts of this process.
        desk: what `pipeline.decide` needs.
        started_at: when it was built.
    """

    settings: Settings
    models: Ensemble
    runners: tuple[Runner, ...]
    origins: Mapping[str, str]
    schema: Schema | None
    ledger: Ledger
    cache: FeatureCache
    statistics: Statistics
    desk: Desk
    started_at: datetime

    @property
    def observation_dim(self) -> int:
        """Length of the observation."""
        return self.settings.observation_dim

    def close(self) -> None:
        """Release the ledger. Closing twice is harmless."""
        self.ledger.close()


def open_application(environ: Mapping[str, str] | None = None) -> Application:
    """Build from the configuration of this process.

    Raises:
        ServiceError: one line that says what is wrong and what would be right.
    """
    loaded = load_settings(os.environ if environ is None else environ)
    ledger = open_ledger(loaded.settings)
    try:
        return build(loaded.settings, ledger)
    except BaseException:
        ledger.close()
        raise


def prepare(settings: Settings) -> None:
    """Find out, before any worker starts, that the service can start.

    Raises:
        ServiceError: it cannot; one line that says why.
    """
    ledger = open_ledger(settings)
    try:
        build(settings, ledger)
    finally:
        ledger.close()


def open_ledger(settings: Settings) -> Ledger:
    """The ledger that the settings name.

    Raises:
        ConfigurationError: they name one that is not there.
        LedgerError: it cannot be opened.
    """
    if settings.redis.host is not None:
        raise ConfigurationError(
            f"redis.host is {settings.redis.host!r}: this version keeps its ledger in the "
            "embedded store only; leave redis.host (REDIS_HOST) empty"
        )
    return SqliteLedger(Path(settings.state_path))


def build(
    settings: Settings,
    ledger: Ledger,
    *,
    store: ModelStore | None = None,
    clock: Clock = lambda: datetime.now(UTC),
    timer: Callable[[], int] = time.perf_counter_ns,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Application:
    """Load the models, record the configuration, and join the parts.

    Args:
        settings: in force.
        ledger: open; stays the caller's to close if this raises.
        store: of models; by default the BentoML model store of this machine.
        clock: aware time; a replay steps it.
        timer: nanoseconds of a clock that never goes back.
        random_bytes: that many fresh random bytes.

    Raises:
        ServiceError: a part does not fit; one line that says which.
    """
    _refuse_what_cannot_be_kept(settings)
    schema = USDCOP_M5 if settings.observation_dim == len(USDCOP_M5.names) else None
    resolved = resolve_models(settings, ledger, store or BentoModelStore())
    runners = _load(settings, resolved, schema)
    calendar = SessionCalendar(settings.trading_hours, settings.calendar)
    calendar.status(clock())  # loads the holidays now and not with the first decision

    def new_id(now: datetime) -> str:
        return new_identifier(now, random_bytes(10))

    configuration = record_configuration(
        _what_decides(settings, runners, schema),
        ledger=ledger,
        calendar=calendar,
        now=clock(),
        new_id=new_id,
        actor=_ACTOR,
    )
    models, statistics = Ensemble(runners, settings.ensemble.strategy), Statistics()
    desk = Desk(
        models=models,
        ledger=ledger,
        limits=settings.risk_limits,
        calendar=calendar,
        capital_usd=settings.capital_usd,
        configuration=configuration,
        clock=clock,
        timer=timer,
        new_id=new_id,
        observer=Observers([statistics, PrometheusObserver(), LogObserver()]),
    )
    return Application(
        settings=settings,
        models=models,
        runners=runners,
        origins={model.stored.name: model.origin.value for model in resolved},
        schema=schema,
        ledger=ledger,
        cache=MemoryFeatureCache(settings.book, settings.cache),
        statistics=statistics,
        desk=desk,
        started_at=clock(),
    )


def _refuse_what_cannot_be_kept(settings: Settings) -> None:
    """A limit that is set but not enforced would be worse than none."""
    for name in ("require_order_id", "require_position"):
        if getattr(settings.risk_limits, name):
            raise ConfigurationError(
                f"risk_limits.{name} is true: this version knows no orders and positions; "
                "leave it false"
            )


def promotions_of(
    ledger: Ledger,
    settings: Settings,
    *,
    clock: Clock = lambda: datetime.now(UTC),
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Promotions:
    """Which model versions are live, on record in this ledger."""
    calendar = SessionCalendar(settings.trading_hours, settings.calendar)
    return LedgerPromotions(
        ledger, calendar, clock, lambda now: new_identifier(now, random_bytes(10))
    )


def resolve_models(
    settings: Settings, ledger: Ledger, store: ModelStore
) -> tuple[ResolvedModel, ...]:
    """The version of each enabled model that this configuration serves, in configured order.

    A model named by `tag` that the store has no version of is registered from the file that
    the project ships for it, if it does.

    Raises:
        ModelError: a model is missing, damaged, or named twice with different versions.
    """
    live = ledger.head().state.live_models
    root = Path(settings.model_storage_path)
    for model in settings.enabled_models:
        _register_shipped(model, store)
    return tuple(
        resolve_model(model, store=store, live=live, storage_path=root, inspect=inspect_model)
        for model in settings.enabled_models
    )


def live_versions(settings: Settings) -> dict[str, str]:
    """Model name to the version that a service with these settings serves.

    Raises:
        ServiceError: a model cannot be resolved, or the ledger not be read.
    """
    ledger = open_ledger(settings)
    try:
        resolved = resolve_models(settings, ledger, BentoModelStore())
    finally:
        ledger.close()
    return {model.stored.name: model.stored.version for model in resolved}


def _register_shipped(model: ModelSettings, store: ModelStore) -> None:
    shipped = SHIPPED_MODELS / f"{model.name}.onnx"
    if model.tag == model.name and shipped.is_file() and not store.versions(model.name):
        content = shipped.read_bytes()
        store.register(model.name, content, inspect_model(content, source=str(shipped)))


def _load(
    settings: Settings, resolved: tuple[ResolvedModel, ...], schema: Schema | None
) -> tuple[Runner, ...]:
    feature_schema = None if schema is None else schema.hash
    return tuple(
        load_runner(model, source.stored, feature_schema=feature_schema)
        for model, source in zip(settings.enabled_models, resolved, strict=True)
    )


def _what_decides(
    settings: Settings, runners: tuple[Runner, ...], schema: Schema | None
) -> dict[str, Any]:
    """Everything that a decision depends on beside the observation and the state."""
    return {
        "risk_limits": settings.risk_limits.model_dump(mode="json"),
        "trading_hours": settings.trading_hours.model_dump(mode="json"),
        "calendar": settings.calendar.model_dump(mode="json"),
        "ensemble": settings.ensemble.model_dump(mode="json"),
        "capital_usd": settings.capital_usd,
        "feature_schema": None if schema is None else schema.hash,
        "models": [
            {
                "name": runner.name,
                "version": runner.version,
                "sha256": runner.sha256,
                "algorithm": runner.algorithm.value,
                "weight": runner.weight,
            }
            for runner in runners
        ],
    }
