"""Files that a start fills bars and macro values from."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.load import load_settings
from config.settings import Settings
from errors import ConfigurationError
from examples.simulate import simulate, until, write_market
from features.bar_screen import Bar
from features.cache import MemoryFeatureCache
from features.feed import MarketFeed
from features.schema import USDCOP_M5
from feeds import open_feed, prepare_market

END = datetime(2026, 11, 24, 15, 0, 30, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_market(until(simulate(40, 7), END, 30), tmp_path / "files")


@pytest.fixture
def settings_of(tmp_path: Path, files: tuple[Path, Path]) -> Callable[..., Settings]:
    def settings(**variables: str) -> Settings:
        return load_settings(
            {
                "MLOPS__STATE_PATH": str(tmp_path / "var" / "state.db"),
                "MLOPS__MARKET__BARS_FILE": str(files[0]),
                "MLOPS__MARKET__MACRO_FILE": str(files[1]),
                **variables,
            }
        ).settings

    return settings


def feed_of(settings: Settings) -> MarketFeed:
    cache = MemoryFeatureCache(settings.book, settings.cache)
    return open_feed(settings, cache, USDCOP_M5)


def test_a_start_fills_the_buffer_with_the_newest_bars_and_is_ready(
    settings_of: Callable[..., Settings],
) -> None:
    settings = settings_of()
    prepare_market(settings, END)

    status = feed_of(settings).status()
    assert (status.bars, status.not_ready, status.degraded) == (1200, None, None)
    assert status.newest_bar == datetime(2026, 11, 24, 14, 55, tzinfo=UTC)
    prepare_market(settings, END)  # the same again changes nothing
    assert feed_of(settings).status() == status


def test_what_is_stored_holds_where_a_file_says_otherwise(
    settings_of: Callable[..., Settings],
) -> None:
    settings = settings_of()
    (settings_path := Path(settings.state_path).parent).mkdir()
    own = Bar(int(datetime(2026, 11, 24, 14, 55, tzinfo=UTC).timestamp()), 3640.0)
    feed_of(settings).add_bars([own], END)
    prepare_market(settings, END)

    evidence = feed_of(settings).latest().evidence
    assert evidence is not None
    assert evidence.close == 3640.0
    assert (settings_path / "market.db").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda line: line.replace("T14:55:00Z", "T14:55:00"), "has no time zone"),
        (lambda line: line.replace("T14:55:00Z", "T14:56:00Z"), "full five minutes"),
        (lambda line: line.split(",")[0] + ",1,1,1,1", "the price jumps"),
        (lambda line: line.split(",")[0] + ",1,1,1,x", "is not a number"),
    ],
)
def test_a_file_that_holds_what_is_refused_stops_the_start_with_one_line(
    settings_of: Callable[..., Settings],
    files: tuple[Path, Path],
    change: Callable[[str], str],
    complaint: str,
) -> None:
    *lines, last = files[0].read_text().splitlines()
    files[0].write_text("\n".join([*lines, change(last)]) + "\n")

    with pytest.raises(ConfigurationError, match=complaint) as refusal:
        prepare_market(settings_of(), END)
    assert str(refusal.value).startswith("market.bars_file: ")
    assert "\n" not in str(refusal.value)


def test_a_macro_value_in_another_unit_stops_the_start(
    settings_of: Callable[..., Settings], files: tuple[Path, Path]
) -> None:
    header, *rows, last = files[1].read_text().splitlines()
    cells = last.split(",")
    cells[-1] = "174650"
    files[1].write_text("\n".join([header, *rows, ",".join(cells)]) + "\n")

    with pytest.raises(ConfigurationError, match=r"market\.macro_file: .*usdmxn is 174650") as told:
        prepare_market(settings_of(), END)
    assert str(told.value).endswith("send it to /v1/market/macro with `confirm: true`")


def test_a_macro_value_of_a_day_to_come_stops_the_start(
    settings_of: Callable[..., Settings], files: tuple[Path, Path]
) -> None:
    _, *cells = files[1].read_text().splitlines()[-1].split(",")
    with files[1].open("a") as file:
        file.write(",".join(["2026-11-25", *cells]) + "\n")

    complaint = r"market\.macro_file: .* is dated 2026-11-25, and today is 2026-11-24"
    with pytest.raises(ConfigurationError, match=complaint):
        prepare_market(settings_of(), END)


def test_the_file_of_bars_is_not_that_of_the_ledger(
    settings_of: Callable[..., Settings], tmp_path: Path
) -> None:
    same = str(tmp_path / "var" / ".." / "var" / "state.db")
    with pytest.raises(ConfigurationError, match=r"market\.path: .* is the ledger's file"):
        prepare_market(settings_of(MLOPS__MARKET__PATH=same), END)


def test_a_file_that_is_not_there_stops_the_start(settings_of: Callable[..., Settings]) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        prepare_market(settings_of(MLOPS__MARKET__BARS_FILE="nothing.csv"), END)


def test_a_store_that_cannot_be_written_stops_a_start_that_has_files(
    settings_of: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("no database")
    with pytest.raises(ConfigurationError, match="cannot be stored"):
        prepare_market(settings_of(MLOPS__MARKET__PATH=str(tmp_path / "taken")), END)
