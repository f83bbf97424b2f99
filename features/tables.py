"""Feature matrices to and from Parquet, with the schema that they follow written into the file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from errors import InvalidRequest
from features.compute import FeatureSeries
from features.schema import USDCOP_M5, Schema

__all__ = ["HASH_KEY", "VERSION_KEY", "read_features", "write_features"]

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


def _seconds(column: Any) -> NDArray[np.int64]:
    milliseconds: NDArray[np.int64] = column.cast(pa.int64()).to_numpy()
    return milliseconds // 1000


def _write_atomically(path: Path, table: Any) -> None:
    unfinished: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        unfinished = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(0o644)
        unfinished.replace(path)
    except OSError as error:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
        raise InvalidRequest(f"{path} cannot be written: {error.strerror or error}") from error
