"""What a model knows: the vectors it was trained on, boiled down to bounds and relations.

A reference is built once, from the vectors and bars of the training period, and kept as JSON
beside the model. `features/vetoes.py` holds every later vector against it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from errors import InvalidRequest
from features.bars import BarSeries, utc_text
from features.compute import FeatureSeries
from features.known_ranges import known_bounds, known_levels
from features.macro import MacroSeries
from features.reference_json import Reader
from features.residuals import Relations, fit_relations, in_order
from features.schema import USDCOP_M5, Schema

__all__ = ["LEAST_DAYS", "LEAST_ROWS", "Reference", "build_reference"]

FORMAT: Final = 1
"""Of the JSON. Another number is refused."""

LEAST_ROWS, LEAST_DAYS = 1_000, 20
"""A reference needs that many vectors of that many days."""

_DAY_SECONDS: Final = 86_400

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reference:
    """What a model knows. Arrays are read-only.

    Attributes:
        schema: hash of the feature schema.
        schema_version: its version.
        names: features in the order of the vector, m of them.
        rows: vectors it was built from.
        first_bar: start of the first bar, ISO 8601.
        last_bar: start of the last bar, ISO 8601.
        low: least value that counts as known, shape (m,).
        high: greatest value that counts as known, shape (m,); where it equals `low`, the feature
            never varied.
        levels: series (`close`, and macro series) → least and greatest known level.
        session: local minutes at which the session starts and ends; None if they could not be
            told from the clock features.
        relations: what features say about each other; None if too few of them varied.
    """

    schema: str
    schema_version: str
    names: tuple[str, ...]
    rows: int
    first_bar: str
    last_bar: str
    low: Array
    high: Array
    levels: Mapping[str, tuple[float, float]]
    session: tuple[float, float] | None
    relations: Relations | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", MappingProxyType(dict(self.levels)))
        for array in (self.low, self.high):
            array.setflags(write=False)

    @cached_property
    def bounds(self) -> tuple[list[float], list[float]]:
        """`low` and `high` as floats."""
        return self.low.tolist(), self.high.tolist()

    @cached_property
    def related(self) -> NDArray[np.int64]:
        """Columns of the vector that `relations` reads, shape (k,)."""
        names = () if self.relations is None else self.relations.names
        return np.array([self.names.index(name) for name in names], dtype=np.int64)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Reference:
        """Read what `to_json` wrote.

        Raises:
            InvalidRequest: something is missing, of another size or format, or no finite number.
        """
        read = Reader(value)
        read.require("format", FORMAT)
        names = read.names("names")
        low, high = (read.numbers(key, len(names)) for key in ("low", "high"))
        if not (low <= high).all():
            name = names[int(np.argmin(low <= high))]
            raise InvalidRequest(f"the reference has its bounds of {name} the wrong way round")
        session = read.optional("session")
        return cls(
            schema=read.text("schema"),
            schema_version=read.text("schema_version"),
            names=names,
            rows=read.count("rows"),
            first_bar=read.text("first_bar"),
            last_bar=read.text("last_bar"),
            low=low,
            high=high,
            levels=read.ranges("levels"),
            session=None if session is None else read.increasing_pair("session"),
            relations=_relations_of(read, names),
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `from_json` gives the same numbers back."""
        relations = self.relations
        return {
            "format": FORMAT,
            "schema": self.schema,
            "schema_version": self.schema_version,
            "names": list(self.names),
            "rows": self.rows,
            "first_bar": self.first_bar,
            "last_bar": self.last_bar,
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "levels": {name: list(bounds) for name, bounds in self.levels.items()},
            "session": None if self.session is None else list(self.session),
            "relations": None
            if relations is None
            else {
                "names": list(relations.names),
                **{key: getattr(relations, key).tolist() for key in _RELATION_ARRAYS},
            },
        }


def build_reference(
    series: FeatureSeries,
    bars: BarSeries,
    macro: MacroSeries | None,
    *,
    schema: Schema = USDCOP_M5,
) -> Reference:
    """Boil the vectors of a training period down to what they say about others.

    Vectors of a frozen feed (volatility_30m is 0) are left out.

    Args:
        series: vectors of the training period, in order of time.
        bars: bars that they were computed from.
        macro: the daily series that they were computed from; None if they went without.
        schema: of the vectors.

    Raises:
        InvalidRequest: too few vectors, or of too few days.
    """
    matrix, times = series.matrix.astype(np.float64), series.times
    if "volatility_30m" in schema.names:
        moving = matrix[:, schema.names.index("volatility_30m")] > 0
        matrix, times = matrix[moving], times[moving]
    days = times // _DAY_SECONDS
    if len(times) < LEAST_ROWS or len(np.unique(days)) < LEAST_DAYS:
        raise InvalidRequest(
            f"a reference needs {LEAST_ROWS:,} vectors of {LEAST_DAYS} days, of a feed that moves; "
            f"these are {len(times):,} of {len(np.unique(days))}: give a longer period"
        )
    low, high = known_bounds(matrix, days, schema)
    columns = dict(zip(schema.names, matrix.T, strict=True))
    return Reference(
        schema=schema.hash,
        schema_version=schema.version,
        names=schema.names,
        rows=len(times),
        first_bar=utc_text(times[0]),
        last_bar=utc_text(times[-1]),
        low=low,
        high=high,
        levels=known_levels(bars, macro, int(times[0]), int(times[-1])),
        session=_session(columns),
        relations=fit_relations(columns, days),
    )


def _session(columns: Mapping[str, Array]) -> tuple[float, float] | None:
    """Minutes of the day at which the session starts and ends, from where its progress is."""
    if not {"minute_sin", "minute_cos", "session_progress"} <= columns.keys():
        return None
    minute = minutes(columns["minute_sin"], columns["minute_cos"])
    progress = columns["session_progress"]
    inside = (progress > 0) & (progress < 1)
    if len(np.unique(progress[inside])) < 2:
        return None
    length, start = np.polyfit(progress[inside], minute[inside], 1)
    start, end = float(np.round(start, 2)), float(np.round(start + length, 2))
    if start >= end:
        return None
    off = np.abs(np.clip((minute - start) / (end - start), 0.0, 1.0) - progress)
    return (start, end) if off.max() < 1e-4 else None


def minutes(sine: Any, cosine: Any) -> Any:
    """Minute of the day, 0 to 1440, of its sine and cosine."""
    # NumPy takes ten times as long for one number.
    angle = math.atan2 if isinstance(sine, float) else np.arctan2
    return (angle(sine, cosine) * (720.0 / math.pi)) % 1440.0


_DIVISOR: Final = "volatility_1d"
_RELATION_ARRAYS: Final = ("floor", "centre", "spread", "limits", "weights")


def _relations_of(read: Reader, names: tuple[str, ...]) -> Relations | None:
    if read.optional("relations") is None:
        return None
    inner = read.inner("relations")
    related = inner.names("names")
    if set(related) - set(names) or related != in_order(related) or _DIVISOR not in related:
        raise InvalidRequest(
            f"the reference relates {', '.join(related)}; these must be among its names, "
            f"{_DIVISOR} first: build the reference again"
        )
    size = len(related)
    arrays = {
        key: inner.numbers(key, size, positive=key in ("spread", "limits"))
        for key in _RELATION_ARRAYS[:-1]
    }
    return Relations(names=related, weights=inner.square("weights", size), **arrays)
