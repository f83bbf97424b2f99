import json
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from api.failures import Failure
from api.translation import invalid, translated


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    observation: Annotated[
        list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=3, max_length=3)
    ]
    scope: Literal["daily", "all"] = "daily"
    position: Annotated[float, Field(ge=-1, le=1)] = 0.0
    trades: int = 0

    @field_validator("trades")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value


def validation(text: str) -> Failure:
    """What the framework answers to a body, translated."""
    with pytest.raises(ValidationError) as caught:
        Body.model_validate_json(text)
    details = caught.value.errors(include_context=False, include_input=False)
    return invalid(details, tuple(Body.model_fields))


def say(status: int, body: bytes) -> Failure:
    return translated(status, body, method="POST", path="/v1/inference")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"observation": [1, 2, NaN]}', "observation.2: not a finite number"),
        ('{"observation": [1, 2, "a"]}', "observation.2: must be a number"),
        ('{"observation": [1, 2]}', "observation: must have at least 3 items, not 2"),
        ('{"observation": 1}', "observation: must be a list"),
        ("{}", "observation: missing"),
        ('{"observation": [1,2,3], "scope": "x"}', "scope: must be 'daily' or 'all'"),
        (
            '{"observation": [1,2,3], "position": 7}',
            "position: must be less than or equal to 1",
        ),
        ('{"observation": [1,2,3], "trades": 1}', "trades: must be even"),
        ('{"observation": [1,2,3], "trades": 1.5}', "trades: must be a whole number"),
        (
            '{"observation": [1,2,3], "foo": 1}',
            "unknown field 'foo'; allowed: observation, scope, position, trades",
        ),
        ("[1]", "body: must be a JSON object"),
        ("{", "body: not valid JSON: EOF while parsing an object at line 1 column 1"),
    ],
)
def test_a_failed_validation_names_field_and_fault(text: str, message: str) -> None:
    failure = validation(text)
    assert (failure.status, failure.message) == (400, message)


def test_every_problem_is_listed_for_programs() -> None:
    failure = validation('{"observation": [1, 2], "foo": 1}')
    assert isinstance(failure.detail, list)
    assert [problem["field"] for problem in failure.detail] == ["observation", "foo"]


def test_many_problems_are_counted_instead_of_listed() -> None:
    details = [{"type": "float_type", "loc": ["rows", i], "msg": "x"} for i in range(100_000)]
    failure = say(400, json.dumps({"detail": details}).encode())
    assert failure.message.endswith("rows.4: must be a number; and 99995 more")
    assert len(failure.body) < 3000


def test_a_long_name_is_shortened() -> None:
    failure = validation(json.dumps({"observation": [1, 2, 3], "x" * 100_000: 1}))
    assert len(failure.body) < 1000


def test_no_address_of_the_validation_library_is_shown() -> None:
    assert b"pydantic" not in validation('{"observation": [1, 2, NaN]}').body


def test_a_failed_query_parameter_is_400() -> None:
    detail = [{"type": "int_parsing", "loc": ["query", "limit"], "msg": "x", "input": "y"}]
    failure = say(422, json.dumps({"detail": detail}).encode())
    assert (failure.status, failure.message) == (400, "limit: must be a whole number")


def test_the_list_form_of_an_error_is_read() -> None:
    failure = say(400, b'[{"error": "no such model"}]')
    assert (failure.status, failure.message) == (400, "no such model")


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (404, b"Not Found", "there is no POST /v1/inference"),
        (405, b"Method Not Allowed", "/v1/inference does not answer to POST"),
        (500, b"Internal Server Error", "the service failed; its log says why"),
        (500, b'{"error": "KeyError: password"}', "the service failed; its log says why"),
    ],
)
def test_an_error_of_the_router_is_said_in_words(status: int, body: bytes, message: str) -> None:
    failure = say(status, body)
    assert (failure.status, failure.message) == (status, message)


@given(st.integers(400, 599), st.binary())
def test_any_body_becomes_an_error_of_the_same_kind(status: int, body: bytes) -> None:
    failure = say(status, body)
    assert failure.status == (400 if status == 422 else status)
    assert failure.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["detail", "error", "loc", "msg", "type"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_becomes_an_error(content: object) -> None:
    assert say(400, json.dumps(content).encode()).message
