"""The routes as the OpenAPI document tells them: who answers, and with what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from fastapi import Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel

from api.access import Access
from api.book_messages import DecisionOnRecord, DecisionPage, SummaryAnswer
from api.document import Declared, Described, made_document
from api.fitted_document import fit
from api.live import EventStream
from api.service_messages import (
    AlertsAnswer,
    CacheStatsAnswer,
    DriftLatestAnswer,
    FeaturesAnswer,
    HealthAnswer,
    MetricsAnswer,
    ModelsAnswer,
    PreflightAnswer,
)
from api.web import ROUTES
from application import Application

__all__ = ["served_document"]

_ANSWERS: Mapping[str, type[BaseModel] | type[Response]] = {
    "/health": HealthAnswer,
    "/v1/risk/summary": SummaryAnswer,
    "/v1/decisions": DecisionPage,
    "/v1/decisions/{decision_id}": DecisionOnRecord,
    "/v1/features/latest": FeaturesAnswer,
    "/v1/features/{timestamp}": FeaturesAnswer,
    "/v1/drift/latest": DriftLatestAnswer,
    "/v1/drift/report": HTMLResponse,
    "/v1/alerts": AlertsAnswer,
    "/v1/preflight": PreflightAnswer,
    "/v1/models": ModelsAnswer,
    "/v1/metrics": MetricsAnswer,
    "/metrics": PlainTextResponse,
    "/v1/cache/stats": CacheStatsAnswer,
    "/v1/live": EventStream,
    "/": HTMLResponse,
    "/docs.json": JSONResponse,
}


def served_document(apis: Iterable[Any], application: Application, version: str) -> bytes:
    """The document of a running service, as JSON.

    Args:
        apis: what BentoML knows of the methods that `@bentoml.api` declared.
        application: what `bootstrap` built.
        version: of the service.
    """
    access = Access(application.settings)
    document = made_document(map(_declared, apis), _described(), access, version)
    fit(document, application)
    return orjson.dumps(document)


def _declared(api: Any) -> Declared:
    # BentoML makes a class of its own of each model; the model is its last base.
    request, answer = api.input_spec.__bases__[-1], api.output_spec.__bases__[-1]
    return Declared(api.route, api.name, api.doc, request, answer)


def _described() -> list[Described]:
    """Those of `api.web`, and BentoML's own."""
    ours = [Described(path, ROUTES[path], answer) for path, answer in _ANSWERS.items()]
    return [
        *ours,
        Described("/livez", livez, PlainTextResponse),
        Described("/readyz", readyz, PlainTextResponse),
        Described("/healthz", healthz, PlainTextResponse),
        Described("/schema.json", schema, JSONResponse),
    ]


def livez() -> Any:
    """Whether the process lives."""


def readyz() -> Any:
    """Whether requests may be sent: also while a decision would be HOLD."""


def healthz() -> Any:
    """The same as `/livez`."""


def schema() -> Any:
    """The routes as BentoML's Python client reads them."""
