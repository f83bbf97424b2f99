import json
from collections.abc import Iterator

import pytest

import errors
from api.failures import CODES, Failure, failure_of, is_ours, status_of
from errors import (
    Conflict,
    InvalidRequest,
    NotFound,
    NotReady,
    RequestError,
    ServiceError,
    StateMoved,
    StoreCorrupt,
    StoreUnavailable,
    TooLarge,
)


def tree(kind: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from tree(narrower)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequest("x"), 400),
        (RequestError("x"), 400),
        (NotFound("x"), 404),
        (Conflict("x"), 409),
        (TooLarge("x"), 413),
        (NotReady("x"), 503),
        (StoreUnavailable("x"), 503),
        (StateMoved("x"), 503),
        (StoreCorrupt("x"), 500),
        (ServiceError("x"), 500),
    ],
)
def test_each_error_has_its_status(error: ServiceError, status: int) -> None:
    assert status_of(error) == status


@pytest.mark.parametrize("kind", list(tree()))
def test_every_error_of_the_tree_becomes_one_shape(kind: type[ServiceError]) -> None:
    failure = failure_of(kind("what was wrong"))
    assert is_ours(failure.body)
    assert set(json.loads(failure.body)["error"]) == {"code", "message", "detail"}


@pytest.mark.parametrize("kind", [kind for kind in tree() if issubclass(kind, RequestError)])
def test_what_a_caller_did_wrong_is_never_a_fault_of_the_service(kind: type[RequestError]) -> None:
    assert status_of(kind("x")) != 500


def test_the_tree_that_is_tested_is_the_whole_one() -> None:
    exported = {getattr(errors, name) for name in errors.__all__}
    assert exported <= set(tree())


def test_a_request_error_keeps_its_code_message_and_detail() -> None:
    failure = failure_of(InvalidRequest("45 numbers", code="wrong_length", detail={"got": 3}))
    assert json.loads(failure.body) == {
        "error": {"code": "wrong_length", "message": "45 numbers", "detail": {"got": 3}}
    }


def test_a_fault_of_the_service_is_told_without_its_text() -> None:
    body = failure_of(StoreCorrupt("record 7 of /srv/state.db")).body
    assert b"/srv" not in body
    assert b"internal_error" in body


def test_the_code_follows_the_status_unless_given() -> None:
    assert json.loads(Failure(415, "x").body)["error"]["code"] == CODES[415]
    assert json.loads(Failure(418, "x").body)["error"]["code"] == "http_418"


def test_a_detail_of_any_kind_is_written() -> None:
    detail = {"error": ValueError("odd"), "rows": (1, 2)}
    assert json.loads(Failure(400, "x", detail=detail).body)["error"]["detail"] == {
        "error": "odd",
        "rows": [1, 2],
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Not Found",
        b"null",
        b"[]",
        b"[1]",
        b'{"error": "x"}',
        b'{"error": ["code", "message", "detail"]}',
        b'{"error": {"code": 1}}',
        b'{"detail": []}',
        b"\xff",
    ],
)
def test_other_shapes_are_not_ours(body: bytes) -> None:
    assert not is_ours(body)
