import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.features import features
from config.load import load_settings
from config.settings import Settings, TradingHours
from errors import InvalidRequest, NotReady
from examples.simulate import simulate, write_market
from features.documentation import document
from features.schema import USDCOP_M5
from features.tables import read_features

PAGE = Path(__file__).parents[2] / "docs" / "features.md"


@dataclass(frozen=True)
class Context:
    configuration: Settings = field(default_factory=lambda: load_settings({}).settings)

    def settings(self) -> Settings:
        return self.configuration


def run(*arguments: object) -> Result:
    return CliRunner().invoke(features, [str(part) for part in arguments], obj=Context())


def with_hours(hours: TradingHours) -> Settings:
    return load_settings({}).settings.model_copy(update={"trading_hours": hours})


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_market(simulate(days=6, seed=1), tmp_path_factory.mktemp("market"))


def test_a_simulated_market_becomes_a_feature_file(
    market: tuple[Path, Path], tmp_path: Path
) -> None:
    bars, macro = market
    out = tmp_path / "features.parquet"

    result = run("build", bars, "--macro", macro, "--out", out)

    series = read_features(out)
    assert result.exit_code == 0
    assert f"{len(series.times):,} vectors of 45 features" in result.output
    assert "239 bars to warm up, 0 without fresh macro values" in result.output
    assert USDCOP_M5.hash in result.output


def test_going_without_macro_has_to_be_asked_for(market: tuple[Path, Path], tmp_path: Path) -> None:
    bars, macro = market
    out = tmp_path / "features.parquet"

    refused = run("build", bars, "--out", out)
    contradictory = run("build", bars, "--macro", macro, "--allow-missing-macro", "--out", out)
    asked_for = run("build", bars, "--allow-missing-macro", "--out", out)

    assert (refused.exit_code, contradictory.exit_code, asked_for.exit_code) == (2, 2, 0)
    assert "--allow-missing-macro" in refused.output
    assert not read_features(out).matrix[:, 38:].any()


def test_the_hours_are_those_of_the_configuration(
    market: tuple[Path, Path], tmp_path: Path
) -> None:
    bars, _ = market
    early = Context(with_hours(TradingHours(end_hour=11, end_minute=55)))
    arguments = ["build", bars, "--allow-missing-macro", "--out", tmp_path / "f.parquet"]

    result = CliRunner().invoke(features, [str(part) for part in arguments], obj=early)

    # 11:55 is the last bar: twelve of sixty a day are outside, but for the missing ones.
    found = re.search(r"and (\d+) bars outside the session", result.output)
    assert result.exit_code == 0
    assert found is not None
    assert 60 < int(found[1]) <= 72


def test_times_without_a_zone_are_read_in_the_zone_given(tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    bars.write_text("time,close\n2026-03-02 08:00:00,4000\n", encoding="utf-8")
    arguments = ("build", bars, "--allow-missing-macro", "--out", tmp_path / "f.parquet")

    assert isinstance(run(*arguments).exception, InvalidRequest)
    given = run(*arguments, "--timezone", "America/Bogota")
    misspelt = run(*arguments, "--timezone", "America/Bogata")

    assert isinstance(given.exception, NotReady)
    assert misspelt.exit_code == 2
    assert "'America/Bogata' is no IANA time zone" in misspelt.output


def test_the_schema_is_shown_with_every_feature_and_its_hash() -> None:
    result = run("schema")

    assert result.exit_code == 0
    assert USDCOP_M5.hash in result.output


def test_the_documentation_page_is_what_the_schema_says() -> None:
    assert run("schema", "--markdown").output == document(USDCOP_M5)
    assert PAGE.read_text(encoding="utf-8") == document(USDCOP_M5)
