"""The GET routes: what the service knows, read-only.

Plain functions, which FastAPI runs on threads: they may wait for the ledger.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, cast

import numpy as np
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse

from api.failures import failure_of
from application import Application
from errors import LedgerError, NotFound, ServiceError
from risk.events import Event, EventKind, timestamp
from risk.summary import summarise

__all__ = ["create_web"]


async def _application(request: Request) -> Application:
    application: Application = request.app.state.application
    return application


App = Annotated[Application, Depends(_application)]


def create_web() -> FastAPI:
    """The app that is mounted beside the APIs; `state.application` is set when it is built."""
    web = FastAPI(title="usdcop", openapi_url=None, docs_url=None, redoc_url=None)
    web.add_exception_handler(ServiceError, _failed)
    for path, route in ROUTES.items():
        web.add_api_route(path, route, methods=["GET"], tags=["What the service knows"])
    return web


async def _failed(_: Request, error: Exception) -> Response:
    failure = failure_of(cast("ServiceError", error))
    return Response(failure.body, failure.status, media_type="application/json")


def health(application: App) -> JSONResponse:
    """Whether the service works, part by part; runs no inference."""
    components: dict[str, Any] = {
        "models": {"status": "healthy", "loaded": len(application.runners)},
        "ledger": _ledger_health(application),
        "cache": {"status": "healthy", "backend": application.cache.stats().backend},
    }
    healthy = all(part["status"] == "healthy" for part in components.values())
    content = {
        "status": "healthy" if healthy else "unhealthy",
        "components": components,
        "environment": application.settings.environment.value,
        "timestamp": timestamp(application.desk.clock()),
    }
    return JSONResponse(content, 200 if healthy else 503)


def _ledger_health(application: Application) -> dict[str, Any]:
    ledger = application.ledger
    try:
        sequence = ledger.head().sequence
    except LedgerError as error:
        return {"status": "unhealthy", "backend": ledger.name, "reason": str(error)}
    if ledger.trouble is not None:
        return {"status": "unhealthy", "backend": ledger.name, "reason": ledger.trouble}
    return {"status": "healthy", "backend": ledger.name, "sequence": sequence}


def risk_summary(application: App) -> dict[str, Any]:
    """Why an entry would or would not pass now, and how much of each limit is used."""
    desk = application.desk
    now = desk.clock()
    state = desk.ledger.head().state
    summary = summarise(state, desk.limits, desk.calendar.status(now), now)
    return {"book": application.settings.book, **summary}


def decisions(
    application: App,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> dict[str, Any]:
    """Decisions on record, newest first; `next` is the `before` of the following page."""
    events = application.ledger.recent([EventKind.DECISION], limit=limit + 1, before=before)
    page = events[:limit]
    return {
        "decisions": [_listed(event) for event in page],
        "next": page[-1].sequence if len(events) > limit else None,
    }


def decision(application: App, decision_id: str) -> dict[str, Any]:
    """One decision with all it was made from."""
    event = application.ledger.by_id(decision_id)
    if event is None or event.kind is not EventKind.DECISION:
        raise NotFound(f"no decision {decision_id!r} is on record", code="decision_not_found")
    made_from = {name: value for name, value in event.payload.items() if name != "answer"}
    vector = np.frombuffer(base64.b64decode(made_from.pop("vector")), dtype="<f4")
    return {
        **_listed(event),
        "observation": vector.tolist(),
        **made_from,
        "previous_hash": event.previous_hash,
        "hash": event.hash,
    }


def _listed(event: Event) -> dict[str, Any]:
    return {**event.payload["answer"], "caller": event.actor, "sequence": event.sequence}


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
                "latency": asdict(runner.latency()),
            }
            for runner in application.runners
        ],
    }


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


def cache_stats(application: App) -> dict[str, Any]:
    """Hits, misses and size of the feature cache of the worker that answers."""
    return asdict(application.cache.stats())


ROUTES: Mapping[str, Callable[..., Any]] = {
    "/health": health,
    "/v1/risk/summary": risk_summary,
    "/v1/decisions": decisions,
    "/v1/decisions/{decision_id}": decision,
    "/v1/models": models,
    "/v1/metrics": metrics,
    "/v1/cache/stats": cache_stats,
}
