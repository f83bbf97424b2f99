"""`usdcop replay` as a person uses it: on files, into a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from cli import usdcop
from config.load import DEFAULT_FILE
from examples.simulate import simulate, write_market
from risk.ledger.sqlite import SqliteLedger
from tests.integration.running import running

pytestmark = pytest.mark.usefixtures("bentoml_home", "_elsewhere")


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No ledger of this folder plays a part."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_market(simulate(16, 77), tmp_path_factory.mktemp("market"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(usdcop, ["replay", *map(str, arguments)])


def read(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def test_a_run_is_a_folder_with_summary_report_decisions_and_trades(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    bars, macro = files
    result = run(bars, "--macro", macro, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "open report.html" in result.output
    written = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert written == ["decisions.parquet", "report.html", "summary.json", "trades.parquet"]

    told = read(tmp_path / "run")
    trades = pq.read_table(tmp_path / "run" / "trades.parquet")
    decisions = pq.read_table(tmp_path / "run" / "decisions.parquet")
    assert trades.num_rows == told["trades"]["count"] > 0
    assert decisions.num_rows == told["decisions"]["count"]
    assert str(decisions["decided_at"].type) == "timestamp[us, tz=UTC]"
    assert told["description"]["bars_file"] == "bars.csv"
    assert sum(trades["pnl_percent"].to_pylist()) == pytest.approx(told["metrics"]["pnl_percent"])


def test_the_same_command_writes_the_same_bytes(files: tuple[Path, Path], tmp_path: Path) -> None:
    bars, macro = files
    for name in ("a/run", "b/run"):
        assert run(bars, "--macro", macro, "--out", tmp_path / name).exit_code == 0
    for path in (tmp_path / "a" / "run").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "run" / path.name).read_bytes(), path.name


def test_a_kept_ledger_is_read_by_the_ledger_tools(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars, macro = files
    assert run(bars, "--macro", macro, "--ledger", "--out", tmp_path / "run").exit_code == 0
    monkeypatch.setenv("MLOPS__STATE_PATH", str(tmp_path / "run" / "ledger.db"))
    verified = CliRunner().invoke(usdcop, ["ledger", "verify"])
    assert "each is as it was written" in verified.output
    trade = pq.read_table(tmp_path / "run" / "trades.parquet").to_pylist()[0]
    explained = CliRunner().invoke(usdcop, ["ledger", "explain", trade["decision_id"]])
    assert "approved" in explained.output
    replayed = CliRunner().invoke(usdcop, ["ledger", "replay", "--last", "50"])
    assert "50" in replayed.output
    assert replayed.exit_code == 0, replayed.output


def test_vectors_of_a_file_decide_as_computed_ones(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    bars, macro = files
    table = tmp_path / "features.parquet"
    built = CliRunner().invoke(
        usdcop, ["features", "build", str(bars), "--macro", str(macro), "--out", str(table)]
    )
    assert built.exit_code == 0, built.output
    assert run(bars, "--macro", macro, "--out", tmp_path / "computed").exit_code == 0
    assert run(bars, "--observations", table, "--out", tmp_path / "read").exit_code == 0
    computed, from_file = read(tmp_path / "computed"), read(tmp_path / "read")
    assert from_file["metrics"] == computed["metrics"]
    assert from_file["decisions"] == computed["decisions"]

    alone = run("--observations", table, "--out", tmp_path / "alone")
    assert alone.exit_code == 0, alone.output
    without_prices = read(tmp_path / "alone")
    assert without_prices["trades"]["count"] == 0
    assert without_prices["decisions"]["count"] == computed["decisions"]["count"]


def test_a_day_as_it_was_is_decided_again_with_other_limits(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    bars, macro = files
    assert run(bars, "--macro", macro, "--ledger", "--out", tmp_path / "day").exit_code == 0
    ledger = SqliteLedger(tmp_path / "day" / "ledger.db", create=False)
    with running(ledger=ledger) as service:
        pages, before = [], ""
        while True:
            _, page = service.get(f"/v1/decisions?full=true&limit=200{before}")
            pages.append(json.dumps(page))
            if page["next"] is None:
                break
            before = f"&before={page['next']}"
    (tmp_path / "day.json").write_text("\n".join(pages))

    same = run("--decisions", tmp_path / "day.json", "--out", tmp_path / "same")
    assert same.exit_code == 0, same.output
    then_and_now = read(tmp_path / "same")["then_and_now"]
    assert then_and_now["changes"] == []
    assert then_and_now["approved"]["then"] == then_and_now["approved"]["both"] > 0

    strict = tmp_path / "strict"
    config = tmp_path / "strict.yaml"
    shipped = DEFAULT_FILE.read_text()
    config.write_text(shipped.replace("min_confidence: 0.60", "min_confidence: 0.78"))
    result = run("--decisions", tmp_path / "day.json", "--config", config, "--out", strict)
    assert result.exit_code == 0, result.output
    stricter = read(strict)["then_and_now"]
    assert stricter["signals_changed"] == 0
    assert stricter["approved"]["now"] < stricter["approved"]["then"]
    assert {"then": "APPROVED", "now": "LOW_CONFIDENCE"} in [
        {"then": change["then"], "now": change["now"]} for change in stricter["changes"]
    ]


def test_a_grid_is_one_table_and_a_folder_for_each_combination(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    bars, macro = files
    vary = ("--vary", "risk_limits.min_confidence=0.6,0.78", "--vary", "capital_usd=50000,100000")
    result = run(bars, "--macro", macro, *vary, "--jobs", 2, "--out", tmp_path / "grid")
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "grid" / "grid.json").read_text())
    assert told["varied"] == ["risk_limits.min_confidence", "capital_usd"]
    rows = told["rows"]
    assert [row["folder"] for row in rows] == ["001", "002", "003", "004"]
    assert [row["risk_limits.min_confidence"] for row in rows] == ["0.6", "0.6", "0.78", "0.78"]
    assert rows[2]["refused"]["LOW_CONFIDENCE"] > rows[0]["refused"]["LOW_CONFIDENCE"]
    # Fractions of capital do not depend on how much it is; US dollars do.
    assert rows[0]["pnl_percent"] == pytest.approx(rows[1]["pnl_percent"])
    half, whole = (read(tmp_path / "grid" / name)["metrics"] for name in ("001", "002"))
    assert half["pnl_usd"] == pytest.approx(whole["pnl_usd"] / 2)
    one = run(bars, "--macro", macro, "--out", tmp_path / "one")
    assert one.exit_code == 0, one.output
    assert read(tmp_path / "grid" / "002") == read(tmp_path / "one")
    assert (tmp_path / "grid" / "grid.html").stat().st_size > 1_000_000


def test_a_day_is_explained_decision_by_decision(files: tuple[Path, Path]) -> None:
    bars, macro = files
    result = run(bars, "--macro", macro, "--explain", "2022-01-18")
    assert result.exit_code == 0, result.output
    assert "filled: " in result.output or "LOW_CONFIDENCE" in result.output
    assert "08:05:00" in result.output
    missing = run(bars, "--macro", macro, "--explain", "2019-01-01")
    assert missing.exit_code == 1
    assert "--explain 2019-01-01: nothing was decided on that date" in missing.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give BARS, --observations or --decisions"),
        (("BARS",), "give either --macro FILE, or --allow-missing-macro"),
        (("BARS", "--macro", "MACRO", "--vary", "risk_limits.max_daily_loss=0.02"),
         "--vary risk_limits.max_daily_loss=0.02: "),
        (("BARS", "--macro", "MACRO", "--vary", "risk_limits.max_loss=-1"), "max_loss"),
        (("BARS", "--macro", "MACRO", "--models", "nobody=1"), "--models nobody=1: write NAME="),
        (("BARS", "--macro", "MACRO", "--models", "ppo_usdcop_v3=0000"), "ppo_usdcop_v3"),
        (("BARS", "--macro", "MACRO", "--spread-bp", "-1"), "spread_bp is -1; it must be 0 to"),
        (("BARS", "--macro", "MACRO", "--decision-latency-ms", "300000"), "300000 ms; it must be"),
        (("BARS", "--macro", "MACRO", "--from", "2031-01-01"), "the history spans"),
        (("BARS", "--macro", "MACRO", "--from", "31.1."), "write it like 2025-01-31"),
        (("MACRO", "--allow-missing-macro"), "lacks the column 'time'"),
        (("BARS", "--macro", "MACRO", "--observations", "BARS"), "macro values play no part"),
        (("--observations", "BARS"), "cannot be read as Parquet"),
        (("--decisions", "BARS"), "an export is pages of GET /v1/decisions?full=true"),
    ],
)  # fmt: skip
def test_what_cannot_be_replayed_is_told_in_a_line_and_leaves_nothing(
    files: tuple[Path, Path], tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    named = dict(zip(("BARS", "MACRO"), files, strict=True))
    given = [named.get(argument, argument) for argument in arguments]
    result = run(*given, "--out", tmp_path / "run")
    assert result.exit_code in {1, 2}, result.output
    assert told in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".run")] == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--ledger", "--explain", "2022-01-18"), "--ledger and --vary need a folder"),
        (("--vary", "capital_usd=1,2", "--ledger", "--out", "run"), "a grid keeps no ledger"),
        ((), "say where the run goes"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    files: tuple[Path, Path], options: tuple[str, ...], told: str
) -> None:
    result = run(files[0], "--macro", files[1], *options)
    assert result.exit_code == 2
    assert told in " ".join(result.output.replace("│", " ").split())


def test_a_folder_that_is_there_is_refused_before_anything_is_read(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    result = run(files[0], "--allow-missing-macro", "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "run is there already; name another folder, or remove it" in result.output
