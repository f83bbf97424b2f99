import gzip
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from config.settings import TradingHours
from errors import InvalidRequest
from features.compute import WINDOW, compute_series
from features.files import read_bars, read_macro
from features.macro import MACRO_COLUMNS
from features.schema import USDCOP_M5, Schema
from features.tables import HASH_KEY, VERSION_KEY, read_features, write_features
from tests.features.market import MONDAY_OPEN, random_bars, random_macro, same_bits

HOURS = TradingHours()
HEADER = "time,open,high,low,close"
FIRST = "2026-03-02T13:00:00Z,4000,4000,4000,4000"
SECOND = "2026-03-02T13:05:00Z,4001,4002,4000,4001.5"
MACRO_HEADER = "date,dxy,vix,embi_col,brent,ust10y,col10y,usdmxn"


def written(folder: Path, *lines: str, name: str = "bars.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read_bars(path, HOURS)
    message = caught.value.message
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_bars_are_read_with_their_starts_in_utc(tmp_path: Path) -> None:
    file = read_bars(written(tmp_path, HEADER, FIRST, SECOND), HOURS)

    assert file.bars.starts.tolist() == [MONDAY_OPEN, MONDAY_OPEN + 300]
    assert file.bars.closes.tolist() == [4000.0, 4001.5]
    assert (file.rows, file.duplicates, file.outside_session, file.missing) == (2, 0, 0, 0)


def test_time_and_close_are_enough_and_offsets_are_understood(tmp_path: Path) -> None:
    path = written(tmp_path, "close,time", "4000,2026-03-02T08:00:00-05:00")

    assert read_bars(path, HOURS).bars.starts.tolist() == [MONDAY_OPEN]


def test_a_gzipped_file_is_read_like_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n{FIRST}\n".encode()))

    assert read_bars(path, HOURS).bars.closes.tolist() == [4000.0]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parquet_bars_are_read_whatever_the_unit_of_their_times(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "bars.parquet"
    times = pa.array([MONDAY_OPEN], type=pa.timestamp("s", tz="UTC"))
    table = {"time": times.cast(pa.timestamp(unit, tz="UTC")), "close": pa.array([4000])}
    pq.write_table(pa.table(table), path)

    file = read_bars(path, HOURS)

    assert (file.bars.starts.tolist(), file.bars.closes.tolist()) == ([MONDAY_OPEN], [4000.0])


def test_a_time_without_a_zone_is_refused_unless_one_is_given(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, "2026-03-02 08:00:00,1,1,1,4000")

    assert "row 1: time '2026-03-02 08:00:00' has no time zone" in refusal(path)
    assert "--timezone" in refusal(path)
    in_bogota = read_bars(path, HOURS, ZoneInfo("America/Bogota"))
    assert in_bogota.bars.starts.tolist() == [MONDAY_OPEN]


def test_rows_out_of_order_are_refused(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, HEADER, SECOND, FIRST))

    assert "row 2: the bar at 2026-03-02T13:00:00Z is earlier" in message
    assert "sort the file by time" in message


def test_the_same_bar_twice_is_dropped_and_counted(tmp_path: Path) -> None:
    file = read_bars(written(tmp_path, HEADER, FIRST, FIRST, FIRST, SECOND), HOURS)

    assert (file.rows, file.duplicates, len(file.bars)) == (4, 2, 2)


def test_two_closes_for_one_bar_are_refused(tmp_path: Path) -> None:
    other = FIRST.replace("4000", "4007")

    message = refusal(written(tmp_path, HEADER, FIRST, other, SECOND))

    assert "row 2: the bar at 2026-03-02T13:00:00Z is there twice" in message
    assert "4000.0 and 4007.0" in message


@pytest.mark.parametrize("close", ["0", "-4000", "nan", "inf", "1e13"])
def test_a_close_that_is_no_price_is_refused_by_row(tmp_path: Path, close: str) -> None:
    path = written(tmp_path, HEADER, FIRST, f"2026-03-02T13:05:00Z,1,1,1,{close}")

    assert "row 2: close is" in refusal(path)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("", "close is empty; every row needs a number"),
        ("4.012,5", None),
        ("n/a", "close 'n/a' is not a number"),
    ],
)
def test_a_cell_that_is_no_number_is_refused(tmp_path: Path, cell: str, said: str | None) -> None:
    path = written(tmp_path, HEADER, FIRST, f"2026-03-02T13:05:00Z,1,1,1,{cell}")

    message = refusal(path)

    assert said is None or f"row 2: {said}" in message


def test_a_time_that_is_none_is_refused_by_row(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, HEADER, "02/03/2026 8:00,1,1,1,4000"))

    assert "row 1: time '02/03/2026 8:00' must be written like 2025-01-02T13:00:00Z" in message


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00+05:00", "1970-12-31T13:00:00Z", "9999-12-31T23:59:59-05:00"]
)
def test_a_time_of_another_age_is_refused_by_row(tmp_path: Path, time: str) -> None:
    message = refusal(written(tmp_path, HEADER, FIRST, f"{time},1,1,1,4000"))

    assert message == f", row 2: time {time!r} is not in the years 1971 to 2199"


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        (10**18, pa.timestamp("us", tz="UTC"), ", row 1: time is not in the years 1971 to 2199"),
        (2**31 - 1, pa.date32(), ", row 1: time is not in the years 1971 to 2199"),
        (10**14, pa.timestamp("s", tz="UTC"), ": time is not a column of times in whole micro"),
        (1, pa.timestamp("ns", tz="UTC"), ": time is not a column of times in whole micro"),
    ],
)
def test_a_parquet_time_that_no_clock_shows_is_refused_in_one_line(
    tmp_path: Path, value: int, kind: pa.DataType, said: str
) -> None:
    path = tmp_path / "bars.parquet"
    pq.write_table(pa.table({"time": pa.array([value], type=kind), "close": [4000.0]}), path)

    assert refusal(path).startswith(said)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "time,close,close", "2026-03-02T13:00:00Z,4000,4100")

    assert refusal(path) == " has more than one column 'close'; keep the right one"


def test_bars_closer_than_five_minutes_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, FIRST, "2026-03-02T13:01:00Z,1,1,1,4000")

    assert "five minutes or more apart" in refusal(path)


def test_bars_outside_the_session_are_dropped_and_counted(tmp_path: Path) -> None:
    early, sunday = FIRST.replace("T13", "T12"), FIRST.replace("03-02", "03-01")

    file = read_bars(written(tmp_path, HEADER, sunday, early, FIRST), HOURS)

    assert (file.outside_session, len(file.bars)) == (2, 1)


def test_a_file_without_a_bar_in_the_session_says_which_session(tmp_path: Path) -> None:
    message = refusal(written(tmp_path, HEADER, FIRST.replace("T13", "T05")))

    assert "none of 1 bars starts in the session 08:00 to 12:55 America/Bogota" in message


def test_bars_missing_within_a_session_are_counted_but_nights_are_not(tmp_path: Path) -> None:
    later = FIRST.replace("13:00", "13:20")
    tomorrow = FIRST.replace("03-02", "03-03")

    assert read_bars(written(tmp_path, HEADER, FIRST, later, tomorrow), HOURS).missing == 3


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["time,price", "2026-03-02T13:00:00Z,1"], "lacks the column 'close'"),
        ([HEADER], "has no rows"),
        ([HEADER, "1,2"], "cannot be read as a table"),
    ],
)
def test_a_file_that_is_no_table_of_bars_is_refused(
    tmp_path: Path, lines: list[str], said: str
) -> None:
    assert said in refusal(written(tmp_path, *lines))


def test_a_file_that_is_not_there_or_not_what_its_name_says_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.csv")
    assert "cannot be read" in refusal(written(tmp_path, HEADER, FIRST, name="bars.parquet"))
    (tmp_path / "empty.csv").touch()
    assert "cannot be read" in refusal(tmp_path / "empty.csv")


def test_macro_values_are_read_and_empty_cells_are_gaps(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        MACRO_HEADER,
        "2026-03-01,100.5,20,300,75,4,10,18",
        "2026-03-02,,21,301,,4,10,18.5",
    )

    macro = read_macro(path)

    assert macro.columns["dxy"].values.tolist() == [100.5]
    assert macro.columns["vix"].values.tolist() == [20.0, 21.0]
    assert np.diff(macro.columns["vix"].days).tolist() == [1]


def test_a_macro_value_that_looks_wrong_is_refused_by_series_and_date(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        MACRO_HEADER,
        "2026-02-27,100,20,300,75,4,10,18.6",
        "2026-03-02,100,20,300,75,4,10,174650",
        "2026-03-03,100,20,300,75,4,10,18.5",
    )

    with pytest.raises(InvalidRequest) as caught:
        read_macro(path)

    assert caught.value.message == (
        f"{path}: usdmxn is 174650 on 2026-03-02, 9389.8 times the 18.6 of 2026-02-27; a true "
        "change is below 3 times: is a decimal point lost? Correct it, or confirm it if it is meant"
    )
    assert caught.value.code == "suspect_macro_value"
    assert read_macro(path, confirm=True).columns["usdmxn"].values.tolist() == [18.6, 174650, 18.5]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("2026-03-01,1,1,1,1,1,1,1", "2026-03-01 follows 2026-03-01"),
        ("2026-03-02,1,1,x,1,1,1,1", "row 2: embi_col 'x' is not a number"),
        ("2026-03-02,1,1,1,-1,1,1,1", "brent is -1.0 on 2026-03-02"),
        ("02/03/2026,1,1,1,1,1,1,1", "row 2: date '02/03/2026' must be written like 2025-01-02"),
        ("0001-01-01,1,1,1,1,1,1,1", "row 2: date '0001-01-01' is not in the years 1971 to 2199"),
    ],
)
def test_a_macro_row_that_makes_no_sense_is_refused(tmp_path: Path, row: str, said: str) -> None:
    path = written(tmp_path, MACRO_HEADER, "2026-03-01,1,1,1,1,1,1,1", row)

    with pytest.raises(InvalidRequest) as caught:
        read_macro(path)

    assert caught.value.message.startswith(str(path))
    assert said in caught.value.message


def test_a_macro_date_written_as_a_time_is_told_what_a_date_looks_like(tmp_path: Path) -> None:
    path = written(tmp_path, MACRO_HEADER, "2025-01-02T00:00:00Z,1,1,1,1,1,1,1")

    with pytest.raises(InvalidRequest) as caught:
        read_macro(path)

    assert caught.value.message == (
        f"{path}, row 1: date '2025-01-02T00:00:00Z' must be written like 2025-01-02"
    )


def macro_parquet(folder: Path, *dates: datetime, zone: str | None) -> Path:
    path = folder / "macro.parquet"
    levels = (100.0, 20.0, 300.0, 75.0, 4.0, 10.0, 18.0)
    values = {name: [level] * len(dates) for name, level in zip(MACRO_COLUMNS, levels, strict=True)}
    table = {"date": pa.array(dates, type=pa.timestamp("ns", tz=zone)), **values}
    pq.write_table(pa.table(table), path)
    return path


@pytest.mark.parametrize("zone", [None, "UTC", "America/Bogota", "Asia/Tokyo"])
def test_a_macro_timestamp_at_midnight_of_its_own_zone_is_its_date(
    tmp_path: Path, zone: str | None
) -> None:
    midnight = datetime(2025, 1, 2, tzinfo=ZoneInfo(zone) if zone else None)

    macro = read_macro(macro_parquet(tmp_path, midnight, zone=zone))

    assert macro.columns["vix"].days.tolist() == [(date(2025, 1, 2) - date(1970, 1, 1)).days]


@pytest.mark.parametrize(
    ("zone", "hour", "shown"),
    [
        (None, 15, "2025-01-02 15:00:00"),
        ("UTC", 15, "2025-01-02 15:00:00+00:00"),
        ("America/Bogota", 0, "2025-01-01 19:00:00-05:00"),
    ],
)
def test_a_macro_timestamp_with_a_time_of_day_is_refused_by_row(
    tmp_path: Path, zone: str | None, hour: int, shown: str
) -> None:
    utc = UTC if zone else None
    midnight = datetime(2025, 1, 1, tzinfo=ZoneInfo(zone) if zone else None)
    path = macro_parquet(tmp_path, midnight, datetime(2025, 1, 2, hour, tzinfo=utc), zone=zone)

    with pytest.raises(InvalidRequest) as caught:
        read_macro(path)

    assert caught.value.message == (
        f"{path}, row 2: date {shown} has a time of day; store dates alone, like 2025-01-02"
    )


def test_features_come_back_from_parquet_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "new" / "features.parquet"
    series = compute_series(random_bars(WINDOW + 70), random_macro())

    write_features(path, series)
    read = read_features(path)

    assert same_bits(read.matrix, series.matrix)
    assert read.times.tolist() == series.times.tolist()
    assert read.known_at.tolist() == series.known_at.tolist()


def test_the_file_says_which_schema_it_follows(tmp_path: Path) -> None:
    path = tmp_path / "features.parquet"
    write_features(path, compute_series(random_bars(WINDOW), random_macro()))

    schema = pq.read_schema(path)

    assert schema.names == ["time", "known_at", *USDCOP_M5.names]
    assert schema.metadata[VERSION_KEY] == USDCOP_M5.version.encode()
    assert schema.metadata[HASH_KEY] == USDCOP_M5.hash.encode()
    assert schema.field("time").type.tz == "UTC"


def test_features_of_another_schema_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "features.parquet"
    write_features(path, compute_series(random_bars(WINDOW), random_macro()))

    with pytest.raises(InvalidRequest, match=f"follows feature schema {USDCOP_M5.hash}; this one"):
        read_features(path, Schema("other", USDCOP_M5.features))


def test_a_parquet_file_without_a_schema_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), path)

    with pytest.raises(InvalidRequest, match="follows feature schema unknown"):
        read_features(path)
    with pytest.raises(InvalidRequest, match="does not exist"):
        read_features(tmp_path / "none.parquet")
    with pytest.raises(InvalidRequest, match="cannot be read as Parquet"):
        read_features(written(tmp_path, HEADER))


def test_a_table_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    taken = tmp_path / "features.parquet"
    taken.mkdir()
    series = compute_series(random_bars(WINDOW), random_macro())

    with pytest.raises(InvalidRequest, match="cannot be written"):
        write_features(taken, series)

    assert list(tmp_path.iterdir()) == [taken]
