"""A failed validation as one line: where, which key, what it is, what it may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from config.shape import KeyPath, Place, allowed, bounds, dotted, locate, suggestion

__all__ = ["complaint"]

LONGEST_VALUE = 60
OUT_OF_RANGE = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})


def complaint(error: ValidationError, origin_of: Callable[[KeyPath], str]) -> str:
    """Say in one line what is wrong with the settings.

    Args:
        error: what the types found.
        origin_of: the file or variable that a path of keys comes from.

    Misspelt keys come first, since a missing key is often just a misspelt one.
    """
    found = error.errors(include_url=False)
    first = min(found, key=lambda details: details["type"] != "extra_forbidden")
    path: KeyPath = tuple(part for part in first["loc"] if part != "[key]")
    line = f"{origin_of(path)}: {_sentence(path, first)}"
    # Values may span lines; an error does not.
    line = " ".join(line.split())
    more = len(found) - 1
    return f"{line} (and {more} more)" if more else line


def _sentence(path: KeyPath, details: ErrorDetails) -> str:
    kind, place, key = details["type"], locate(path), dotted(path)
    if kind == "extra_forbidden":
        return f"{key} is not a setting; {suggestion(path)}"
    if kind == "missing":
        return f"{key} is missing; it must be {allowed(place)}" if place else f"{key} is missing"
    if kind == "too_short" and place is not None:
        return f"{key} is empty; it needs at least one entry"
    if kind == "value_error":
        return _own_words(path, place, details)
    shown = _shown(place, details["input"])
    if place is None:
        return f"{key}{shown}: {details['msg'][0].lower()}{details['msg'][1:]}"
    right = f"{_range(place)}" if kind in OUT_OF_RANGE else allowed(place)
    return f"{key}{shown}; it must be {right}{_kubernetes(path, details['input'])}"


def _own_words(path: KeyPath, place: Place | None, details: ErrorDetails) -> str:
    """The message of a validator in `config.settings`, with the value in front if it needs one."""
    message = str(details["ctx"]["error"])
    if message.startswith("must be"):
        return f"{dotted(path)}{_shown(place, details['input'])}; it {message}"
    return f"{dotted(path)}: {message}" if path else message


def _range(place: Place) -> str:
    return f"{bounds(place)} ({place.example})" if place.example else bounds(place)


def _shown(place: Place | None, value: object) -> str:
    """` is VALUE`, shortened, unless it is or may hold a secret."""
    # Parts of a credential are easily swapped by mistake: none of them is shown.
    if place is not None and (place.secret or place.beside_secret):
        return " is not right (its value is not shown)"
    if isinstance(value, BaseModel | SecretStr):
        return " is not right"
    text = _yaml(value)
    return f" is {text[:LONGEST_VALUE]}{'...' if len(text) > LONGEST_VALUE else ''}"


def _yaml(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and not isinstance(value, Enum):
        return repr(value)
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    return str(value)


def _kubernetes(path: KeyPath, value: object) -> str:
    if path == ("redis", "port") and isinstance(value, str) and value.startswith("tcp://"):
        return (
            " (Kubernetes sets REDIS_PORT so for a Service called redis: "
            "put `enableServiceLinks: false` into the pod)"
        )
    return ""
