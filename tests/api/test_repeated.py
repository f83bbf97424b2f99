"""A field that is given twice is refused, however it is written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.repeated import refuse_repeated
from errors import InvalidRequest

NAMES = ("dry_run", "order_id", "features")


def given_in(body: bytes) -> set[str]:
    return set(json.loads(body))


@pytest.mark.parametrize(
    "body",
    [
        b'{"dry_run": true, "dry_run": false}',
        b'{"dry_run": true, "dry\\u005frun": false}',
        b'{"features": {"a": 1}, "features": {"a": 1}}',
        b'{"order_id": "a\\n", "features": {"x": 1, "x": 2}}',
    ],
)
def test_a_field_that_is_given_twice_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="is given twice"):
        refuse_repeated(body, given_in(body))


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"order_id": "dry_run", "dry_run": true}',
        b'{"order_id": "\\"dry_run\\"", "dry_run": true}',
        b'{"features": {"order_id": 1}, "order_id": "x"}',
    ],
)
def test_a_name_may_stand_elsewhere_too(body: bytes) -> None:
    refuse_repeated(body, given_in(body))


@given(st.dictionaries(st.sampled_from(NAMES), st.text()))
def test_what_gives_each_field_once_passes(content: dict[str, str]) -> None:
    refuse_repeated(json.dumps(content).encode(), content.keys())
