"""`usdcop drift` and `usdcop reference show`, as a person uses them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import usdcop
from examples.simulate import simulate, write_market
from tests.integration.test_drift_checks import write_decisions

pytestmark = pytest.mark.usefixtures("bentoml_home")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Bars and macro values of a simulated market, as files."""
    return write_market(simulate(60, 3), tmp_path_factory.mktemp("market"))


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a ledger of some weeks, and the settings that name it."""
    monkeypatch.setenv("MLOPS_ENVIRONMENT", "development")
    monkeypatch.setenv("MLOPS__STATE_PATH", str(tmp_path / "state.db"))
    monkeypatch.setenv("MLOPS__ACKNOWLEDGED_PATH", str(tmp_path / "acknowledged"))
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(usdcop, list(words))


def test_a_check_is_told_and_listed(book: Path) -> None:
    write_decisions(book / "state.db")

    told = run("drift", "check", "--no-report")
    entry = json.loads(run("drift", "check", "--no-report", "--json").output)
    listed = run("drift", "history")
    as_json = [json.loads(line) for line in run("drift", "history", "--json").output.splitlines()]

    assert told.exit_code == 0, told.output
    assert told.output.startswith("not_enough_data: 0 of 6 vectors of this session")
    assert "drifted" not in told.output
    assert "actions of the last 200 decisions" in told.output
    assert as_json[0]["tick"] == entry["tick"]
    assert len(as_json) == 2
    assert "not_enough_data" in listed.output


def test_history_is_empty_before_the_first_check(book: Path) -> None:
    assert run("drift", "history", "--json").output == ""


def test_a_check_without_a_ledger_is_one_line(book: Path) -> None:
    told = run("drift", "check")

    assert told.exit_code == 1
    assert told.output.count("\n") == 1
    assert "state.db" in told.output


def test_calibrate_prints_the_table_for_one_s_own_bars(
    book: Path, market: tuple[Path, Path]
) -> None:
    bars, macro = map(str, market)
    told = run("drift", "calibrate", bars, "--macro", macro, "--draws", "1", "--alarms",
               "--from", "2022-03-17", "--day", "2022-03-18")  # fmt: skip

    assert told.exit_code == 0, told.output
    assert "one feature x100: columns of the closes" in told.output
    assert "volatility x5" in told.output
    assert "2022-03-18: " in told.output


def test_calibrate_says_when_no_session_can_be_judged(
    book: Path, market: tuple[Path, Path]
) -> None:
    bars, macro = map(str, market)
    told = run("drift", "calibrate", bars, "--macro", macro, "--until", "2022-01-20")

    assert told.exit_code == 1
    assert "give more bars, or other dates" in told.output


def test_a_reference_is_built_with_a_sample_and_shown(
    book: Path, market: tuple[Path, Path]
) -> None:
    bars, macro = map(str, market)
    out = str(book / "m.reference.json")
    built = run("reference", "build", bars, "--macro", macro, "--out", out)
    shown = run("reference", "show", out)

    assert built.exit_code == 0, built.output
    assert "drift checks compare with the newest" in built.output
    assert "vectors of 45 days" in shown.output
    assert "rsi_14" in shown.output
    assert "level of close" in shown.output


def test_a_profile_of_before_has_no_sample(book: Path, market: tuple[Path, Path]) -> None:
    bars, macro = map(str, market)
    out = book / "m.reference.json"
    run("reference", "build", bars, "--macro", macro, "--out", str(out))
    profile = json.loads(out.read_text())
    del profile["sample"]
    out.write_text(json.dumps(profile))

    assert "no sample for drift checks" in run("reference", "show", str(out)).output
