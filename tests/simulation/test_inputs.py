"""Histories made of bars and of feature files: what the live feed would have said, bar by bar."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import TradingHours
from errors import InvalidRequest
from examples.trading_data import simulated_series
from features.bars import BarSeries
from features.clock import local_days
from features.compute import WINDOW, FeatureSeries, compute_series
from features.evidence import Evidence, evidence_of
from features.files import read_bars, read_macro
from features.macro import MACRO_COLUMNS, MacroSeries
from features.schema import USDCOP_M5, Schema
from features.tables import read_features, write_features
from simulation.history import History
from simulation.inputs import between, evidence_of_bars, history_of_bars, history_of_observations
from tests.features.market import MONDAY, MONDAY_OPEN, random_bars, random_macro, same_bits

HOURS = TradingHours()
EVERY_DAY = TradingHours(trading_days=tuple(range(7)))
BOGOTA = ZoneInfo("America/Bogota")
FIRST_DAY = date(2026, 3, 2)
BARS = random_bars(WINDOW + 130)  # four days to warm up, two days and ten bars


@cache
def market() -> tuple[BarSeries, MacroSeries, FeatureSeries]:
    return simulated_series(30, seed=77)


@cache
def vectors() -> FeatureSeries:
    return compute_series(BARS, None)


def history() -> History:
    return history_of_bars(BARS, None, vectors(), HOURS)


def of_live(bars: BarSeries, index: int, macro: MacroSeries | None, zone: ZoneInfo) -> Evidence:
    """What the live feed says of the newest of its bars."""
    starts = bars.starts[: index + 1][-WINDOW:]
    closes = bars.closes[: index + 1][-WINDOW:]
    return evidence_of(closes, starts, macro, int(local_days(starts[-1:], zone)[0]))


runs = st.lists(
    st.tuples(st.integers(1, 2 * WINDOW), st.sampled_from([4000.0, 4000.5, 3999.75])),
    min_size=1,
    max_size=4,
)
gaps = st.lists(st.integers(1, 500), min_size=1, max_size=6)


@given(runs=runs, gaps=gaps, with_macro=st.booleans())
def test_evidence_is_that_of_each_bar_by_itself(
    runs: list[tuple[int, float]], gaps: list[int], with_macro: bool
) -> None:
    closes = np.concatenate([np.full(length, close) for length, close in runs])
    steps = np.resize(gaps, len(closes)) * 300
    bars = BarSeries(MONDAY_OPEN + np.cumsum(steps), closes)
    macro = random_macro() if with_macro else None
    chosen = np.unique(np.linspace(0, len(bars) - 1, 40).astype(np.int64))

    found = evidence_of_bars(bars, chosen, macro, BOGOTA)

    assert list(found) == [of_live(bars, index, macro, BOGOTA) for index in chosen.tolist()]


def test_a_simulated_market_is_what_the_live_feed_would_have_seen() -> None:
    bars, macro, series = market()

    made = history_of_bars(bars, macro, series, HOURS)

    begin = len(bars) - len(made)
    assert made.starts.tolist() == bars.starts[begin:].tolist()
    assert made.closes.tolist() == bars.closes[begin:].tolist()
    assert made.starts[made.rows >= 0].tolist() == series.times.tolist()
    assert same_bits(made.matrix, series.matrix)
    assert made.fill_state
    for position, row in enumerate(made.rows.tolist()):
        if row >= 0:
            expected = of_live(bars, begin + position, macro, HOURS.zone)
            assert made.evidence[row] == expected
            assert made.evidence[row].to_json() == expected.to_json()


def test_bars_whose_macro_values_are_too_old_have_no_vector_and_stay() -> None:
    days = WINDOW // 60 + 1
    macro = random_macro(100 + days)  # ends on the first day with vectors, then grows old
    bars = random_bars(WINDOW + 60 * 20)
    series = compute_series(bars, macro)

    made = history_of_bars(bars, macro, series, EVERY_DAY)

    assert (made.rows[:60] >= 0).all()
    assert made.rows[-1] == -1
    assert len(made) == len(bars) - (WINDOW - 1)
    assert made.rows[made.rows >= 0].tolist() == list(range(len(series.times)))


def test_days_are_chosen_by_their_local_dates_both_included() -> None:
    whole = history()
    second, third = FIRST_DAY + timedelta(days=4), FIRST_DAY + timedelta(days=5)

    chosen = between(whole, second, third, BOGOTA)

    assert chosen.starts[0] == MONDAY_OPEN + 4 * 86_400
    assert len(chosen) == 120
    kept = np.isin(whole.starts, chosen.starts)
    assert same_bits(chosen.matrix[chosen.rows], whole.matrix[whole.rows[kept]])
    assert [known.bar for known in chosen.evidence if known] == chosen.starts.tolist()


def test_without_days_everything_stays() -> None:
    chosen = between(history(), None, None, BOGOTA)

    assert chosen.starts.tolist() == history().starts.tolist()
    assert same_bits(chosen.matrix, history().matrix)


@given(first=st.integers(-3, 12), length=st.integers(0, 12))
def test_each_bar_keeps_its_own_vector_whatever_the_days(first: int, length: int) -> None:
    whole = history()
    begin = FIRST_DAY + timedelta(days=first)
    end = begin + timedelta(days=length)
    days = MONDAY + first, MONDAY + first + length
    local = local_days(whole.starts, BOGOTA)
    expected = whole.starts[(local >= days[0]) & (local <= days[1])]
    if not len(expected):
        with pytest.raises(InvalidRequest, match="spans 2026-03-05 to 2026-03-08: choose days"):
            between(whole, begin, end, BOGOTA)
        return

    chosen = between(whole, begin, end, BOGOTA)

    assert chosen.starts.tolist() == expected.tolist()
    rows = whole.rows[np.isin(whole.starts, expected)]
    assert same_bits(chosen.matrix[chosen.rows], whole.matrix[rows])


def test_days_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="--from 2026-03-07 is after --to 2026-03-06"):
        between(history(), date(2026, 3, 7), date(2026, 3, 6), BOGOTA)


def test_days_on_which_no_bar_has_a_vector_are_refused() -> None:
    whole = history()
    rows = np.where(np.arange(len(whole)) < 61, whole.rows, -1)
    stale = History(whole.starts, whole.closes, rows, whole.matrix, whole.evidence, fill_state=True)

    with pytest.raises(InvalidRequest, match="from 2026-03-08 to the last day no bar has a vector"):
        between(stale, date(2026, 3, 8), None, BOGOTA)


def feature_file(folder: Path) -> Path:
    path = folder / "features.parquet"
    write_features(path, vectors())
    return path


def test_a_feature_file_stands_for_the_vectors_of_its_bars(tmp_path: Path) -> None:
    read = read_features(feature_file(tmp_path))

    made = history_of_observations(read, BARS, HOURS, "features.parquet")

    computed = history()
    assert made.starts.tolist() == computed.starts.tolist()
    assert made.closes.tolist() == computed.closes.tolist()
    assert same_bits(made.matrix, computed.matrix)
    assert list(made.evidence) == list(computed.evidence)
    assert made.fill_state


def test_a_feature_file_alone_gives_decisions_without_prices(tmp_path: Path) -> None:
    made = history_of_observations(read_features(feature_file(tmp_path)), None, HOURS, "f")

    assert made.starts.tolist() == vectors().times.tolist()
    assert np.isnan(made.closes).all()
    assert made.rows.tolist() == list(range(len(made)))
    assert set(made.evidence) == {None}


def test_a_vector_without_a_bar_is_refused_by_its_row() -> None:
    keep = np.arange(len(BARS)) != WINDOW + 1
    bars = BarSeries(BARS.starts[keep], BARS.closes[keep])

    with pytest.raises(InvalidRequest) as caught:
        history_of_observations(vectors(), bars, HOURS, "features.parquet")

    assert caught.value.message == (
        "features.parquet, row 3: no bar starts at 2026-03-06T13:05:00Z (1 of 131 vectors have "
        "none); give the bars that the vectors were built from, and the same session"
    )


def damaged(folder: Path, damage: Callable[[dict[str, Any]], object]) -> str:
    """The refusal of a feature file whose columns have been changed."""
    path = feature_file(folder)
    table = pq.read_table(path)
    columns = {name: table[name] for name in table.column_names}
    damage(columns)
    pq.write_table(pa.table(columns).replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(InvalidRequest) as caught:
        read_features(path)
    message = caught.value.message
    assert message.startswith(str(path))
    assert len(message.splitlines()) == 1
    return message.removeprefix(str(path))


def with_cell(name: str, row: int, value: object) -> Callable[[dict[str, Any]], object]:
    def damage(columns: dict[str, Any]) -> None:
        cells = columns[name].to_pylist()
        cells[row - 1] = cells[value[0] - 1] if isinstance(value, tuple) else value
        columns[name] = pa.array(cells, type=columns[name].type)

    return damage


def moved(columns: dict[str, Any], milliseconds: int) -> None:
    for name in ("time", "known_at"):
        kind = columns[name].type
        later = columns[name].cast(pa.int64()).to_numpy() + milliseconds
        columns[name] = pa.array(later).cast(kind)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (with_cell("rsi_9", 4, float("nan")), ", row 4: rsi_9 is nan, which is no finite number;"),
        (with_cell("macd", 2, float("-inf")), ", row 2: macd is -inf, which is no finite number;"),
        (with_cell("macd", 2, None), ", row 2: macd is empty;"),
        (with_cell("time", 5, None), ", row 5: time is empty;"),
        (with_cell("time", 5, (4,)), ", row 5: the time 2026-03-06T13:10:00Z is there twice; keep"),
        (
            with_cell("time", 5, (2,)),
            ", row 5: the time 2026-03-06T13:00:00Z is earlier than the one before it; sort the",
        ),
        (with_cell("known_at", 5, (4,)), ", row 5: known_at is 2026-03-06T13:15:00Z, not five min"),
        (
            lambda columns: moved(columns, 60_000),
            ", row 1: the time 2026-03-05T17:56:00Z is not on a full five minutes;",
        ),
        (
            lambda columns: moved(columns, 10**13),
            ", row 1: time is no whole second of the years 1970 to 2199;",
        ),
        (
            lambda columns: moved(columns, 250),
            ", row 1: time is no whole second of the years 1970 to 2199;",
        ),
        (
            lambda columns: columns.update(time=columns["time"].cast(pa.timestamp("ms"))),
            ": time is a column of timestamp[ms], not of times with a zone:",
        ),
        (
            lambda columns: columns.update(rsi_9=columns["rsi_9"].cast(pa.float64())),
            ": rsi_9 is a column of double, not of float:",
        ),
        (lambda columns: columns.pop("rsi_9"), " has no column 'rsi_9':"),
        (
            lambda columns: columns.update({name: columns[name][:0] for name in columns}),
            " has no rows:",
        ),
    ],
)
def test_a_feature_file_that_was_tampered_with_is_refused_by_row_and_column(
    tmp_path: Path, damage: Callable[[dict[str, Any]], object], said: str
) -> None:
    assert damaged(tmp_path, damage).startswith(said)


def test_features_in_other_units_of_time_are_the_same(tmp_path: Path) -> None:
    path = feature_file(tmp_path)
    table = pq.read_table(path)
    at = table.column_names.index("time")
    for unit in ("us", "ns"):
        times = table["time"].cast(pa.timestamp(unit, tz="America/Bogota"))
        pq.write_table(table.set_column(at, "time", times), path)
        assert read_features(path).times.tolist() == vectors().times.tolist()


def test_a_feature_file_of_another_schema_or_none_at_all_is_refused(tmp_path: Path) -> None:
    path = feature_file(tmp_path)
    with pytest.raises(InvalidRequest, match=r"follows feature schema \w+; this one needs \w+ "):
        read_features(path, Schema("other", USDCOP_M5.features))
    with pytest.raises(InvalidRequest, match="cannot be read as Parquet: it is a directory"):
        read_features(tmp_path)
    path.write_bytes(bytes(range(256)) * 16)
    with pytest.raises(InvalidRequest, match=r"cannot be read as Parquet: .+; build it"):
        read_features(path)


def refusal(read: Callable[[], object], path: Path) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read()
    message = caught.value.message
    assert message.startswith(str(path))
    assert len(message.splitlines()) == 1
    assert message.isprintable()
    return message.removeprefix(str(path))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            "2026-03-02T08:00:00,4000",
            ", row 1: time '2026-03-02T08:00:00' has no time zone; write it like",
        ),
        (
            "2026-03-02T13:05:00Z,4000\n2026-03-02T13:00:00Z,4000",
            ", row 2: the bar at 2026-03-02T13:00:00Z is earlier than the one before it; sort the",
        ),
        (
            "2026-03-02T13:00:00Z,4000\n2026-03-02T13:00:00Z,4001",
            ", row 2: the bar at 2026-03-02T13:00:00Z is there twice, with the closes 4000.0 and",
        ),
        (
            "2026-03-02T13:00:00Z,4000\n2026-03-02T13:04:00Z,4001",
            ", row 2: the bar at 2026-03-02T13:04:00Z follows the one at 2026-03-02T13:00:00Z; "
            "bars must be five minutes or more apart",
        ),
        (
            "2026-03-02T12:01:00Z,4000\n2026-03-02T13:00:00Z,4000\n2026-03-02T13:00:00Z,4000\n"
            "2026-03-02T13:06:00Z,4001",
            ", row 4: the bar at 2026-03-02T13:06:00Z does not start on a full five minutes, and",
        ),
        ("", " has no rows below its header"),
    ],
)
def test_a_bar_file_is_refused_by_its_row(tmp_path: Path, rows: str, said: str) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(f"time,close\n{rows}\n")

    assert refusal(lambda: read_bars(path, HOURS), path).startswith(said)


def test_a_column_that_is_missing_is_named_beside_those_that_are_there(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("time;close\n2026-03-02T13:00:00Z;4000\n")

    assert refusal(lambda: read_bars(path, HOURS), path) == (
        " lacks the column 'time'; it needs time, close, separated by commas, and has time;close"
    )


@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz", "bars.parquet"])
def test_a_file_of_bytes_and_a_directory_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(range(256)) * 8)
    said = refusal(lambda: read_bars(path, HOURS), path)
    assert "cannot be read as a table" in said or "lacks the column" in said
    path.unlink()
    path.mkdir()
    assert refusal(lambda: read_bars(path, HOURS), path) == (" is a directory; name the file in it")
    assert refusal(lambda: read_macro(path), path) == " is a directory; name the file in it"


def test_a_header_that_is_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(b"time,close,\xf3\xff\n2026-03-02T13:00:00Z,4000,1\n")

    assert refusal(lambda: read_bars(path, HOURS), path).startswith(" cannot be read as a table")


def test_macro_dates_out_of_order_are_refused_by_their_row(tmp_path: Path) -> None:
    path = tmp_path / "macro.csv"
    row = ",1" * len(MACRO_COLUMNS)
    path.write_text(f"date,{','.join(MACRO_COLUMNS)}\n2026-03-03{row}\n2026-03-02{row}\n")

    assert refusal(lambda: read_macro(path), path) == (
        ", row 2: 2026-03-02 follows 2026-03-03; sort the file by date, each once"
    )
