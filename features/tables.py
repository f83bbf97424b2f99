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
from features.compute import FeatureSeries
from features.schema import USDCOP_M5, Schema

__all__ = ["HASH_KEY", "VERSION_KEY", "read_features", "write_features", "write_rows"]

VERSION_KEY: Final = b"feature_schema_version"
HASH_KEY: Final = b"feature_schema"

# Parquet knows no seconds.
_INSTANT: Final = pa.timestamp("ms", tz="UTC")


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
    """Read what `write_features` wrote.

    Raises:
        InvalidRequest: the file is none of these, or follows another schema.
    """
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise InvalidRequest(f"{path} does not exist") from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidRequest(f"{path} cannot be read as Parquet: {reason}") from None
    described = table.schema.metadata or {}
    found = described.get(HASH_KEY, b"").decode()
    if found != schema.hash:
        raise InvalidRequest(
            f"{path} follows feature schema {found or 'unknown'}; this one needs {schema.hash} "
            f"({schema.version}): build it again with `usdcop features build`"
        )
    return FeatureSeries(
        times=_seconds(table["time"]),
        known_at=_seconds(table["known_at"]),
        matrix=np.stack([table[name].to_numpy() for name in schema.names], axis=1),
    )


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


_KINDS: Final = {
    "sequence": pa.int64(),
    "confidence": pa.float64(),
    "approved": pa.bool_(),
}


def _kind_of(name: str) -> Any:
    return pa.timestamp("us", tz="UTC") if name.endswith("_at") else pa.string()


def _seconds(column: Any) -> NDArray[np.int64]:
    milliseconds: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    return milliseconds // 1000


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
