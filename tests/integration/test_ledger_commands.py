"""`usdcop ledger` and `usdcop config apply` on a ledger that the real application has written."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from bootstrap import models_on_record
from cli import usdcop
from models.store import BentoModelStore
from recomputation import Recomputer
from risk.events import GENESIS, EventKind, sealed
from risk.explanation import DESCRIBED
from risk.ledger.sqlite import SqliteLedger
from risk.verification import examine
from runners.signal import Signal
from tests.fakes import decisions_of
from tests.integration.running import Running, observation_that, running

VARIABLES = {"MLOPS__RISK_LIMITS__MAX_DAILY_RESETS": "10"}


@pytest.fixture(autouse=True)
def _no_variables_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_DAILY_LOSS", "REDIS_HOST", "MLOPS_CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of one eventful morning, in the folder that the commands run in."""
    monkeypatch.chdir(tmp_path)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "var" / "state.db"
    with running(VARIABLES, ledger=SqliteLedger(path)) as service:
        a_morning(service)
    return path


def a_morning(service: Running) -> None:
    sell = observation_that(service, Signal.SELL, sure=True)
    unsure = observation_that(service, Signal.BUY, sure=False)
    service.decide(order_id="A", capital_usd=250_000.0)
    service.decide(order_id="A", capital_usd=250_000.0)
    service.clock.advance(seconds=90)
    service.decide(order_id="A", capital_usd=250_000.0)
    service.decide(order_id="B", position=0.0)
    service.decide(sell, position=0.05)
    service.decide(unsure)
    service.decide(dry_run=True)
    service.decide(enforce_risk_checks=False)
    service.decide(model_name="sac_usdcop_v2", timestamp=service.clock.now.isoformat())
    service.post("/v1/inference/batch", observations=[sell, unsure])
    service.report("T1", -0.006, order_id="A", position=0.0)
    service.post("/v1/orders/release", order_id="B", outcome="cancelled")
    service.report("T2", -0.0141)
    service.decide()
    service.post("/v1/risk/halt", mode="REDUCING", reason="the desk is at lunch")
    service.decide(sell)
    service.post("/v1/risk/resume", reason="back")
    service.post("/v1/risk/reset", scope="daily", reason="looked at")
    service.clock.advance(minutes=5)
    service.decide(sell, order_id="C")


def run(*arguments: object, fails: bool = False) -> str:
    result = CliRunner().invoke(usdcop, [str(argument) for argument in arguments])
    assert (result.exit_code != 0) == fails, result.output
    return result.output


def alter(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def test_a_whole_ledger_is_said_to_be_whole(written: Path) -> None:
    assert "each is as it was written" in run("ledger", "verify")
    assert "fold to the stored state, field for field" in run("ledger", "rebuild")


def test_one_changed_byte_names_its_record_and_what_can_be_done(written: Path) -> None:
    alter(
        written,
        "UPDATE event SET body = CAST(replace(body, '\"T1\"', '\"T9\"') AS BLOB) WHERE kind = "
        "'trade_result'",
    )
    with sqlite3.connect(written) as connection:
        (number,) = connection.execute(
            "SELECT min(sequence) FROM event WHERE kind = 'trade_result'"
        ).fetchone()
    connection.close()
    said = run("ledger", "verify", fails=True)
    assert f"record {number}:" in said
    assert "usdcop ledger rebuild --out" in said


def test_what_is_good_is_copied_into_a_new_ledger_and_nothing_is_overwritten(
    written: Path,
) -> None:
    alter(written, "DELETE FROM event WHERE sequence = 9")
    out = written.parent / "good.db"
    said = run("ledger", "rebuild", "--out", out)
    assert "Copied 8 records" in said
    assert "record 9" in said
    copied = SqliteLedger(out, create=False)
    assert examine(copied).is_intact
    assert copied.head().sequence == 8
    copied.close()
    assert "Error" in run("ledger", "rebuild", "--out", out, fails=True)


def test_a_stored_state_that_is_not_what_the_events_add_up_to_is_told_by_field(
    written: Path,
) -> None:
    alter(
        written,
        "UPDATE head SET state = replace(state, '\"loss_streak\": 0', '\"loss_streak\": 7')",
    )
    said = run("ledger", "rebuild", fails=True)
    assert "loss_streak is 7, by the events 0" in said


def test_every_decision_comes_out_identical_when_it_is_made_again(written: Path) -> None:
    said = run("ledger", "replay", "--all")
    assert "decisions come out identical" in said
    same, _, total = said.split()[:3]
    assert same == total
    assert int(total) == 10
    assert run("ledger", "replay", "A", "B").startswith("2 of 2")
    assert run("ledger", "replay", "--last", "3").startswith("3 of 3")


def test_a_decision_that_was_falsified_comes_out_differently_and_says_where(
    written: Path,
) -> None:
    ledger = SqliteLedger(written, create=False)
    event = next(
        event
        for event in decisions_of(ledger)
        if event.payload["answer"]["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"
    )
    forged = sealed(
        {
            **event.content,
            "payload": {
                **event.payload,
                "answer": {**event.payload["answer"], "signal": "BUY", "confidence": 0.99},
            },
        },
        event.previous_hash,
    )
    outcome = Recomputer(ledger, models_on_record).recompute(forged)
    ledger.close()
    assert [difference.field for difference in outcome.differences] == ["confidence", "signal"]
    assert not outcome.identical


def test_a_model_that_has_left_the_store_is_said_to_be_missing(written: Path) -> None:
    run("models", "list")
    store = BentoModelStore()
    (version,) = store.versions("sac_usdcop_v2")
    content, metadata, reference = version.content(), version.metadata, version.reference()
    store.remove("sac_usdcop_v2", version.version)
    try:
        said = run("ledger", "replay", "A", fails=True)
    finally:
        store.register("sac_usdcop_v2", content, metadata, reference)
    assert "not recomputed" in said
    assert "sac_usdcop_v2" in said


def test_an_order_is_told_with_its_approval_its_repeats_and_its_result(written: Path) -> None:
    page = run("ledger", "explain", "A")
    for words in (
        "Answered BUY: APPROVED. An entry of",
        "asked again: APPROVED",
        "asked again: APPROVAL_EXPIRED",
        "order 'A' has its result",
        "closed at -600.00 USD (-0.6000%)",
        "passed  confidence",
    ):
        assert words in page
    released = run("ledger", "explain", "B")
    assert "was not executed: cancelled" in released


def test_a_trade_is_told_with_what_it_tripped_and_where_it_began(written: Path) -> None:
    assert "daily_loss -2.0100%, limit -2.0000%" in run("ledger", "explain", "T2")
    assert "The trade began with decision" in run("ledger", "explain", "T1")
    assert "no decision, trade, order or event" in run("ledger", "explain", "nobody", fails=True)


def test_every_kind_of_event_has_its_line(written: Path) -> None:
    listed = run("ledger", "show", "--limit", "1000")
    for words in (
        "BUY at 0.7762 for order 'A': APPROVED",
        "2 rows:",
        "REDUCING: the desk is at lunch",
        "resumed to ACTIVE: back",
        "reset of daily: looked at",
        "limits and models",
        "SELL at",
    ):
        assert words in listed
    only = run("ledger", "show", "--kind", "reset")
    assert len(only.strip().splitlines()) == 2


def test_lines_of_json_can_be_verified_by_anybody(written: Path) -> None:
    out = written.parent / "events.jsonl"
    run("ledger", "export", "--out", out)
    previous = GENESIS
    lines = out.read_bytes().splitlines()
    for line in lines:
        entry = json.loads(line)
        event = sealed(entry["body"], previous)
        assert (event.hash, event.previous_hash) == (entry["hash"], entry["previous_hash"])
        previous = event.hash
    assert len(lines) == int(run("ledger", "verify").split()[0])


def test_a_parquet_file_has_a_column_for_what_one_asks_for(written: Path) -> None:
    out = written.parent / "events.parquet"
    run("ledger", "export", "--format", "parquet", "--out", out, "--after", "1")
    table = pq.read_table(out)
    assert table["sequence"].to_pylist()[0] == 2
    approved = [row for row in table.to_pylist() if row["approved"]]
    assert {row["order_id"] for row in approved} >= {"A", "B", "C"}
    assert all(row["event_at"].utcoffset() is not None for row in approved)


def test_an_export_of_a_damaged_ledger_ends_before_the_damage_and_says_so(written: Path) -> None:
    alter(written, "UPDATE event SET hash = hash || '0' WHERE sequence = 5")
    out = written.parent / "events.jsonl"
    said = run("ledger", "export", "--out", out, fails=True)
    assert "record 5" in said
    assert len(out.read_bytes().splitlines()) == 4


def test_a_changed_limit_is_put_in_force_by_a_person_with_a_reason(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Nothing changes" in run("config", "apply", "--reason", "again")
    monkeypatch.setenv("MAX_DAILY_LOSS", "-0.01")
    with running({**VARIABLES, "MAX_DAILY_LOSS": "-0.01"}, ledger=SqliteLedger(written)) as service:
        answer = service.decide(position=0.05)
        assert (answer["signal"], answer["risk_status"]) == ("HOLD", "CONFIG_MISMATCH")
        summary = service.get("/v1/risk/summary")[1]
        assert summary["configuration"]["agree"] is False
        assert summary["limits"]["max_daily_loss"] == -0.02
        said = run("config", "apply", "--reason", "a calmer week")
        assert "risk_limits.max_daily_loss: -0.02 -> -0.01" in said
        assert service.decide()["risk_status"] != "CONFIG_MISMATCH"
    assert "a calmer week" in run("ledger", "show", "--kind", "configuration")
    assert "Error" in run("config", "apply", "--reason", "  ", fails=True)
    assert run("ledger", "replay", "--all").count("not recomputed") == 0


def test_nothing_to_reconcile_is_said(written: Path) -> None:
    assert "nothing was lost" in run("ledger", "reconcile", "--reason", "to be sure", fails=True)


def test_every_kind_of_event_is_described() -> None:
    assert set(EventKind) == DESCRIBED
