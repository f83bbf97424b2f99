"""Whatever a caller sends, the answer is a decision or says what was wrong with the request."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from api.routes import book_routes
from api.vectors import batch_vectors
from features.schema import USDCOP_M5
from tests.integration.running import CONFIDENT, MODELS, Running

LONG = 10**400

CELLS = st.one_of(
    st.floats(),
    st.integers(),
    st.just(LONG),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.lists(st.floats(), max_size=2),
)


@given(rows=st.lists(st.one_of(st.lists(CELLS, max_size=5), CELLS), min_size=1, max_size=8))
@example(rows=[[0.0, 3.4028235677973366e38, 10**400]])
def test_every_row_of_a_batch_is_either_good_or_explained(rows: list[Any]) -> None:
    matrix, errors = batch_vectors(rows, 3)
    assert matrix.dtype == np.float32
    assert matrix.shape == (len(rows) - len(errors), 3)
    assert np.isfinite(matrix).all()
    good = [row for index, row in enumerate(rows) if index not in errors]
    for kept, row in zip(matrix, good, strict=True):
        assert kept.tobytes() == np.array(row, np.float32).tobytes()
    for index, error in errors.items():
        assert error["message"].startswith(f"row {index}: ")


TEXT = st.text(min_size=1, max_size=10)
FLOAT32 = st.floats(allow_nan=False, allow_infinity=False, width=32)
NUMBER = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers())
OBSERVATION = st.one_of(
    st.just(CONFIDENT),
    st.lists(FLOAT32, min_size=45, max_size=45),
    st.lists(NUMBER, min_size=40, max_size=46),
)
TIME = st.one_of(
    st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat()),
    st.just("2026-03-02T14:00:00Z"),
)
NAMED = OBSERVATION.map(lambda values: dict(zip(USDCOP_M5.names, values, strict=False)))
Fields = dict[str, st.SearchStrategy[Any]]
CHOICES: Fields = {
    "model_name": st.one_of(st.sampled_from(MODELS), TEXT),
    "use_ensemble": st.booleans(),
    "enforce_risk_checks": st.booleans(),
}
WITH_A_VECTOR: Fields = {
    "timestamp": TIME,
    "capital_usd": NUMBER,
    "dry_run": st.booleans(),
    **CHOICES,
}


def body_of(required: Fields, optional: Fields) -> st.SearchStrategy[dict[str, Any]]:
    """A body of the right kinds, at times with one value of a wrong one."""
    good = st.fixed_dictionaries(required, optional=optional)
    spoilt = st.dictionaries(st.sampled_from([*required, *optional]), CELLS, max_size=1)
    return st.one_of(good, st.builds(lambda body, bad: {**body, **bad}, good, spoilt))


BODIES = {
    "/v1/inference": st.one_of(
        body_of({"observation": OBSERVATION}, WITH_A_VECTOR),
        body_of({"features": NAMED}, WITH_A_VECTOR),
        body_of({}, {"timestamp": TIME, **CHOICES}),
    ),
    "/v1/inference/batch": body_of(
        {"observations": st.lists(st.one_of(OBSERVATION, CELLS), min_size=1, max_size=4)}, CHOICES
    ),
    "/v1/risk/trade-result": body_of(
        {
            "trade_id": TEXT,
            "pnl": st.floats(-1000, 1000),
            "pnl_percent": st.floats(-0.3, 0.3),
        },
        {
            "is_win": st.booleans(),
            "closed_at": TIME,
            "unrealized_pnl_percent": st.floats(-0.3, 0.3),
            "confirm": st.booleans(),
        },
    ),
    "/v1/risk/reset": body_of({}, {"scope": st.sampled_from(["daily", "all"]), "reason": TEXT}),
}


@pytest.mark.parametrize("path", sorted(BODIES))
def test_nothing_that_a_body_says_is_a_fault_of_the_service(service: Running, path: str) -> None:
    message, _ = book_routes(service.handlers, service.market)[path]

    @settings(deadline=None)
    @given(body=BODIES[path])
    def answered(body: dict[str, Any]) -> None:
        try:
            message.model_validate(body)
        except ValidationError:
            return
        status, answer = service.post(path, **body)
        assert status in {200, 400, 404, 409}
        assert (status == 200) is ("error" not in answer)
        assert answer.get("risk_status") != "SYSTEM_ERROR"
        assert answer.get("fault") is None

    answered()
