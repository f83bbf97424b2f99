"""What a decision costs, in counts that are the same on every machine: calls, statements, trips.

Each bound is a little above what was counted when it was written. Who needs more raises it on
purpose, and says in docs/performance.md what for; who needs less lowers it.
"""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from application import Application
from batch import BatchRequest, decide_batch
from observation import DecisionRequest
from pipeline import Decided, decide, told
from risk.ledger.anchor_file import AnchorFile
from risk.ledger.anchored import AnchoredLedger
from risk.ledger.redis import RedisLedger
from risk.ledger.sqlite import SqliteLedger
from runners.signal import Signal
from tests.integration.running import CONFIDENT, Running, observation_that, running
from tests.redis_server import new_book, shared_server
from together import decide_all

CALLS_PER_DECISION = 740
"""Of Python and of C functions, from a checked request to its answer, with the three models."""

CALLS_PER_ROW_OF_A_BATCH = 14
STATEMENTS = ["BEGIN IMMEDIATE", "UPDATE head", "INSERT INTO", "COMMIT"]
BLOCKS_PER_DECISION = 6
"""Net memory blocks that a decision leaves behind: entries of windows that are not full yet."""


def counted(work: Callable[[], object]) -> Counter[str]:
    """Calls while the work is done."""
    calls: Counter[str] = Counter()

    def note(frame: object, event: str, argument: object) -> None:
        del frame, argument
        calls[event] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def total(calls: Counter[str]) -> int:
    return calls["call"] + calls["c_call"]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(tmp_path / "state.db")) as opened:
        yield opened


@pytest.fixture
def service(ledger: SqliteLedger, tmp_path: Path) -> Iterator[Running]:
    anchored = AnchoredLedger(ledger, AnchorFile(tmp_path / "acknowledged", "sqlite:here"))
    with running({"MLOPS__HALT_FILE": str(tmp_path / "halt")}, ledger=anchored) as started:
        for _ in range(20):
            started.decide()
        yield started


@pytest.fixture
def refused(service: Running) -> DecisionRequest:
    row = observation_that(service, Signal.HOLD, sure=True)
    return DecisionRequest(np.array(row, np.float32))


@pytest.fixture
def approved() -> DecisionRequest:
    return DecisionRequest(np.array(CONFIDENT, np.float32))


@pytest.fixture
def application(service: Running) -> Application:
    return service.application


def test_a_decision_makes_so_many_calls_and_no_more(
    application: Application, refused: DecisionRequest
) -> None:
    counts = [total(counted(lambda: decide(refused, application.desk))) for _ in range(5)]
    assert min(counts) <= CALLS_PER_DECISION


def test_a_row_of_a_batch_costs_a_small_part_of_a_decision(
    application: Application, refused: DecisionRequest
) -> None:
    rows = np.repeat(refused.observation[np.newaxis], 1000, axis=0)
    calls = counted(lambda: decide_batch(BatchRequest(rows), application.desk))
    assert total(calls) / 1000 <= CALLS_PER_ROW_OF_A_BATCH


def test_a_decision_is_one_transaction_of_four_statements(
    application: Application, ledger: SqliteLedger, refused: DecisionRequest
) -> None:
    statements: list[str] = []
    ledger._writer.set_trace_callback(statements.append)
    decide(refused, application.desk)
    assert [word for word, said in zip(STATEMENTS, statements, strict=True) if word in said] == (
        STATEMENTS
    )


def test_eight_that_wait_together_are_one_transaction_and_one_wait_for_the_disk(
    application: Application,
    ledger: SqliteLedger,
    approved: DecisionRequest,
    refused: DecisionRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commits: list[str] = []
    flushes: list[int] = []
    monkeypatch.setattr(os, "fdatasync", flushes.append)
    ledger._writer.set_trace_callback(
        lambda said: commits.append(said) if said == "COMMIT" else None
    )
    found = decide_all([approved, refused] * 4, application.desk)
    answers = told([each for each in found if isinstance(each, Decided)], application.desk)
    assert [answer["approved"] for answer in answers] == [True, False] * 4
    assert (len(commits), len(flushes)) == (1, 1)


def test_a_refused_decision_waits_for_no_disk(
    application: Application, refused: DecisionRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(file: int) -> None:
        raise AssertionError(f"flushed {file}")

    monkeypatch.setattr(os, "fdatasync", never)
    assert decide(refused, application.desk)["approved"] is False


def test_a_decision_is_one_round_trip_to_redis() -> None:
    server = shared_server()
    client: Any = server.client()
    with (
        closing(RedisLedger(new_book(), **server.address, timeout_ms=5000)) as ledger,
        running(ledger=ledger) as service,
    ):
        service.decide()
        calls = scripts_run(client)
        decide(DecisionRequest(np.array(CONFIDENT, np.float32)), service.application.desk)
        assert scripts_run(client) - calls == 1


def scripts_run(client: Any) -> int:
    stats = client.info("commandstats")
    return sum(stats[name]["calls"] for name in stats if name.startswith("cmdstat_eval"))


def test_decisions_leave_nothing_behind(application: Application, refused: DecisionRequest) -> None:
    for _ in range(50):
        decide(refused, application.desk)
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(200):
        decide(refused, application.desk)
    gc.collect()
    assert (sys.getallocatedblocks() - before) / 200 <= BLOCKS_PER_DECISION
