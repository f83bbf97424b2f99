"""What a scrape is told of the book, on the real application."""

from collections.abc import Iterator

import pytest

from monitoring.book_gauges import BOOK_GAUGES, READABLE
from monitoring.drift.records import DocumentDriftRecords
from stores.documents import MemoryDocuments
from tests.fakes import TroubledLedger
from tests.integration.running import MODELS, Running, running


@pytest.fixture
def documents() -> MemoryDocuments:
    return MemoryDocuments()


@pytest.fixture
def ledger() -> TroubledLedger:
    return TroubledLedger()


@pytest.fixture
def desk(documents: MemoryDocuments, ledger: TroubledLedger) -> Iterator[Running]:
    with running(documents=documents, ledger=ledger) as started:
        yield started


def read(desk: Running) -> dict[str, float]:
    """Readings by name and labels, as they are written."""
    return {
        f"{gauge.name}{{{','.join(labels)}}}" if labels else gauge.name: float(value)
        for gauge, value, labels in desk.application.standing.readings()
    }


def test_a_day_without_trades_reads_as_one(desk: Running) -> None:
    found = read(desk)
    assert found["usdcop_ledger_readable"] == 1
    assert found["usdcop_trading_status{ACTIVE}"] == 1
    assert {side: found[f"usdcop_would_pass{{{side}}}"] for side in ("BUY", "SELL", "EXIT")} == {
        "BUY": 1,
        "SELL": 1,
        "EXIT": 1,
    }
    assert found["usdcop_limit{daily_loss}"] == -0.02
    assert found["usdcop_limit{trades}"] == 50
    assert found["usdcop_breaker_state"] == found["usdcop_operator_mode"] == 0
    assert found["usdcop_session_open"] == found["usdcop_configuration_agrees"] == 1
    assert "usdcop_position_ratio" not in found


def test_orders_results_and_reports_move_the_gauges(desk: Running) -> None:
    assert desk.decide(order_id="O-1")["approved"]
    desk.report("T-1", -0.004)
    now = desk.clock().isoformat()
    desk.post("/v1/risk/position", position=-0.05, as_of=now)
    desk.post("/v1/risk/mark", unrealized_pnl_percent=-0.001, as_of=now)
    found = read(desk)
    assert found["usdcop_daily_pnl_ratio"] == found["usdcop_drawdown_ratio"] == -0.005
    assert found["usdcop_limit_used_ratio{daily_loss}"] == 0.25
    assert (found["usdcop_trades_today"], found["usdcop_open_orders"]) == (2, 1)
    assert (found["usdcop_position_ratio"], found["usdcop_mark_ratio"]) == (-0.05, -0.001)
    assert found["usdcop_consecutive_losses"] == 1
    assert found["usdcop_ledger_sequence"] == desk.application.ledger.head().sequence


def test_a_breaker_and_a_halt_are_read_from_the_book(desk: Running) -> None:
    desk.report("T-1", -0.02)
    assert read(desk)["usdcop_trading_status{CIRCUIT_BREAKER_ACTIVE}"] == 1
    desk.post("/v1/risk/halt", mode="HALTED", reason="enough")
    found = read(desk)
    assert (found["usdcop_breaker_state"], found["usdcop_operator_mode"]) == (2, 2)
    assert found["usdcop_breaker_cause{daily_loss}"] == 1
    assert found["usdcop_breaker_cause{drawdown}"] == 0
    assert found["usdcop_trading_status{TRADING_HALTED}"] == 1
    assert found["usdcop_would_pass{EXIT}"] == 0
    desk.application.alerts.tick()
    found = read(desk)
    assert found["usdcop_alerts_standing{breaker,page}"] == 1
    assert found["usdcop_alerts_standing{halt,page}"] == 1
    assert found["usdcop_alerts_standing{drift,report}"] == 0


def test_a_breaker_that_lets_a_probe_through_is_half_open(desk: Running) -> None:
    for number in range(5):
        desk.report(f"T-{number}", -0.001)
    desk.clock.advance(seconds=301)
    assert read(desk)["usdcop_breaker_state"] == 1


def test_a_ledger_that_cannot_be_read_leaves_out_what_stands_in_it(
    desk: Running, ledger: TroubledLedger
) -> None:
    ledger.unreadable = True
    found = read(desk)
    of_book = {gauge.name for gauge in BOOK_GAUGES}
    assert {name.partition("{")[0] for name in found} & of_book == {READABLE.name}
    assert found["usdcop_ledger_readable"] == 0
    assert "usdcop_drift_check_overdue" not in found
    assert found["usdcop_model_weight_ratio{ppo_usdcop_v3}"] == 0.4


def test_the_newest_drift_check_is_told_whoever_made_it(
    desk: Running, documents: MemoryDocuments
) -> None:
    assert "usdcop_drift_share" not in read(desk)
    at = desk.clock().isoformat()
    DocumentDriftRecords(documents).publish({"tick": "t", "at": at, "drifted_share": 0.25}, None)
    found = read(desk)
    assert found["usdcop_drift_share"] == 0.25
    assert found["usdcop_drift_threshold"] == 0.15
    assert found["usdcop_drift_last_check_timestamp_seconds"] == desk.clock().timestamp()
    assert found["usdcop_drift_next_check_timestamp_seconds"] > desk.clock().timestamp()


def test_a_check_that_nobody_makes_is_overdue(desk: Running) -> None:
    assert read(desk)["usdcop_drift_check_overdue"] == 0
    desk.clock.advance(minutes=90)
    assert read(desk)["usdcop_drift_check_overdue"] == 1


def test_loaded_models_and_the_release_are_named(desk: Running) -> None:
    names = list(read(desk))
    for model in MODELS:
        assert any(name.startswith(f"usdcop_model_info{{{model},") for name in names)
    assert any(name.startswith("usdcop_build_info{") and "unknown" not in name for name in names)


def test_a_worker_tells_what_its_cache_has_read(desk: Running) -> None:
    before = desk.application.standing.worker()
    at = desk.clock().isoformat()
    desk.decide(timestamp=at)
    desk.post("/v1/inference", timestamp=at)
    worker = desk.application.standing.worker()
    assert (worker.cache_hits - before.cache_hits, worker.cache_degraded) == (1, False)
