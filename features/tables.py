"""Parquet: feature matrices, with the schema that they follow in the file, and plain rows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from errors import InvalidRequest
from features.bars import BAR_SECONDS, utc_text
from features.compute import FeatureSeries
from features.schema import USDCOP_M5, Schema

__all__ = [
    "HASH_KEY",
    "VERSION_KEY",
    "read_features",
    "write_columns",
    "write_features",
    "write_rows",
]

VERSION_KEY: Final = b"feature_schema_version"
HASH_KEY: Final = b"feature_schema"

# Parquet knows no seconds.
_INSTANT: Final = pa.timestamp("ms", tz="UTC")
_UNITS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_YEAR_2200: Final = 7_258_118_400
_BUILD_AGAIN: Final = "build it again with `usdcop features build`"


def write_features(path: Path, series: FeatureSeries, schema: Schema = USDCOP_M5) -> None:
    """Write the columns `time` (start of the bar), `known_at` and one per feature.

    The file appears whole or not at all; an existing one is replaced.

    Raises:
        InvalidRequest: the file cannot be written.
    """
    columns = {
        "time": pa.array(series.times * 1000, type=_INSTANT),
        "known_at": pa.array(series.known_at * 1000, type=_INSTANT),
        **{name: pa.array(series.matrix[:, row]) for row, name in enumerate(schema.names)},
    }
    described = {VERSION_KEY: schema.version.encode(), HASH_KEY: schema.hash.encode()}
    _write_atomically(path, pa.table(columns).replace_schema_metadata(described))


def read_features(path: Path, schema: Schema = USDCOP_M5) -> FeatureSeries:
    """Read what `write_features` wrote, and believe none of it unseen.

    Raises:
        InvalidRequest: the file is none of these, follows another schema, lacks a column or has no
            row; a time is out of order, there twice or on no full five minutes; or a number is
            not finite. Rows in messages count from 1.
    """
    table, names = _parquet(path)
    described = table.schema.metadata or {}
    found = described.get(HASH_KEY, b"").decode(errors="replace")
    if found != schema.hash:
        raise InvalidRequest(
            f"{path} follows feature schema {found or 'unknown'}; this one needs {schema.hash} "
            f"({schema.version}): {_BUILD_AGAIN}"
        )
    _require_columns(path, names, ("time", "known_at", *schema.names))
    if table.num_rows == 0:
        raise InvalidRequest(f"{path} has no rows: {_BUILD_AGAIN}")
    times = _instants(path, "time", table["time"])
    _require_bars(path, times)
    known_at = _instants(path, "known_at", table["known_at"])
    _require_each(
        path,
        known_at == times + BAR_SECONDS,
        lambda row: f"known_at is {utc_text(known_at[row])}, not five minutes after its time",
    )
    columns = [_finite(path, name, table[name]) for name in schema.names]
    return FeatureSeries(times, known_at, np.stack(columns, axis=1))


def write_rows(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, page: int = 5_000
) -> int:
    """Write rows as a table, a page at a time; returns how many there were.

    Names that end in `_at` are instants (aware datetimes); `sequence` is a whole number,
    `confidence` a fraction and `approved` a truth; every other column is text. A row may lack any.

    The file appears whole or not at all; an existing one is replaced.

    Raises:
        InvalidRequest: the file cannot be written.
    """
    schema = pa.schema([(name, _KINDS.get(name, _kind_of(name))) for name in columns])
    written = 0

    def write(file: Any) -> None:
        nonlocal written
        remaining = iter(rows)
        with pq.ParquetWriter(file, schema) as writer:
            while part := list(islice(remaining, page)):
                writer.write_table(pa.Table.from_pylist(part, schema=schema))
                written += len(part)

    _atomically(path, write)
    return written


def write_columns(path: Path, columns: Mapping[str, Any]) -> None:
    """Write columns of one length; arrays of datetime64 are instants, UTC.

    The file appears whole or not at all; an existing one is replaced.

    Raises:
        InvalidRequest: the file cannot be written.
    """
    arrays = {name: pa.array(values) for name, values in columns.items()}
    for name, array in arrays.items():
        if pa.types.is_timestamp(array.type):
            arrays[name] = array.cast(pa.timestamp("us", tz="UTC"))
    _write_atomically(path, pa.table(arrays))


_KINDS: Final = {
    "sequence": pa.int64(),
    "confidence": pa.float64(),
    "approved": pa.bool_(),
}


def _kind_of(name: str) -> Any:
    return pa.timestamp("us", tz="UTC") if name.endswith("_at") else pa.string()


def _parquet(path: Path) -> tuple[Any, list[str]]:
    """A table and the names of its columns."""
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
        names = table.column_names
    except FileNotFoundError:
        raise InvalidRequest(f"{path} does not exist") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = "it is a directory" if path.is_dir() else str(error).splitlines()[0].rstrip(".")
        raise InvalidRequest(
            f"{path} cannot be read as Parquet: {reason}; {_BUILD_AGAIN}"
        ) from None
    return table, names


def _require_columns(path: Path, names: Sequence[str], needed: Sequence[str]) -> None:
    for name in needed:
        if names.count(name) != 1:
            told = "more than one" if name in names else "no"
            raise InvalidRequest(f"{path} has {told} column {name!r}: {_BUILD_AGAIN}")


def _instants(path: Path, name: str, column: Any) -> NDArray[np.int64]:
    """Whole seconds since 1970-01-01 UTC, shape (n,)."""
    if not pa.types.is_timestamp(column.type) or column.type.tz is None:
        raise InvalidRequest(
            f"{path}: {name} is a column of {column.type}, not of times with a zone: {_BUILD_AGAIN}"
        )
    _require_each(path, ~_empty(column), lambda _: f"{name} is empty")
    units: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    seconds, rest = np.divmod(units, _UNITS[column.type.unit])
    believable = (seconds >= 0) & (seconds < _YEAR_2200) & (rest == 0)
    _require_each(
        path, believable, lambda _: f"{name} is no whole second of the years 1970 to 2199"
    )
    return seconds


def _require_bars(path: Path, times: NDArray[np.int64]) -> None:
    _require_each(
        path,
        times % BAR_SECONDS == 0,
        lambda row: f"the time {utc_text(times[row])} is not on a full five minutes",
    )
    steps = np.diff(times, prepend=times[0] - BAR_SECONDS)
    _require_each(
        path,
        steps >= 0,
        lambda row: f"the time {utc_text(times[row])} is earlier than the one before it",
        "sort the file by time",
    )
    _require_each(
        path,
        steps > 0,
        lambda row: f"the time {utc_text(times[row])} is there twice",
        "keep the right one",
    )


def _finite(path: Path, name: str, column: Any) -> NDArray[np.float32]:
    if column.type != pa.float32():
        raise InvalidRequest(
            f"{path}: {name} is a column of {column.type}, not of float: {_BUILD_AGAIN}"
        )
    _require_each(path, ~_empty(column), lambda _: f"{name} is empty")
    values: NDArray[np.float32] = column.to_numpy()
    _require_each(
        path, np.isfinite(values), lambda row: f"{name} is {values[row]}, which is no finite number"
    )
    return values


def _require_each(
    path: Path,
    good: NDArray[np.bool_],
    fault: Callable[[int], str],
    remedy: str = _BUILD_AGAIN,
) -> None:
    """Refuse a table for its first row that is not good."""
    if not good.all():
        row = int(np.argmin(good))
        raise InvalidRequest(f"{path}, row {row + 1}: {fault(row)}; {remedy}")


def _empty(column: Any) -> NDArray[np.bool_]:
    empty: NDArray[np.bool_] = column.is_null().to_numpy()
    return empty


def _write_atomically(path: Path, table: Any) -> None:
    _atomically(path, lambda file: pq.write_table(table, file))


def _atomically(path: Path, write: Callable[[Any], None]) -> None:
    unfinished: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        unfinished = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(0o644)
        unfinished.replace(path)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
