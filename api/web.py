"""The GET routes: what the service knows, read-only.

Plain functions, which FastAPI runs on threads: they may wait for the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, cast

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter, ValidationError

from api.alert_handlers import told_alerts
from api.dashboard import dashboard, page_file
from api.drift_routes import DRIFT_ROUTES
from api.failures import failure_of
from api.fields import TIME_IN_WORDS, Time
from api.live import live
from api.page import docs, page
from api.repeated import refuse_repeated_query
from api.vectors import features_at
from application import Application
from desk import Desk
from errors import InvalidRequest, NotFound, ServiceError, StoreError
from features.cache import CachedVector
from features.reference import Reference
from features.state_features import BookValues, filled, without_state
from observation import decoded_vector
from risk.events import Event, EventKind, timestamp
from risk.state import RiskState
from risk.summary import Summary

__all__ = ["create_web", "listed_decision", "models", "summary_of", "told_health"]


async def _application(request: Request) -> Application:
    application: Application = request.app.state.application
    return application


App = Annotated[Application, Depends(_application)]
TIME: TypeAdapter[datetime] = TypeAdapter(Time)
KnownAt = Annotated[
    str, Path(alias="timestamp", json_schema_extra={"format": "date-time", **TIME_IN_WORDS})
]


def create_web() -> FastAPI:
    """The app that is mounted beside the APIs; what `state` holds is set when it is built."""
    web = FastAPI(
        title="usdcop",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(refuse_repeated_query)],
    )
    web.add_exception_handler(ServiceError, _failed)
    for path, route in ROUTES.items():
        web.add_api_route(path, route, methods=["GET"], tags=["What the service knows"])
    for path, route in PAGE_ROUTES.items():
        web.add_api_route(path, route, methods=["GET"], include_in_schema=False)
    return web


async def _failed(_: Request, error: Exception) -> Response:
    failure = failure_of(cast("ServiceError", error))
    return Response(failure.body, failure.status, media_type="application/json")


def health(application: App) -> JSONResponse:
    """Whether the service works, part by part; runs no inference."""
    content = told_health(application)
    return JSONResponse(content, 503 if content["status"] == "unhealthy" else 200)


def told_health(application: Application) -> dict[str, Any]:
    """How the service stands, part by part, as JSON values."""
    components: dict[str, Any] = {
        "models": {"status": "healthy", "loaded": len(application.runners)},
        **_book_health(application),
        "cache": _cache_health(application),
        "market": _market_health(application),
        **_alerts_health(application),
    }
    status = max((part["status"] for part in components.values()), key=_GRAVITY.index)
    return {
        "status": status,
        "components": components,
        "environment": application.settings.environment.value,
        "timestamp": timestamp(application.desk.clock()),
    }


def _cache_health(application: Application) -> dict[str, Any]:
    stats = application.cache.stats()
    return _degradable(stats.degraded, backend=stats.backend)


def _market_health(application: Application) -> dict[str, Any]:
    """How bars and macro values stand; having none is no fault: callers may bring vectors."""
    feed = application.feed.status()
    return _degradable(
        feed.degraded,
        backend=feed.backend,
        bars=feed.bars,
        needed=feed.needed,
        newest_bar=None if feed.newest_bar is None else timestamp(feed.newest_bar),
        macro=dict(feed.macro),
        ready=feed.not_ready is None,
        not_ready=feed.not_ready,
    )


def _alerts_health(application: Application) -> dict[str, Any]:
    """Only when alerts are not kept where they should be."""
    reason = application.alerts.degraded
    return {} if reason is None else {"alerts": _degradable(reason)}


def _degradable(reason: str | None, **told: Any) -> dict[str, Any]:
    if reason is None:
        return {"status": "healthy", **told}
    return {"status": "degraded", "reason": reason, **told}


_GRAVITY = ("healthy", "degraded", "unhealthy")


def _book_health(application: Application) -> dict[str, dict[str, Any]]:
    """Whether the ledger can be read and written, and limits and models are those of the book."""
    ledger = application.ledger
    told = {"status": "unhealthy", "backend": ledger.name}
    try:
        head = ledger.head()
    except StoreError as error:
        return {"ledger": {**told, "reason": str(error)}}
    if ledger.trouble is not None:
        return {"ledger": {**told, "reason": ledger.trouble}}
    return {
        "ledger": {**told, "status": "healthy", "sequence": head.sequence},
        "configuration": _configuration_health(application, head.state.configuration),
    }


def _configuration_health(application: Application, recorded: str | None) -> dict[str, Any]:
    own = application.desk.configuration
    if recorded in {None, own}:
        return {"status": "healthy", "hash": own}
    return {
        "status": "degraded",
        "hash": own,
        "reason": f"the book has {recorded} on record: every decision is HOLD, CONFIG_MISMATCH",
    }


def risk_summary(application: App) -> dict[str, Any]:
    """Why an entry or an exit would pass now or not, each limit's use, who halted what."""
    desk = application.desk
    summary = summary_of(desk, desk.ledger.head().state, desk.clock())
    return {"book": application.settings.book, **summary.to_json()}


def summary_of(desk: Desk, state: RiskState, now: datetime) -> Summary:
    """The limits at an instant, in a state of the book."""
    return Summary(
        state=state,
        limits=desk.act(now, "").limits(state),
        session=desk.calendar.status(now),
        now=now,
        configuration=desk.configuration,
        halt_file=desk.halt_requested(),
    )


def decisions(
    application: App,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    *,
    full: Annotated[
        bool, Query(description="Each with all it was made from, as by its id: what replays.")
    ] = False,
) -> dict[str, Any]:
    """Decisions on record, newest first; `next` is the `before` of the following page."""
    events = application.ledger.recent([EventKind.DECISION], limit=limit + 1, before=before)
    page = events[:limit]
    return {
        "decisions": [
            _told(event, application) if full else listed_decision(event) for event in page
        ],
        "next": page[-1].sequence if len(events) > limit else None,
    }


def decision(application: App, decision_id: str) -> dict[str, Any]:
    """One decision with all it was made from."""
    event = application.ledger.by_id(decision_id)
    if event is None or event.kind is not EventKind.DECISION:
        raise NotFound(f"no decision {decision_id[:64]!r} is on record", code="decision_not_found")
    return _told(event, application)


def _told(event: Event, application: Application) -> dict[str, Any]:
    made_from = {name: value for name, value in event.payload.items() if name != "answer"}
    vector, book = decoded_vector(made_from.pop("vector")), made_from.get("book")
    if application.schema is not None and book is not None:
        vector = filled(vector, application.schema, BookValues(**book))
    return {
        **listed_decision(event),
        "observation": vector.tolist(),
        **made_from,
        "previous_hash": event.previous_hash,
        "hash": event.hash,
    }


def listed_decision(event: Event) -> dict[str, Any]:
    """A decision as it was answered, who asked for it, and its place."""
    return {**event.payload["answer"], "caller": event.actor, "sequence": event.sequence}


def latest_features(application: App) -> dict[str, Any]:
    """The vector of the newest bar, by name."""
    return _told_features(application.feed.latest(), application)


def features(application: App, known_at: KnownAt) -> dict[str, Any]:
    """The vector that was known at a time: of a bar, five minutes after its start."""
    try:
        timestamp_asked = TIME.validate_python(known_at)
    except ValidationError:
        raise InvalidRequest(
            f"{known_at[:40]!r} is no time with a zone; ask for one like 2026-03-02T13:05:00Z"
        ) from None
    found = features_at(timestamp_asked, application, application.desk.clock())
    return _told_features(found, application)


def _told_features(found: CachedVector, application: Application) -> dict[str, Any]:
    schema, evidence = application.schema, found.evidence
    of_market = found.vector if schema is None else without_state(found.vector, schema)
    return {
        "timestamp": timestamp(found.timestamp),
        "schema": None if schema is None else {"version": schema.version, "hash": schema.hash},
        "features": None if schema is None else schema.named(found.vector),
        "observation": found.vector.tolist(),
        "evidence": None if evidence is None else evidence.to_json(),
        "vetoes": [
            {"kind": veto.kind.value, "name": veto.name, "message": veto.message}
            for veto in application.models.vetoes(of_market, evidence, None)
        ],
    }


def models(application: App) -> dict[str, Any]:
    """The loaded models."""
    total = sum(runner.weight for runner in application.runners)
    return {
        "strategy": application.settings.ensemble.strategy.value,
        "observation_dim": application.observation_dim,
        "feature_schema": None if application.schema is None else application.schema.hash,
        "models": [
            {
                "name": runner.name,
                "tag": runner.tag,
                "version": runner.version,
                "algorithm": runner.algorithm.value,
                "sha256": runner.sha256,
                "weight": runner.weight,
                "share": runner.weight / total,
                "state": "shadow" if runner.is_shadow else "voting",
                "origin": application.origins[runner.name],
                "metadata": runner.metadata.to_mapping(),
                "reference": _told_reference(runner.reference),
                "latency": asdict(runner.latency()),
            }
            for runner in application.runners
        ],
    }


def _told_reference(reference: Reference | None) -> dict[str, Any] | None:
    if reference is None:
        return None
    return {
        "rows": reference.rows,
        "first_bar": reference.first_bar,
        "last_bar": reference.last_bar,
    }


def alerts(application: App) -> dict[str, Any]:
    """Recent alerts, newest first, and how their deliveries stand."""
    return told_alerts(application)


def preflight(application: App) -> dict[str, Any]:
    """The newest look before a session: whether the book was armed, thing by thing."""
    found = application.day.preflight()
    if found is None:
        raise NotFound(
            "no preflight has been made yet; `usdcop preflight` makes one",
            code="preflight_not_found",
        )
    return found


def metrics(application: App) -> dict[str, Any]:
    """Counts and latencies of the worker that answers; /metrics adds up all workers."""
    now = application.desk.clock()
    return {
        "uptime_seconds": (now - application.started_at).total_seconds(),
        "started_at": timestamp(application.started_at),
        **application.statistics.snapshot(),
        "models": {runner.name: asdict(runner.latency()) for runner in application.runners},
        "cache": asdict(application.cache.stats()),
    }


def scrape(application: App) -> Response:
    """What all workers counted and how things stand, for Prometheus."""
    traffic, standing = application.traffic, application.standing
    return Response(traffic.exposition(standing.readings()), media_type=traffic.content_type)


def cache_stats(application: App) -> dict[str, Any]:
    """Hits, misses and size of the feature cache of the worker that answers."""
    return asdict(application.cache.stats())


ROUTES: Mapping[str, Callable[..., Any]] = {
    "/health": health,
    "/v1/risk/summary": risk_summary,
    "/v1/decisions": decisions,
    "/v1/decisions/{decision_id}": decision,
    "/v1/features/latest": latest_features,
    "/v1/features/{timestamp}": features,
    **DRIFT_ROUTES,
    "/v1/alerts": alerts,
    "/v1/preflight": preflight,
    "/v1/models": models,
    "/v1/metrics": metrics,
    "/metrics": scrape,
    "/v1/cache/stats": cache_stats,
    "/v1/live": live,
    "/docs.json": docs,
    "/": page,
}

PAGE_ROUTES: Mapping[str, Callable[..., Any]] = {
    "/dashboard": dashboard,
    "/dashboard/{file}": page_file,
}
