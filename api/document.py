"""The OpenAPI document of this service: every route with its role, its bodies and its errors.

BentoML's own document leaves out that a value may be null, names errors of another shape and knows
no keys. So FastAPI's generator describes all routes here, from the same models that the routes are
declared with.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.access import ROUTES, Access
from api.answer import REPORTS
from api.document_words import ABOUT, ERRORS, FAILURES, TAGS, Failed, tag_of
from api.failures import CODES

__all__ = ["Declared", "Described", "made_document"]


@dataclass(frozen=True, slots=True)
class Declared:
    """A POST route.

    Attributes:
        path: of the route.
        name: of the method of the Python client.
        about: what it does, in a sentence.
        request: what a body is read as.
        answer: what comes with status 200.
    """

    path: str
    name: str
    about: str
    request: type[BaseModel]
    answer: type[BaseModel]


@dataclass(frozen=True, slots=True)
class Described:
    """A GET route.

    Attributes:
        path: of the route.
        endpoint: what answers; its parameters and its docstring are described.
        answer: a model, or the class of a response that is no JSON.
    """

    path: str
    endpoint: Callable[..., Any]
    answer: type[BaseModel] | type[Response]


def made_document(
    posts: Iterable[Declared], gets: Iterable[Described], access: Access, version: str
) -> dict[str, Any]:
    """The document, as JSON values.

    Args:
        posts: declared routes.
        gets: described routes.
        access: who may call what.
        version: of the service.
    """
    posts = list(posts)
    order = {route.partition(" ")[2]: place for place, route in enumerate(ROUTES)}
    routes: list[APIRoute] = [*map(_post_route, posts), *map(_get_route, gets)]
    routes.sort(key=lambda route: order[access.route(route.path)])
    document = get_openapi(
        title="usdcop",
        version=version,
        description=ABOUT,
        routes=routes,
        tags=[{"name": name, "description": about} for name, about in TAGS.items()],
        servers=[{"url": "."}],
    )
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            role = (access.methods(path) or {})[method.upper()]
            _secure(operation, role, needs_key=not access.without_keys)
            _tell_errors(operation, method, path, keys=not access.without_keys)
    for declared in posts:
        body = document["paths"][declared.path]["post"]["requestBody"]
        body["required"] = any(
            each.is_required() for each in declared.request.model_fields.values()
        )
    _link_decisions(document)
    _finish_components(document)
    return document


def _post_route(declared: Declared) -> APIRoute:
    def operation() -> None:
        """Stand for the handler: only its signature is read."""

    body = inspect.Parameter(
        "body", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=declared.request
    )
    operation.__signature__ = inspect.Signature([body])  # type: ignore[attr-defined]
    return APIRoute(
        declared.path,
        operation,
        methods=["POST"],
        summary=declared.about.partition(".")[0].partition(";")[0],
        description=declared.about,
        operation_id=declared.name,
        response_model=declared.answer,
        response_description=inspect.getdoc(declared.answer) or "",
        tags=[tag_of(declared.path)],
    )


def _get_route(described: Described) -> APIRoute:
    about = inspect.getdoc(described.endpoint) or ""
    kind = described.answer
    told: dict[str, Any] = {"response_description": about.partition("\n")[0]}
    if issubclass(kind, Response):
        told |= {"response_class": kind, "response_model": None}
    else:
        told |= {"response_model": kind}
    return APIRoute(
        described.path,
        described.endpoint,
        methods=["GET"],
        summary=about.partition(".")[0].partition(";")[0].partition("\n")[0],
        operation_id=described.endpoint.__name__,
        tags=[tag_of(described.path)],
        **told,
    )


def _secure(operation: dict[str, Any], role: str | None, *, needs_key: bool) -> None:
    """Say which role a call needs; while a service has no keys, nobody has to show one."""
    if role is None:
        operation["security"] = []
        return
    operation["security"] = [{"key": [str(role)]}] if needs_key else [{"key": [str(role)]}, {}]
    operation["description"] = f"{operation.get('description', '')}\n\nRole: {role}.".strip()


def _tell_errors(operation: dict[str, Any], method: str, path: str, *, keys: bool) -> None:
    responses = operation["responses"]
    responses.pop("422", None)  # FastAPI's own: it is answered as 400
    statuses = {403, *FAILURES.get(path, ())}
    if keys and operation["security"]:
        statuses.add(401)
    if method == "post":
        statuses |= {400, 408, 413, 415, 503}
    elif operation.get("parameters"):
        statuses.add(400)
    for status in sorted(statuses):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{status}"})
    if path in REPORTS:
        responses["503"] = {**responses["200"], "description": "The same, of what does not work."}


def _link_decisions(document: dict[str, Any]) -> None:
    """Say that the id in an answer is the one to ask for."""
    document["paths"]["/v1/inference"]["post"]["responses"]["200"]["links"] = {
        "decision": {
            "operationId": "decision",
            "parameters": {"decision_id": "$response.body#/decision_id"},
        }
    }


def _finish_components(document: dict[str, Any]) -> None:
    components = document["components"]
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["schemas"] |= _schemas_of(Failed)
    for schema in components["schemas"].values():
        if "example" in schema:
            schema["examples"] = [schema.pop("example")]
    components["responses"] = {str(status): _error(status) for status in ERRORS}
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "A key that `usdcop keys new` printed. A viewer reads; a trader also "
            "decides, reports and halts; an admin also resets and resumes.",
        }
    }


def _error(status: int) -> dict[str, Any]:
    """An error as its status has it; the message of a real one says what was wrong with what."""
    meaning = ERRORS[status]
    content = {
        "schema": {"$ref": f"#/components/schemas/{Failed.__name__}"},
        "example": {"error": {"code": CODES[status], "message": meaning, "detail": None}},
    }
    return {"description": meaning, "content": {"application/json": content}}


def _schemas_of(model: type[BaseModel]) -> Mapping[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs", {})
    return {**parts, model.__name__: schema}
