import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidRequest
from features.evidence import Evidence
from features.macro import MACRO_COLUMNS, MacroValue

EVIDENCE = Evidence(1772460000, 3700.1, 2, 5.25, {"dxy": MacroValue(20514, 104.3)})

finite = st.floats(allow_nan=False, allow_infinity=False)
evidences = st.builds(
    Evidence,
    bar=st.integers(int(datetime(1000, 1, 2).astimezone().timestamp()), 253_402_300_799),
    close=finite,
    equal_closes=st.integers(1, 10**9),
    window_days=finite,
    macro=st.dictionaries(
        st.sampled_from(MACRO_COLUMNS),
        st.builds(MacroValue, day=st.integers(-700_000, 2_932_896), value=finite),
    ),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(evidences)
def test_what_is_on_record_is_read_back_to_the_bit(evidence: Evidence) -> None:
    read = Evidence.from_json(json.loads(json.dumps(evidence.to_json())))

    assert read == evidence
    assert repr(read) == repr(evidence)


def test_a_whole_number_is_a_number_too() -> None:
    read = Evidence.from_json(EVIDENCE.to_json() | {"close": 3700})

    assert repr(read.close) == "3700.0"


@pytest.mark.parametrize(
    "damage",
    [
        {"bar": "2026-03-02 14:00:00Z"},
        {"bar": "2026-03-02T14:00:00"},
        {"bar": "2026-03-02T14:00:00+00:00"},
        {"bar": "0001-01-01T00:00:00+23:59"},
        {"bar": 1772460000},
        {"close": "3700.1"},
        {"close": float("nan")},
        {"close": 10**400},
        {"close": True},
        {"window_days": None},
        {"equal_closes": 0},
        {"equal_closes": 2.0},
        {"equal_closes": True},
        {"macro": []},
        {"macro": None},
        {"macro": {"dxy": {"date": "2026-03-02"}}},
        {"macro": {"dxy": {"date": "20260302", "value": 104.3}}},
        {"macro": {"dxy": {"date": "2026-03-02", "value": None}}},
        {"macro": {"dxy": {"date": "2026-03-02", "value": float("inf")}}},
        {"macro": {"dxy": 104.3}},
        {"more": 1},
    ],
)
def test_damaged_evidence_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="stored evidence"):
        Evidence.from_json(EVIDENCE.to_json() | damage)


@pytest.mark.parametrize("name", ["bar", "close", "equal_closes", "macro"])
def test_evidence_without_a_part_is_refused(name: str) -> None:
    document = EVIDENCE.to_json()
    del document[name]

    with pytest.raises(InvalidRequest, match="stored evidence needs"):
        Evidence.from_json(document)


@given(json_values | st.fixed_dictionaries(dict.fromkeys(EVIDENCE.to_json(), json_values)))
def test_whatever_else_was_stored_is_refused_and_breaks_nothing(document: object) -> None:
    with pytest.raises(InvalidRequest, match="stored evidence"):
        Evidence.from_json(document)
