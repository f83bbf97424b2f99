"""What reaches the log: what a person should know, and nothing else."""

import logging

import pytest

from monitoring.log import LogObserver
from monitoring.observer import (
    BatchDecided,
    Observation,
    OperatorActed,
    ReportRecorded,
    ResultRecorded,
)
from risk.verdict import RiskStatus
from tests.monitoring.observations import decision


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="usdcop")
    return caplog


def lines(log: pytest.LogCaptureFixture, observation: Observation) -> list[tuple[str, int, str]]:
    LogObserver().observe(observation)
    return log.record_tuples


@pytest.mark.parametrize(("stored", "told"), [(True, "on record"), (False, "not on record")])
def test_a_fault_is_an_error_with_its_reason_and_whether_it_is_on_record(
    log: pytest.LogCaptureFixture, stored: bool, told: str
) -> None:
    fault = decision(
        signal="HOLD",
        risk_status=RiskStatus.SYSTEM_ERROR.value,
        approved=False,
        stored=stored,
        reason="model sac:1 failed",
    )
    message = f"answered HOLD, SYSTEM_ERROR ({told}): model sac:1 failed"
    assert lines(log, fault) == [("usdcop.decisions", logging.ERROR, message)]


def test_a_trip_is_a_warning_that_names_every_cause(log: pytest.LogCaptureFixture) -> None:
    tripped = ResultRecorded(duplicate=False, trips=("daily_loss", "drawdown"))
    message = "the circuit breaker opened: daily_loss, drawdown"
    assert lines(log, tripped) == [("usdcop.decisions", logging.WARNING, message)]


def test_a_batch_that_could_not_be_judged_is_an_error_with_its_rows_and_its_reason(
    log: pytest.LogCaptureFixture,
) -> None:
    fault = BatchDecided(rows=7, seconds=0.1, fault="the store is gone")
    message = "answered 7 rows with HOLD, SYSTEM_ERROR: the store is gone"
    assert lines(log, fault) == [("usdcop.decisions", logging.ERROR, message)]


FAULTS = {RiskStatus.SYSTEM_ERROR, RiskStatus.LEDGER_REGRESSED}


@pytest.mark.parametrize("status", [status for status in RiskStatus if status not in FAULTS])
def test_an_ordinary_decision_is_logged_for_who_wants_everything_only(
    log: pytest.LogCaptureFixture, status: RiskStatus
) -> None:
    ordinary = decision(risk_status=status.value, signal="HOLD", approved=False, reason="why")
    log.set_level(logging.INFO, logger="usdcop")
    assert lines(log, ordinary) == []
    log.set_level(logging.DEBUG, logger="usdcop")
    message = f"answered HOLD, {status.value}: why"
    assert lines(log, ordinary) == [("usdcop.decisions", logging.DEBUG, message)]


@pytest.mark.parametrize("status", ["SYSTEM_ERROR", "LOW_CONFIDENCE"])
def test_a_line_about_a_decision_says_which_one_and_whose(
    log: pytest.LogCaptureFixture, status: str
) -> None:
    lines(log, decision(risk_status=status, decision_id="D-1", caller="desk", order_id="O-1"))
    (record,) = log.records
    told = {name: getattr(record, name) for name in ("decision_id", "caller", "order_id")}
    assert told == {"decision_id": "D-1", "caller": "desk", "order_id": "O-1"}
    assert record.__dict__["risk_status"] == status


def test_a_line_about_a_trip_or_a_halt_says_who_brought_it(log: pytest.LogCaptureFixture) -> None:
    for told in (
        ResultRecorded(duplicate=False, trips=("drawdown",), caller="desk", order_id="O-1"),
        ReportRecorded(kind="mark", newest=True, trips=("drawdown",), caller="desk"),
        OperatorActed(mode="HALTED", changed=True, actor="desk", reason=""),
        BatchDecided(rows=1, seconds=0.1, fault="why", caller="desk"),
    ):
        lines(log, told)
    assert [record.__dict__["caller"] for record in log.records] == ["desk"] * 4


def test_a_ledger_that_went_backwards_is_an_error(log: pytest.LogCaptureFixture) -> None:
    (line,) = lines(log, decision(risk_status="LEDGER_REGRESSED", stored=False, reason="why"))
    assert line[1:] == (logging.ERROR, "answered HOLD, LEDGER_REGRESSED (not on record): why")


def test_a_mark_that_trips_and_a_halt_are_warnings(log: pytest.LogCaptureFixture) -> None:
    mark = ReportRecorded(kind="mark", newest=True, trips=("drawdown",))
    (line,) = lines(log, mark)
    assert line[1:] == (logging.WARNING, "the circuit breaker opened: drawdown")
    halt = OperatorActed(mode="HALTED", changed=True, actor="desk", reason="")
    *_, line = lines(log, halt)
    assert line[1:] == (logging.WARNING, "trading is HALTED by desk: no reason given")


@pytest.mark.parametrize(
    "observation",
    [
        BatchDecided(rows=10, seconds=0.1),
        ResultRecorded(duplicate=False, trips=()),
        ResultRecorded(duplicate=True, trips=()),
        ReportRecorded(kind="position", newest=True, trips=()),
        OperatorActed(mode="HALTED", changed=False, actor="desk", reason=""),
    ],
)
def test_batches_and_ordinary_results_are_not_logged(
    log: pytest.LogCaptureFixture, observation: Observation
) -> None:
    assert lines(log, observation) == []


def test_a_reason_with_a_percent_sign_is_logged_as_it_is(log: pytest.LogCaptureFixture) -> None:
    fault = decision(risk_status="SYSTEM_ERROR", stored=False, reason="100% full: %s %d")
    assert lines(log, fault)[0][2].endswith("100% full: %s %d")
