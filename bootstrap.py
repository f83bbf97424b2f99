"""The one place where things are constructed and joined; `ledgers` is its part about the store.

`open_application()` is all that a program needs: settings, models, ledger, calendar, observers.
Edges and tests call it, or `build` with parts of their own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alerting import AlertSources, open_alerts
from application import Application, World
from config.load import load_settings
from config.settings import EnsembleStrategy, ModelSettings, Settings
from daily import open_day_records
from deployment import ChosenModel, Deployment
from desk import Desk
from drifting import drift_grace, drift_schedule, open_drift_records
from errors import LedgerRegressed, ModelMismatch
from features.schema import Schema
from feeds import open_cache, open_feed, prepare_market
from ledgers import anchored, free_bytes, open_ledger, served_ledger, trusted_ledger
from models.choice import choose_models
from models.on_record import LedgerPromotions
from models.promotions import NoPromotions, Promotions
from models.resolution import Origin, ResolvedModel
from models.store import BentoModelStore
from models.stored import REFERENCE_NAME, ModelStore, StoredModel
from monitoring.day.records import DayRecords
from monitoring.drift.records import DocumentDriftRecords
from monitoring.log import LogObserver
from monitoring.observer import Observers
from monitoring.prometheus import PrometheusObserver
from monitoring.service_gauges import build_reading
from monitoring.statistics import Statistics
from risk.calendar import SessionCalendar
from risk.changes import offer_configuration
from risk.configuration import configuration_hash
from risk.halt_file import HaltFile
from risk.ledger.protocol import Ledger
from runners.ensemble import Ensemble
from runners.loading import load_runner
from runners.runner import Runner
from schemas import feature_schema, own_schema_document
from standing import Standing
from stores.documents import Documents
from versions import bentoml_version, project_version, python_version

__all__ = [
    "SHIPPED_MODELS",
    "build",
    "configuration_values",
    "live_versions",
    "models_on_record",
    "open_application",
    "open_promotions",
    "prepare",
    "serve",
    "served_reference",
    "training_reference",
]


SHIPPED_MODELS = Path(__file__).parent / "models" / "onnx"
"""The demonstration models of a checkout; a Bento has its models pinned instead."""

_ACTOR = "service"
_LOGGER = logging.getLogger("usdcop.start")


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
    ledger = trusted_ledger(settings)
    try:
        held = anchored(settings, ledger)
        try:
            held.head()
            application = build(settings, held)
        except LedgerRegressed as error:
            # It starts all the same: callers get their HOLD, and its reason.
            _LOGGER.warning("%s", error)
            application = build(settings, ledger, offer=False)
    finally:
        ledger.close()
    prepare_market(settings, World().clock())
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
    return _assemble(settings, anchored(settings, served_ledger(settings)), resolved, World())


def build(
    settings: Settings,
    ledger: Ledger,
    *,
    store: ModelStore | None = None,
    world: World | None = None,
    documents: Documents | None = None,
    live: Mapping[str, str] | None = None,
    offer: bool = True,
) -> Application:
    """Choose the models, load them, join the parts, and put the configuration on record.

    Args:
        settings: in force.
        ledger: open; stays the caller's to close if this raises.
        store: of models; by default the BentoML model store of this machine.
        world: time and randomness; by default the real ones.
        documents: where bars and macro values are kept; by default the store of the settings.
        live: model name to version; by default those that were promoted on record.
        offer: put limits and models on record; in force they are if the book has none yet.

    Raises:
        ServiceError: a part does not fit; one line that says which.
    """
    if live is None:
        live = ledger.head().state.live_models
    resolved = choose_models(settings, live, store or BentoModelStore(), SHIPPED_MODELS)
    world = world or World()
    application = _assemble(settings, ledger, resolved, world, documents)
    act = application.desk.act(world.clock(), _ACTOR)
    if offer and not offer_configuration(application.configuration_values, act):
        _LOGGER.warning(
            "the book runs with other limits or models than this service: every decision is HOLD "
            "with CONFIG_MISMATCH until `usdcop config apply --reason ...` records the change"
        )
    return application


def _assemble(
    settings: Settings,
    ledger: Ledger,
    resolved: Sequence[ResolvedModel],
    world: World,
    documents: Documents | None = None,
) -> Application:
    schema = feature_schema(settings)
    runners = _load(settings, resolved, schema)
    models, statistics = Ensemble(runners, settings.ensemble.strategy), Statistics()
    calendar = SessionCalendar(settings.trading_hours, settings.calendar)
    calendar.status(world.clock())  # loads the holidays now and not with the first decision
    values, cache = _what_decides(settings, runners, schema), open_cache(settings)
    prometheus = PrometheusObserver(runner.name for runner in runners)
    for runner in runners:
        runner.tell_durations(prometheus.model_durations(runner.name))
    desk = Desk(
        models=models,
        ledger=ledger,
        limits=settings.risk_limits,
        calendar=calendar,
        capital_usd=settings.capital_usd,
        configuration=configuration_hash(values),
        clock=world.clock,
        timer=world.timer,
        new_id=world.new_id,
        halt_requested=HaltFile(Path(settings.halt_file)),
        observer=Observers([statistics, prometheus, LogObserver()]),
        schema=schema,
    )
    feed = open_feed(settings, cache, schema, documents)
    drift = open_drift_records(settings) if documents is None else DocumentDriftRecords(documents)
    day = open_day_records(settings) if documents is None else DayRecords(documents)
    enabled = settings.monitoring.enable_drift_detection
    schedule = drift_schedule(settings) if enabled else None
    started_at = world.clock()
    grace = drift_grace(settings)
    sources = AlertSources(desk, cache, feed, drift, started_at, schedule, grace, day)
    alerts = open_alerts(settings, world, sources, documents)
    return Application(
        settings=settings,
        models=models,
        runners=runners,
        origins={model.stored.name: model.origin.value for model in resolved},
        schema=schema,
        ledger=ledger,
        cache=cache,
        feed=feed,
        statistics=statistics,
        traffic=prometheus,
        desk=desk,
        alerts=alerts,
        drift=drift,
        standing=Standing(
            desk=desk,
            models=runners,
            cache=cache,
            feed=feed,
            alerts=alerts,
            drift=drift,
            drift_threshold=settings.monitoring.drift_threshold,
            schedule=schedule,
            grace=sources.grace,
            started_at=started_at,
            build=build_reading(project_version(), python_version(), bentoml_version()),
            free_bytes=lambda: free_bytes(settings),
        ),
        day=day,
        configuration_values=values,
        started_at=started_at,
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
    ledger = anchored(settings, open_ledger(settings, create=False))
    return LedgerPromotions(ledger, calendar, world.clock, world.new_id)


def configuration_values(settings: Settings, live: Mapping[str, str]) -> dict[str, Any]:
    """Limits and models that a service with these settings would run with now.

    Args:
        settings: name the models.
        live: model name to promoted version.

    Raises:
        ModelError: a model cannot be resolved or loaded.
    """
    resolved = choose_models(settings, live, BentoModelStore(), SHIPPED_MODELS)
    schema = feature_schema(settings)
    return _what_decides(settings, _load(settings, resolved, schema), schema)


def models_on_record(values: Mapping[str, Any]) -> Ensemble:
    """The models that a configuration on record names, from the model store.

    Raises:
        ModelError: one has left the store, or is not the one on record.
    """
    store = BentoModelStore()
    runners = []
    for model in values["models"]:
        stored = store.get(model["name"], model["version"])
        if stored.sha256 != model["sha256"]:
            raise ModelMismatch(
                f"model {stored.tag} has sha256 {stored.sha256}; on record is {model['sha256']}"
            )
        entry = ModelSettings(
            name=model["name"],
            algorithm=model["algorithm"],
            tag=stored.tag,
            observation_dim=model["observation_dim"],
            action_space_size=model["action_space_size"],
            weight=model["weight"],
        )
        runners.append(load_runner(entry, stored, feature_schema=values["feature_schema"]))
    return Ensemble(runners, EnsembleStrategy(values["ensemble"]["strategy"]))


def training_reference(settings: Settings) -> Path | None:
    """The reference profile that drift checks begin with, of the models that are live now.

    Raises:
        ModelError: a model cannot be resolved.
    """
    live = open_promotions(settings).current()
    resolved = choose_models(settings, live, BentoModelStore(), SHIPPED_MODELS)
    return _training_reference(settings, [model.stored for model in resolved])


def served_reference(deployment: Deployment) -> Path | None:
    """The reference profile that drift checks begin with, of the models of a deployment.

    Raises:
        ModelError: a chosen version has left the store.
    """
    store = BentoModelStore()
    models = [store.get(model.name, model.version) for model in deployment.models]
    return _training_reference(deployment.settings, models)


def _training_reference(settings: Settings, models: Sequence[StoredModel]) -> Path | None:
    """That of the first model that has a vote and a profile."""
    for model, stored in zip(settings.enabled_models, models, strict=True):
        if model.weight > 0 and stored.metadata.reference is not None:
            return stored.path.with_name(REFERENCE_NAME)
    return None


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
        "risk_limits": settings.risk_limits.recorded(),
        "trading_hours": settings.trading_hours.model_dump(mode="json"),
        "calendar": settings.calendar.model_dump(mode="json"),
        "ensemble": settings.ensemble.model_dump(mode="json"),
        "capital_usd": settings.capital_usd,
        "feature_schema": None if schema is None else schema.hash,
        "own_schema": own_schema_document(settings),
        "models": [
            {
                "name": runner.name,
                "version": runner.version,
                "sha256": runner.sha256,
                "algorithm": runner.algorithm.value,
                "weight": runner.weight,
                "observation_dim": entry.observation_dim,
                "action_space_size": entry.action_space_size,
            }
            for runner, entry in zip(runners, settings.enabled_models, strict=True)
        ],
    }
