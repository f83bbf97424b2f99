"""The one place where things are constructed and joined.

`open_application()` is all that a program needs: settings, models, ledger, calendar, observers.
Edges and tests call it, or `build` with parts of their own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from application import Application, World
from config.load import load_settings
from config.settings import Settings
from deployment import ChosenModel, Deployment
from errors import ConfigurationError
from features.cache import MemoryFeatureCache
from features.schema import USDCOP_M5, Schema
from models.choice import choose_models
from models.on_record import LedgerPromotions
from models.promotions import NoPromotions, Promotions
from models.resolution import Origin, ResolvedModel
from models.store import BentoModelStore
from models.stored import ModelStore
from monitoring.log import LogObserver
from monitoring.observer import Observers
from monitoring.prometheus import PrometheusObserver
from monitoring.statistics import Statistics
from pipeline import Desk
from risk.calendar import SessionCalendar
from risk.configuration import configuration_hash, record_configuration
from risk.ledger.protocol import Ledger
from risk.ledger.reopening import ReopeningLedger
from risk.ledger.sqlite import SqliteLedger
from runners.ensemble import Ensemble
from runners.loading import load_runner
from runners.runner import Runner

__all__ = [
    "SHIPPED_MODELS",
    "build",
    "live_versions",
    "open_application",
    "open_ledger",
    "open_promotions",
    "prepare",
    "serve",
]


SHIPPED_MODELS = Path(__file__).parent / "models" / "onnx"
"""The demonstration models of a checkout; a Bento has its models pinned instead."""

_ACTOR = "service"


def open_application(environ: Mapping[str, str] | None = None) -> Application:
    """Build from the configuration of this process.

    Raises:
        ServiceError: one line that says what is wrong and what would be right.
    """
    return serve(prepare(load_settings(os.environ if environ is None else environ).settings))


def prepare(settings: Settings) -> Deployment:
    """Decide what is served, make the ledger if it is new, and prove that it all works.

    Raises:
        ServiceError: it does not; one line that says why.
    """
    ledger = open_ledger(settings, create=True)
    try:
        application = build(settings, ledger)
    finally:
        ledger.close()
    chosen = [
        ChosenModel(runner.name, runner.version, application.origins[runner.name])
        for runner in application.runners
    ]
    return Deployment(settings, chosen)


def serve(deployment: Deployment) -> Application:
    """Build a worker of a deployment. It starts also while the ledger cannot be opened.

    Raises:
        ModelError: a chosen version has left the store, or was damaged.
    """
    store = BentoModelStore()
    resolved = [
        ResolvedModel(store.get(model.name, model.version), Origin(model.origin))
        for model in deployment.models
    ]
    settings = deployment.settings
    ledger = ReopeningLedger(SqliteLedger.name, lambda: open_ledger(settings, create=False))
    return _assemble(settings, ledger, resolved, World())


def open_ledger(settings: Settings, *, create: bool) -> Ledger:
    """The ledger that the settings name.

    Raises:
        ConfigurationError: they name a kind that is not there.
        LedgerError: it cannot be opened, or is not there and may not be made.
    """
    if settings.redis.host is not None:
        raise ConfigurationError(
            f"redis.host is {settings.redis.host!r}: this version keeps its ledger in the "
            "embedded store only; leave redis.host (REDIS_HOST) empty"
        )
    return SqliteLedger(Path(settings.state_path), create=create)


def build(
    settings: Settings,
    ledger: Ledger,
    *,
    store: ModelStore | None = None,
    world: World | None = None,
) -> Application:
    """Choose the models, load them, join the parts, and put the configuration on record.

    Args:
        settings: in force.
        ledger: open; stays the caller's to close if this raises.
        store: of models; by default the BentoML model store of this machine.
        world: time and randomness; by default the real ones.

    Raises:
        ServiceError: a part does not fit; one line that says which.
    """
    live = ledger.head().state.live_models
    resolved = choose_models(settings, live, store or BentoModelStore(), SHIPPED_MODELS)
    world = world or World()
    application = _assemble(settings, ledger, resolved, world)
    record_configuration(
        _what_decides(settings, application.runners, application.schema),
        ledger=ledger,
        calendar=application.desk.calendar,
        now=world.clock(),
        new_id=world.new_id,
        actor=_ACTOR,
    )
    return application


def _assemble(
    settings: Settings, ledger: Ledger, resolved: Sequence[ResolvedModel], world: World
) -> Application:
    _refuse_what_cannot_be_kept(settings)
    schema = USDCOP_M5 if settings.observation_dim == len(USDCOP_M5.names) else None
    runners = _load(settings, resolved, schema)
    models, statistics = Ensemble(runners, settings.ensemble.strategy), Statistics()
    calendar = SessionCalendar(settings.trading_hours, settings.calendar)
    calendar.status(world.clock())  # loads the holidays now and not with the first decision
    desk = Desk(
        models=models,
        ledger=ledger,
        limits=settings.risk_limits,
        calendar=calendar,
        capital_usd=settings.capital_usd,
        configuration=configuration_hash(_what_decides(settings, runners, schema)),
        clock=world.clock,
        timer=world.timer,
        new_id=world.new_id,
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
        started_at=world.clock(),
    )


def _refuse_what_cannot_be_kept(settings: Settings) -> None:
    """A limit that is set but not enforced would be worse than none."""
    for name in ("require_order_id", "require_position"):
        if getattr(settings.risk_limits, name):
            raise ConfigurationError(
                f"risk_limits.{name} is true: this version knows no orders and positions; "
                "leave it false"
            )


def open_promotions(settings: Settings) -> Promotions:
    """Which model versions are live, on record in the ledger of these settings.

    Without a ledger nothing is, and nothing can be promoted: a promotion in a folder that no
    service runs in would have no effect.
    """
    path = Path(settings.state_path)
    if settings.redis.host is None and not path.exists():
        return NoPromotions(
            f"there is no ledger at {path} yet; start the service once, or set "
            "MLOPS__STATE_PATH to its ledger"
        )
    calendar, world = SessionCalendar(settings.trading_hours, settings.calendar), World()
    ledger = open_ledger(settings, create=False)
    return LedgerPromotions(ledger, calendar, world.clock, world.new_id)


def live_versions(settings: Settings, live: Mapping[str, str]) -> dict[str, str]:
    """Model name to the version that a service with these settings would serve now.

    Args:
        settings: name the models.
        live: model name to promoted version.

    Raises:
        ModelError: a model cannot be resolved.
    """
    resolved = choose_models(settings, live, BentoModelStore(), SHIPPED_MODELS)
    return {model.stored.name: model.stored.version for model in resolved}


def _load(
    settings: Settings, resolved: Sequence[ResolvedModel], schema: Schema | None
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
