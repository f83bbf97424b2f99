"""What each stage of one decision takes, alone and hot in the caches.

    python -m pytest benchmarks/stages.py

By pytest-benchmark, on the shipped models and an SQLite ledger in a file. A stage that runs alone
finds its code and its data in the caches; within a whole decision it does not, so that the stages
sum up to less than the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from api.messages import InferenceRequest
from desk import Desk
from judging import Judgement, ask_models, judged
from observation import DecisionRequest
from pipeline import decide
from risk.events import stamp
from risk.gate import judge
from risk.ledger.anchor_file import AnchorFile
from risk.ledger.anchored import AnchoredLedger
from risk.ledger.sqlite import SqliteLedger
from risk.state import RiskState
from risk.verdict import Situation
from runners.signal import Signal
from tests.integration.running import observation_that, running

Timed = Callable[..., Any]


class Stages:
    """One refused decision, as far as each stage needs it."""

    def __init__(self, desk: Desk, row: list[float]) -> None:
        self.desk, self.row = desk, row
        self.request = DecisionRequest(np.array(row, np.float32))
        self.vector = self.request.observation
        self.reading = ask_models(self.request, desk)
        self.now = desk.clock()
        self.session = desk.calendar.status(self.now)
        self.answer, self.draft, *_ = self.judged()

    @property
    def state(self) -> RiskState:
        return self.desk.ledger.presumed().state

    def judged(self) -> Judgement:
        return judged(
            self.request, self.reading, self.desk, self.state, self.session, self.now, "decision"
        )


@pytest.fixture
def stages(tmp_path: Path) -> Iterator[Stages]:
    anchor = AnchorFile(tmp_path / "acknowledged", "sqlite:here")
    with (
        closing(AnchoredLedger(SqliteLedger(tmp_path / "state.db"), anchor)) as ledger,
        running({"MLOPS__HALT_FILE": str(tmp_path / "halt")}, ledger=ledger) as service,
    ):
        service.decide()
        row = observation_that(service, Signal.HOLD, sure=True)
        yield Stages(service.application.desk, row)


def test_the_body_is_read(benchmark: Timed, stages: Stages) -> None:
    body = orjson.dumps({"observation": stages.row})
    benchmark(InferenceRequest.model_validate_json, body)


def test_the_models_are_asked(benchmark: Timed, stages: Stages) -> None:
    benchmark(stages.desk.models.predict, stages.vector[np.newaxis])


def test_the_vector_is_held_against_the_reference(benchmark: Timed, stages: Stages) -> None:
    assert benchmark(stages.desk.models.vetoes, stages.vector, None, None) == ()


def test_the_gate_judges(benchmark: Timed, stages: Stages) -> None:
    candidate, desk = stages.reading.candidate, stages.desk

    def judge_once() -> object:
        return judge(
            Situation(
                *(candidate, stages.state, desk.limits, stages.session, stages.now),
                desk.configuration,
            )
        )

    benchmark(judge_once)


def test_the_answer_and_the_draft_are_made(benchmark: Timed, stages: Stages) -> None:
    benchmark(stages.judged)


def test_the_record_is_encoded_and_hashed(benchmark: Timed, stages: Stages) -> None:
    benchmark(stamp, stages.draft, sequence=7, previous_hash="0" * 64)


def test_the_record_is_stored(benchmark: Timed, stages: Stages) -> None:
    numbers, state = count(), stages.state

    def store() -> None:
        draft = stages.draft._replace(event_id=f"decision-{next(numbers)}")
        stages.desk.ledger.append([draft], expected=state.sequence)

    benchmark(store)


def test_an_approval_reaches_the_disk(benchmark: Timed, stages: Stages) -> None:
    numbers, state = count(), stages.state

    def store() -> None:
        draft = stages.draft._replace(event_id=f"decision-{next(numbers)}")
        stages.desk.ledger.append([draft], expected=state.sequence, durable=True)

    benchmark(store)


def test_the_answer_is_encoded(benchmark: Timed, stages: Stages) -> None:
    benchmark(orjson.dumps, stages.answer)


def test_a_whole_decision_is_made(benchmark: Timed, stages: Stages) -> None:
    assert benchmark(decide, stages.request, stages.desk)["approved"] is False
