"""Bars and macro values from CSV or Parquet files; feature tables to and from Parquet.

What a bar file may hold, and what becomes of it:

==============================  ============================================================
times without a zone            refused, unless a time zone is given
a bar earlier than the last     refused
bars closer than five minutes   refused
the same bar twice              dropped and counted; refused if the closes differ
a close that is no price        refused
bars outside the session        dropped and counted
a start on no full five minutes refused, in the session
bars missing in a session       counted; features count bars, nothing is filled in
times outside 1971 to 2199      refused
==============================  ============================================================

Of the prices only the close is read. Rows in messages count from 1, without the header.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from config.settings import TradingHours
from errors import InvalidRequest
from features.bar_screen import missing_bars
from features.bars import BAR_SECONDS, GREATEST_PRICE, LEAST_PRICE, BarSeries, utc_text
from features.clock import in_session
from features.macro import MACRO_COLUMNS, MacroSeries
from features.macro_screen import require_believable
from features.macro_text import iso_date

__all__ = ["BarFile", "read_bars", "read_macro"]

_Date = TypeVar("_Date", bound=date)
_FIRST_YEAR, _LAST_YEAR = 1971, 2199
_TIME, _DATE = "2025-01-02T13:00:00Z", "2025-01-02"
_KIND_BY_SUFFIX = "Parquet if its name ends in .parquet, else CSV with a header"
_LONGEST_QUOTE = 300


@dataclass(frozen=True, eq=False)
class BarFile:
    """The bars of a file that count, and how many did not.

    Attributes:
        bars: bars of the session.
        rows: rows of the file.
        duplicates: rows that repeated the one before.
        outside_session: bars outside the trading hours or on another weekday.
        missing: five-minute steps without a bar between two bars of one local date.
    """

    bars: BarSeries
    rows: int
    duplicates: int
    outside_session: int
    missing: int


def read_bars(path: Path, hours: TradingHours, zone: ZoneInfo | None = None) -> BarFile:
    """Read five-minute bars with the columns `time` (start of the bar) and `close`.

    Args:
        path: .csv, .csv.gz or .parquet; further columns are ignored.
        hours: the session; bars that start outside it are dropped.
        zone: of times that carry none.

    Raises:
        InvalidRequest: the file is no such file, or holds what the table above refuses.
    """
    table = _read_table(path, ("time", "close"))
    starts = _instants(path, table["time"], zone)
    closes = _numbers(path, "close", table["close"])
    _require_prices(path, closes)
    repeated = _repetitions(path, starts, closes)
    every = BarSeries(starts[~repeated], closes[~repeated])
    inside = in_session(every.starts, hours)
    if not inside.any():
        raise InvalidRequest(
            f"{path}: none of {len(every)} bars starts in the session {hours.start:%H:%M} to "
            f"{hours.end:%H:%M} {hours.timezone}; the first starts at {utc_text(every.starts[0])}"
        )
    bars = BarSeries(every.starts[inside], every.closes[inside])
    _require_full_five_minutes(path, bars, np.flatnonzero(~repeated)[inside] + 1)
    return BarFile(
        bars=bars,
        rows=table.num_rows,
        duplicates=int(repeated.sum()),
        outside_session=int(np.count_nonzero(~inside)),
        missing=missing_bars(bars, hours),
    )


def read_macro(
    path: Path,
    *,
    confirm: bool = False,
    remedy: str = "Correct it, or confirm it if it is meant",
) -> MacroSeries:
    """Read daily macro values with the columns `date` and those of `MACRO_COLUMNS`.

    Args:
        path: .csv, .csv.gz or .parquet; an empty cell is a day without a value.
        confirm: values that look wrong are meant as they stand.
        remedy: what to do about such a value.

    Raises:
        InvalidRequest: the file is no such file, dates are out of order or carry a time of day,
            or a value is no number or looks wrong.
    """
    table = _read_table(path, ("date", *MACRO_COLUMNS))
    days = _parsed(path, "date", table["date"], _days)
    _require_dates_in_order(path, days)
    columns = {name: _numbers(path, name, table[name], may_be_empty=True) for name in MACRO_COLUMNS}
    try:
        macro = MacroSeries.from_table(days, columns)
        if not confirm:
            require_believable(macro, remedy=remedy)
    except InvalidRequest as error:
        raise InvalidRequest(
            f"{path}: {error.message}", code=error.code, detail=error.detail
        ) from None
    return macro


def _read_table(path: Path, columns: tuple[str, ...]) -> Any:
    """Read a table whose CSV columns are text: what is wrong with a cell is said row by row."""
    as_text = pa.csv.ConvertOptions(column_types={name: pa.string() for name in columns})
    if path.is_dir():
        raise InvalidRequest(f"{path} is a directory; name the file in it")
    try:
        table = (
            pq.read_table(path, partitioning=None)
            if path.suffix == ".parquet"
            else pa.csv.read_csv(path, convert_options=as_text)
        )
        names = table.column_names
    except FileNotFoundError:
        raise InvalidRequest(f"{path} does not exist") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = _printable(str(error).splitlines()[0].rstrip("."))
        raise InvalidRequest(
            f"{path} cannot be read as a table: {reason}; it must be {_KIND_BY_SUFFIX}"
        ) from None
    missing = [name for name in columns if name not in names]
    if missing:
        raise InvalidRequest(
            f"{path} lacks the column {missing[0]!r}; it needs {', '.join(columns)}, separated by "
            f"commas, and has {_printable(', '.join(names))}"
        )
    twice = [name for name in columns if names.count(name) > 1]
    if twice:
        raise InvalidRequest(f"{path} has more than one column {twice[0]!r}; keep the right one")
    if table.num_rows == 0:
        raise InvalidRequest(f"{path} has no rows below its header")
    return table


def _printable(text: str) -> str:
    """Text on one line, though it may quote a file that is none."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return f"{shown[:_LONGEST_QUOTE]}…" if len(shown) > _LONGEST_QUOTE else shown


def _instants(path: Path, column: Any, zone: ZoneInfo | None) -> NDArray[np.int64]:
    def seconds(value: object) -> int:
        moment = value if isinstance(value, datetime) else _from_text(datetime, value, _TIME)
        if moment.tzinfo is None:
            if zone is None:
                raise _CellError(
                    f"has no time zone; write it like {_TIME}, or say which zone is meant with "
                    "--timezone"
                )
            moment = moment.replace(tzinfo=zone)
        _require_year(moment)
        return int(moment.timestamp())

    return _parsed(path, "time", column, seconds)


def _days(value: object) -> int:
    """Days since 1970-01-01 of a date, or of a midnight in its own zone."""
    if isinstance(value, datetime):
        # To drop a time of day may be to look ahead: 15:00 UTC is the next day in Tokyo.
        if value.time() != time():
            raise _CellError(f"has a time of day; store dates alone, like {_DATE}")
        value = value.date()
    day = value if isinstance(value, date) else _from_text(date, value, _DATE)
    _require_year(day)
    return (day - date(1970, 1, 1)).days


class _CellError(Exception):
    """What is wrong with a cell, in words that follow its value."""


def _from_text(kind: type[_Date], value: object, example: str) -> _Date:
    try:
        return kind.fromisoformat(str(value))
    except ValueError:
        raise _CellError(f"must be written like {example}") from None


def _require_year(day: date) -> None:
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise _CellError(f"is not in the years {_FIRST_YEAR} to {_LAST_YEAR}")


def _parsed(
    path: Path, name: str, column: Any, parse: Callable[[object], int]
) -> NDArray[np.int64]:
    """Parse a column cell by cell, shape (n,)."""
    if pa.types.is_timestamp(column.type):
        column = _in_microseconds(path, name, column)
    parsed = []
    for row, cell in enumerate(column, start=1):
        try:
            value = cell.as_py()
        except OverflowError:  # Parquet holds dates that Python does not
            raise InvalidRequest(
                f"{path}, row {row}: {name} is not in the years {_FIRST_YEAR} to {_LAST_YEAR}"
            ) from None
        try:
            parsed.append(parse(value))
        except _CellError as error:
            shown = repr(value) if isinstance(value, str) else value
            raise InvalidRequest(f"{path}, row {row}: {name} {shown} {error}") from None
    return np.array(parsed, dtype=np.int64)


def _in_microseconds(path: Path, name: str, column: Any) -> Any:
    """The finest times that Python has."""
    try:
        return column.cast(pa.timestamp("us", tz=column.type.tz))
    except pa.ArrowInvalid as error:
        raise InvalidRequest(
            f"{path}: {name} is not a column of times in whole microseconds: {error}"
        ) from None


def _require_dates_in_order(path: Path, days: NDArray[np.int64]) -> None:
    later = np.diff(days) > 0
    if not later.all():
        row = int(np.argmin(later)) + 1
        raise InvalidRequest(
            f"{path}, row {row + 1}: {iso_date(int(days[row]))} follows "
            f"{iso_date(int(days[row - 1]))}; sort the file by date, each once"
        )


def _numbers(
    path: Path, name: str, column: Any, *, may_be_empty: bool = False
) -> NDArray[np.float64]:
    """Values of a column; an empty cell is NaN where it may be, else refused."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.equal(text, ""), pa.scalar(None, text.type), text)
    if not may_be_empty and column.null_count:
        row = column.is_null().to_pylist().index(True) + 1
        raise InvalidRequest(f"{path}, row {row}: {name} is empty; every row needs a number")
    try:
        numbers = column.cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        row, value = _first_no_number(column)
        raise InvalidRequest(
            f"{path}, row {row}: {name} {value!r} is not a number, like 4012.5"
        ) from None
    values: NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False).astype(np.float64)
    return values


def _first_no_number(column: Any) -> tuple[int, object]:
    for row, value in enumerate(column.to_pylist(), start=1):
        try:
            float(value if value is not None else 0)
        except (TypeError, ValueError):
            return row, value
    return 1, column[0].as_py()


def _require_prices(path: Path, closes: NDArray[np.float64]) -> None:
    priced = (closes >= LEAST_PRICE) & (closes <= GREATEST_PRICE)
    if not priced.all():
        row = int(np.argmin(priced))
        raise InvalidRequest(
            f"{path}, row {row + 1}: close is {closes[row]}; it must be a positive, finite price"
        )


def _require_full_five_minutes(path: Path, bars: BarSeries, rows: NDArray[np.int64]) -> None:
    uneven = bars.starts % BAR_SECONDS != 0
    if uneven.any():
        first = int(np.argmax(uneven))
        raise InvalidRequest(
            f"{path}, row {rows[first]}: the bar at {utc_text(bars.starts[first])} does not start "
            "on a full five minutes, and the service takes no such bar; give bars of 300 s by "
            "their starts"
        )


def _repetitions(
    path: Path, starts: NDArray[np.int64], closes: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which rows repeat the one before, shape (n,)."""
    steps = np.diff(starts)
    if (steps < 0).any():
        row = int(np.argmax(steps < 0)) + 1
        raise InvalidRequest(
            f"{path}, row {row + 1}: the bar at {utc_text(starts[row])} is earlier than the one "
            "before it; sort the file by time"
        )
    close = (steps > 0) & (steps < BAR_SECONDS)
    if close.any():
        row = int(np.argmax(close)) + 1
        raise InvalidRequest(
            f"{path}, row {row + 1}: the bar at {utc_text(starts[row])} follows the one at "
            f"{utc_text(starts[row - 1])}; bars must be five minutes or more apart"
        )
    repeated = np.concatenate([[False], steps == 0])
    disagree = repeated & np.concatenate([[False], np.diff(closes) != 0])
    if disagree.any():
        row = int(np.argmax(disagree))
        raise InvalidRequest(
            f"{path}, row {row + 1}: the bar at {utc_text(starts[row])} is there twice, with the "
            f"closes {closes[row - 1]} and {closes[row]}; keep the right one"
        )
    return repeated
