import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.reference import reference
from errors import InvalidRequest
from examples.simulate import simulate, write_market
from features.reference import Reference
from features.schema import USDCOP_M5
from tests.features.test_feature_commands import Context


def run(*arguments: object) -> Result:
    return CliRunner().invoke(reference, [str(part) for part in arguments], obj=Context())


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_market(simulate(days=90, seed=3), tmp_path_factory.mktemp("market"))


@pytest.fixture(scope="module")
def profile(market: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "new" / "reference.json"
    result = run("build", market[0], "--macro", market[1], "--until", "2022-04-15", "--out", out)
    assert result.exit_code == 0, result.output
    return out


def test_a_reference_holds_what_was_known_until_a_day(profile: Path) -> None:
    built = Reference.from_json(json.loads(profile.read_text()))

    assert built.schema == USDCOP_M5.hash
    assert "2022-04-1" in built.last_bar
    assert [file.name for file in profile.parent.iterdir()] == ["reference.json"]


def test_judging_tells_the_share_that_is_refused_and_for_what(
    market: tuple[Path, Path], profile: Path, tmp_path: Path
) -> None:
    bars, macro = market
    told = run("judge", bars, "--macro", macro, "--reference", profile).output
    lines = bars.read_text().splitlines()
    # From half-way on the prices are those of another instrument.
    other = [
        ",".join([line.split(",")[0], *(f"{float(p) / 1000:.4f}" for p in line.split(",")[1:])])
        for line in lines[2700:]
    ]
    (tmp_path / "other.csv").write_text("\n".join([*lines[:2700], *other]) + "\n")

    refused = run("judge", tmp_path / "other.csv", "--macro", macro, "--reference", profile).output

    assert "vectors refused (" in told
    assert float(told.split("(")[1].split("%")[0]) < 6.0
    assert float(refused.split("(")[1].split("%")[0]) > 45.0
    assert "close" in refused


def test_what_is_no_reference_is_refused(market: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")

    result = run("judge", market[0], "--macro", market[1], "--reference", tmp_path / "x.json")

    assert isinstance(result.exception, InvalidRequest)
    assert "is no reference profile" in str(result.exception)


def test_too_short_a_period_is_refused(market: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    result = run("build", market[0], "--macro", market[1], "--until", "2022-01-20", "--out", out)

    assert isinstance(result.exception, InvalidRequest)
    assert "give a longer period" in str(result.exception)
    assert not out.exists()
