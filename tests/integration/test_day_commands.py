"""`usdcop preflight` and `usdcop close-report` where a service has run."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import usdcop
from risk.ledger.sqlite import SqliteLedger
from tests.alerting import Listener
from tests.integration.running import SteppedClock, running
from tests.live.server import ALL_DAY


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of one Monday morning, in the folder that the commands run in."""
    for name in ("MAX_DAILY_LOSS", "REDIS_HOST", "MLOPS_CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ALL_DAY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with running(ALL_DAY, ledger=SqliteLedger(tmp_path / "var" / "state.db")) as service:
        service.decide(order_id="A")
        service.report("T1", -0.006, order_id="A")
        service.clock.advance(days=1)
        service.report("T2", 0.001)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(usdcop, list(words))


def test_a_book_that_is_armed_exits_with_0_and_tells_each_thing_in_a_line(folder: Path) -> None:
    found = run("preflight")
    assert found.exit_code == 0, found.output
    last = found.output.splitlines()[-1]
    assert last.startswith("armed for ")
    for name in ("calendar", "models", "ledger", "configuration", "gate", "disk", "writing"):
        assert any(line.split()[:2] == ["armed", name] for line in found.output.splitlines()), name


def test_a_book_that_is_not_armed_exits_with_1_and_says_why(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAX_DAILY_LOSS", "-0.01")
    (folder / "var" / "halt").touch()
    found = run("preflight", "--json")
    assert found.exit_code == 1
    told = json.loads(found.stdout)
    assert told["state"] == "not armed"
    blocking = {check["name"] for check in told["checks"] if check["state"] == "not armed"}
    assert blocking == {"configuration", "halt file", "gate"}
    assert all(check["right"] for check in told["checks"] if check["state"] != "armed")


def test_a_model_that_is_gone_is_not_armed_in_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS__MODELS__0__TAG", "ppo_usdcop_v3:nothing")
    found = run("preflight", "--json")
    assert found.exit_code == 1
    blocking = [
        check for check in json.loads(found.stdout)["checks"] if check["state"] == "not armed"
    ]
    assert [check["name"] for check in blocking] == ["models"]
    assert "ppo_usdcop_v3:nothing" in blocking[0]["found"]


def test_a_folder_without_a_ledger_is_not_armed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run("preflight")
    assert found.exit_code == 1
    assert "NOT ARMED" in found.output
    assert list(tmp_path.rglob("state.db")) == []


def test_a_test_message_is_sent_only_when_it_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Listener() as listener:
        monkeypatch.setenv("MLOPS__ALERTS__URLS", json.dumps([listener.url]))
        assert run("preflight").exit_code == 0
        assert listener.titles == []
        assert run("preflight", "--send").exit_code == 0
        assert listener.titles == ["TEST: alerts arrive (book default)"]
        listener.stop()
        refused = run("preflight", "--send")
        assert refused.exit_code == 1
        assert "secret-token" not in refused.output


def test_a_report_of_an_earlier_day_tells_how_that_day_ended(folder: Path) -> None:
    monday = run("close-report", "--date", "2026-03-02", "--json")
    assert monday.exit_code == 0, monday.output
    told = json.loads(monday.stdout)
    assert told["result"]["pnl_percent"] == pytest.approx(-0.006)
    assert told["result"]["high_water_mark"] == 0
    assert [trade["trade_id"] for trade in told["trades"]] == ["T1"]
    tuesday = json.loads(run("close-report", "--date", "2026-03-03", "--json").stdout)
    assert tuesday["result"]["pnl_percent"] == pytest.approx(0.001)
    assert tuesday["result"]["drawdown"] == pytest.approx(-0.005)
    with sqlite3.connect(folder / "var" / "state.db") as ledger:
        (digest,) = ledger.execute(
            "SELECT hash FROM event WHERE sequence = ?", (told["chain"]["sequence"],)
        ).fetchone()
    ledger.close()
    assert told["chain"]["hash"] == digest
    assert told["chain"]["sequence"] < tuesday["chain"]["sequence"]
    assert told["chain"]["verifies"]
    assert tuesday["chain"]["verifies"]


def test_a_day_whose_records_were_altered_says_so(folder: Path) -> None:
    with sqlite3.connect(folder / "var" / "state.db") as ledger:
        ledger.execute(
            "UPDATE event SET body = CAST(replace(CAST(body AS TEXT), 'T2', 'T3') AS BLOB) "
            "WHERE kind = 'trade_result'"
        )
    ledger.close()
    told = json.loads(run("close-report", "--date", "2026-03-03", "--json").stdout)
    assert not told["chain"]["verifies"]
    assert "its hash does not fit" in told["chain"]["complaint"]
    text = run("close-report", "--date", "2026-03-03").stdout
    assert "THE CHAIN DOES NOT VERIFY" in text.splitlines()[0]


def test_a_report_is_written_as_a_page_too(folder: Path) -> None:
    found = run("close-report", "--date", "2026-03-02", "--html", "close.html")
    assert found.exit_code == 0, found.output
    assert found.output.startswith("Close of book default, 2026-03-02: -0.6000%")
    page = (folder / "close.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "T1 of order A" in page
    refused = run("close-report", "--date", "2026-03-02", "--html", "nowhere/close.html")
    assert (refused.exit_code, "cannot be written" in refused.output) == (1, True)


def test_a_day_without_a_session_or_before_the_ledger_has_no_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = run("close-report", "--date", "2026-02-27")
    assert (early.exit_code, "the ledger began after" in early.output) == (1, True)
    monkeypatch.setenv("MLOPS__TRADING_HOURS__TRADING_DAYS", "[1]")
    monday = run("close-report", "--date", "2026-03-02")
    assert (monday.exit_code, "has no session" in monday.output) == (1, True)


def test_without_a_date_the_newest_session_that_has_begun_is_told(folder: Path) -> None:
    told = json.loads(run("close-report", "--json").stdout)
    begun = datetime.fromisoformat(told["session"]["from"])
    assert begun <= datetime.now(UTC)
    assert (datetime.now(UTC) - begun).days <= 1
    assert told["nothing"]
    del folder


def test_a_clock_that_is_behind_the_record_is_not_armed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = SteppedClock(datetime(2200, 1, 1, tzinfo=UTC))
    with running(ALL_DAY, ledger=SqliteLedger(folder / "var" / "state.db"), clock=later) as service:
        service.decide()
    told = json.loads(run("preflight", "--json").stdout)
    blocking = [check["name"] for check in told["checks"] if check["state"] == "not armed"]
    assert "clock" in blocking
