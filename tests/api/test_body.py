import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.body import MAX_DEPTH, nesting_fault

TEXT = st.text(st.sampled_from('[]{}"\\a'), max_size=8)
VALUE = st.recursive(
    st.none() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=60,
)


def nested(depth: int) -> bytes:
    return (
        b'{"a": ' * (depth // 2)
        + b"[" * (depth - depth // 2)
        + b"1"
        + (b"]" * (depth - depth // 2) + b"}" * (depth // 2))
    )


def depth_of(value: object) -> int:
    inner: Iterator[object] = iter(())
    if isinstance(value, list):
        inner = iter(value)
    elif isinstance(value, dict):
        inner = iter(value.values())
    else:
        return 0
    return 1 + max((depth_of(entry) for entry in inner), default=0)


def test_the_deepest_body_that_is_allowed_passes() -> None:
    assert nesting_fault(nested(MAX_DEPTH)) is None


def test_one_level_more_is_refused() -> None:
    fault = nesting_fault(nested(MAX_DEPTH + 1))
    assert fault is not None
    assert fault.status == 400


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"[{" * 100_000])
def test_what_never_closes_is_refused(body: bytes) -> None:
    assert nesting_fault(body) is not None


def test_many_rows_side_by_side_pass() -> None:
    assert nesting_fault(json.dumps({"observations": [[0.5] * 45] * 4096}).encode()) is None


def test_brackets_in_text_do_not_count() -> None:
    assert nesting_fault(json.dumps({"reason": "[{" * 1000}).encode()) is None


def test_text_cannot_hide_depth() -> None:
    body = b'["]\\"]", ' * 100 + b"1" + b"]" * 100
    assert depth_of(json.loads(body)) == 100
    assert nesting_fault(body) is not None


@pytest.mark.parametrize("filler", [b'"' * 50_001, b'"' + b'\\"' * 50_000, b'"\\'])
def test_broken_text_ends_the_search_quickly(filler: bytes) -> None:
    assert nesting_fault(b"[" * (MAX_DEPTH + 1) + filler) is not None


@given(VALUE, st.integers(0, 2 * MAX_DEPTH))
def test_the_verdict_is_that_of_a_parser(value: object, wraps: int) -> None:
    for _ in range(wraps):
        value = [value, "]"]
    refused = nesting_fault(json.dumps(value).encode()) is not None
    assert refused == (depth_of(value) > MAX_DEPTH)
