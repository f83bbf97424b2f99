"""The vector of a request: from numbers, from names, from the cache, or from bars."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api.deciding import Observed
from api.messages import InferenceRequest
from application import Application
from errors import InvalidRequest, NotFound
from features.bars import BAR_SECONDS
from features.cache import CachedVector

__all__ = ["batch_vectors", "features_at", "request_observation"]

# Held against exact types: bool is a kind of int to Python, but no number here.
_NUMBERS = frozenset({float, int})
_SOURCES = "`observation`, `features`, or `timestamp` alone"


def request_observation(
    message: InferenceRequest, application: Application, now: datetime
) -> Observed:
    """The observation of a request, (observation_dim,), finite, and what it was made of.

    Raises:
        InvalidRequest: not exactly one source, a wrong length, a number that float32 cannot
            hold, or a name that the schema does not know.
        NotFound: neither the cache nor the bars have a vector for this timestamp.
    """
    if message.observation is not None and message.features is not None:
        raise InvalidRequest(f"`observation` and `features` are both given; send one of {_SOURCES}")
    if message.observation is not None:
        return Observed(_checked(message.observation, application.observation_dim))
    if message.features is not None:
        return _by_name(message.features, application)
    if message.timestamp is not None:
        return _known(message.timestamp, application, now)
    raise InvalidRequest(f"there is nothing to decide on; send one of {_SOURCES}")


def batch_vectors(
    rows: Sequence[Any], dimension: int
) -> tuple[NDArray[np.float32], dict[int, dict[str, str]]]:
    """The good rows, (n, dimension), and what is wrong with each bad one, by index."""
    whole = _whole_matrix(rows, dimension)
    if whole is not None:
        return whole, {}
    good: list[NDArray[np.float32]] = []
    errors: dict[int, dict[str, str]] = {}
    for index, row in enumerate(rows):
        try:
            good.append(_checked_row(row, dimension))
        except InvalidRequest as error:
            errors[index] = {"code": error.code, "message": f"row {index}: {error.message}"}
    return np.array(good, np.float32).reshape(len(good), dimension), errors


def _whole_matrix(rows: Sequence[Any], dimension: int) -> NDArray[np.float32] | None:
    """All rows at once when each of them is good, which is the rule; else None."""
    if set(map(type, rows)) != {list} or set(map(len, rows)) != {dimension}:
        return None
    if not set(map(type, chain.from_iterable(rows))) <= _NUMBERS:
        return None
    try:
        with np.errstate(over="ignore"):
            matrix = np.array(rows, dtype=np.float32)
    except OverflowError:
        return None
    return matrix if np.isfinite(matrix).all() else None


def _checked_row(row: Any, dimension: int) -> NDArray[np.float32]:
    if not isinstance(row, list):
        raise InvalidRequest(f"a row is a list of {dimension} numbers, not {type(row).__name__}")
    wrong = sorted(kind.__name__ for kind in set(map(type, row)) - _NUMBERS)
    if wrong:
        raise InvalidRequest(f"a row holds numbers only, not {', '.join(wrong)}")
    return _checked(row, dimension)


def _checked(values: Sequence[float], dimension: int) -> NDArray[np.float32]:
    if len(values) != dimension:
        raise InvalidRequest(
            f"the observation has {len(values)} values; the models read {dimension}"
        )
    with np.errstate(over="ignore"):
        try:
            vector = np.array(values, dtype=np.float32)
        except OverflowError:  # an integer that even a 64-bit float cannot hold
            vector = np.array([_bounded(value) for value in values], dtype=np.float32)
    if not np.isfinite(vector).all():
        index = int(np.argmin(np.isfinite(vector)))
        raise InvalidRequest(f"value {index} is no finite 32-bit number: {values[index]!r:.40}")
    return vector


def _bounded(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf


def _by_name(features: dict[str, float], application: Application) -> Observed:
    schema = application.schema
    if schema is None:
        raise InvalidRequest(
            f"the models read {application.observation_dim} values and no feature schema names "
            "them; send `observation`"
        )
    state = {schema.names[column] for column in schema.state_columns}
    return Observed(schema.order(features), fill_state=not state & features.keys())


def _known(timestamp: datetime, application: Application, now: datetime) -> Observed:
    found = features_at(timestamp, application, now)
    bar = None if found.evidence is None else found.evidence.bar
    newer = None if bar is None else application.feed.newer_than(bar)
    return Observed(found.vector, found.evidence, fill_state=True, superseded_by=newer)


def features_at(timestamp: datetime, application: Application, now: datetime) -> CachedVector:
    """The vector that was known at a time.

    Raises:
        NotFound: there is none; the message says what would be right.
    """
    found = application.feed.at(timestamp, now)
    if found is None:
        raise NotFound(_not_found(timestamp, application), code="features_not_found")
    return found


def _not_found(timestamp: datetime, application: Application) -> str:
    told = f"there is no vector of {timestamp.isoformat()}"
    if application.feed.has_bar(timestamp):
        known_at = timestamp + timedelta(seconds=BAR_SECONDS)
        return (
            f"{told}; the bar that starts then is known five minutes later: its vector is that of "
            f"{known_at.isoformat()}"
        )
    ttl = application.settings.cache.ttl_seconds
    return (
        f"{told}; send its bar to /v1/market/bars, or the vector itself with `observation` or "
        f"`features` (such vectors are kept {ttl} s)"
    )
