"""Errors of the frameworks, said in the service's own shape and words.

BentoML answers a failed validation with `{"error", "detail": [...]}`, its own exceptions with
`[{"error"}]`; FastAPI with `{"detail": ...}`; the router in plain text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import orjson

from api.failures import Failure

__all__ = ["invalid", "translated"]

NAMED_PROBLEMS = 5
LISTED_PROBLEMS = 20
LONGEST_NAME = 64
LONGEST_PROBLEM = 300

PARTS_OF_A_REQUEST = frozenset({"body", "query", "path", "header"})
"""FastAPI puts one of these before the name of a field."""

PROBLEMS: Mapping[str, str] = {
    "finite_number": "not a finite number",
    "missing": "missing",
    "json_invalid": "not valid JSON",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "list_type": "must be a list",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "a whole number beyond what can be read",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
}
"""Type of a validation error to what is wrong; others are said in the validator's own words."""

PREFIXES: tuple[tuple[str, str], ...] = (
    ("Value error, ", ""),
    ("Assertion failed, ", ""),
    ("Invalid JSON: ", "not valid JSON: "),
    ("Input should be ", "must be "),
    ("Input should ", "must "),
    ("List should ", "must "),
    ("Dictionary should ", "must "),
    ("String should ", "must "),
)

SENTENCES: Mapping[int, str] = {
    404: "there is no {method} {path}",
    405: "{path} does not answer to {method}",
    500: "the service failed; its log says why",
    503: "the service cannot answer now; the same request may be sent again",
    504: "the service did not answer in time",
}


def translated(status: int, body: bytes, *, method: str, path: str) -> Failure:
    """Say a framework's error in the service's own shape.

    Args:
        status: as the framework gave it; 422 becomes 400.
        body: as the framework gave it; may be anything.
        method: of the request.
        path: of the request.
    """
    status = 400 if status == 422 else status
    content = _parsed(body)
    details = content.get("detail")
    problems = details if isinstance(details, list) else []
    if problems := [problem for problem in problems if isinstance(problem, dict)]:
        return invalid(problems, status=status)
    said = next((content[key] for key in ("error", "detail", "message") if key in content), None)
    if status in SENTENCES:
        return Failure(status, SENTENCES[status].format(method=method, path=_short(path)))
    message = said if isinstance(said, str) and said else "the request was refused"
    return Failure(status, message[:LONGEST_PROBLEM])


def _parsed(body: bytes) -> Mapping[str, object]:
    try:
        content = orjson.loads(body)
    except ValueError:
        return {}
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    return cast("dict[str, object]", content) if isinstance(content, dict) else {}


def invalid(
    details: Sequence[Mapping[str, object]], fields: Sequence[str] = (), *, status: int = 400
) -> Failure:
    """Say what pydantic found wrong with a body.

    Args:
        details: of a ValidationError, as its `errors()` gives them.
        fields: names that the body may have, for the message about an unknown one.
        status: of the failure.
    """
    problems = [_problem(detail, fields) for detail in details[:LISTED_PROBLEMS]]
    more = len(details) - NAMED_PROBLEMS
    sentences = [_sentence(problem) for problem in problems[:NAMED_PROBLEMS]]
    if more > 0:
        sentences.append(f"and {more} more")
    return Failure(status, "; ".join(sentences), detail=problems)


def _sentence(problem: Mapping[str, str]) -> str:
    field, text = problem["field"], problem["problem"]
    return f"{field}: {text}" if field and not text.startswith("unknown field") else text


def _problem(detail: Mapping[str, object], fields: Sequence[str]) -> dict[str, str]:
    location = detail.get("loc")
    parts = [str(part) for part in location] if isinstance(location, list | tuple) else []
    if parts and parts[0] in PARTS_OF_A_REQUEST:
        parts = parts[1:]
    field = _short(".".join(parts))
    kind, said = str(detail.get("type", "")), str(detail.get("msg", ""))
    if kind == "extra_forbidden":
        allowed = f"; allowed: {', '.join(fields)}" if fields and len(parts) == 1 else ""
        return {"field": field, "problem": f"unknown field '{field}'{allowed}"}
    problem = _in_own_words(kind, said)
    # Without a field it is about the body as a whole.
    return {"field": field or "body", "problem": problem[:LONGEST_PROBLEM]}


def _in_own_words(kind: str, said: str) -> str:
    if kind in PROBLEMS and kind != "json_invalid":
        return PROBLEMS[kind]
    said = said.replace(" after validation", "")
    for prefix, own in PREFIXES:
        if said.startswith(prefix):
            return own + said[len(prefix) :]
    return said or "not right"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 3] + "..."
