"""What goes on record, to the byte."""

import json
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum, StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk.events import GENESIS, Draft, Event, EventKind, sealed, stamp, timestamp
from risk.identifiers import new_identifier
from risk.ledger.protocol import Record
from risk.records import Recorded, event_in

AT = datetime(2026, 3, 2, 14, tzinfo=UTC)
EARLIEST = datetime(1972, 1, 1)  # noqa: DTZ001 - Hypothesis gives it its zone

TEXT = st.text()
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(TEXT, inner, max_size=4),
        st.tuples(inner, inner),
    ),
    max_leaves=20,
)


def stamped(payload: dict[Any, Any]) -> Event:
    draft = Draft(EventKind.BATCH, "e", AT, AT.date(), "tester", payload)
    return stamp(draft, sequence=1, previous_hash=GENESIS)


def as_json(payload: Any) -> Any:
    """What the standard library makes of it, and reads back."""
    return json.loads(json.dumps(payload, allow_nan=False))


def record_of(event: Event) -> Record:
    return Record(
        event.sequence, event.kind.value, event.event_id, event.key, event.hash, event.body
    )


def test_a_body_has_sorted_keys_no_spaces_and_is_utf_8() -> None:
    body = sealed({"sequence": 1, "kind": "mark", "é": "año €", "a": [1.5, -0.0]}, GENESIS).body
    assert body == '{"a":[1.5,-0.0],"kind":"mark","sequence":1,"é":"año €"}'.encode()


@given(payload=st.dictionaries(TEXT, VALUES, max_size=4))
def test_whatever_json_can_say_is_read_back_as_it_was_and_verifies(payload: dict[str, Any]) -> None:
    try:
        told = as_json(payload)
    except ValueError:
        with pytest.raises(ValueError, match="JSON compliant"):
            stamped(payload)
        return
    event = stamped(payload)
    # As text, in which 1 is not 1.0, and 0.0 is not -0.0.
    assert json.dumps(event.payload, sort_keys=True) == json.dumps(told, sort_keys=True)
    assert event.is_intact()
    assert isinstance(event_in(record_of(event), GENESIS), Recorded)


@given(payload=st.dictionaries(TEXT, VALUES, max_size=4))
def test_what_was_read_back_is_written_in_the_same_bytes_again(payload: dict[str, Any]) -> None:
    try:
        event = stamped(as_json(payload))
    except ValueError:
        return
    assert sealed(event.content, GENESIS) == event


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf"), np.float64("nan")])
@pytest.mark.parametrize("within", [lambda bad: bad, lambda bad: [1, {"a": [[], [bad]]}]])
def test_a_number_that_is_none_is_refused_wherever_it_stands(bad: float, within: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        stamped({"checks": within(bad)})


@dataclass
class Point:
    x: int = 1


class Unit(Enum):
    METRE = "m"


@pytest.mark.parametrize(
    "bad",
    [
        AT,
        AT.date(),
        AT.time(),
        timedelta(1),
        {1, 2},
        b"bytes",
        np.float32(1),
        np.int64(1),
        np.zeros(2),
        Point(),
        Unit.METRE,
        uuid.UUID(int=1),
    ],
    ids=lambda bad: type(bad).__name__,
)
def test_what_json_has_no_word_for_is_refused_wherever_it_stands(bad: object) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        stamped({"answer": [{"value": bad}]})


def test_what_holds_itself_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["inner"] = [circle]
    with pytest.raises(ValueError, match="Circular"):
        stamped(circle)


class Side(StrEnum):
    BUY = "BUY"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Side.BUY, "BUY"),
        ((1, 2), [1, 2]),
        (np.float64(0.5), 0.5),
        (OrderedDict(b=1, a=2), {"a": 2, "b": 1}),
        ({1: "one"}, {"1": "one"}),
        ({Side.BUY: 1}, {"BUY": 1}),
        (2**63, 2**63),
        (2**64, 2**64),
        (-(10**30), -(10**30)),
    ],
)
def test_what_is_nearly_json_is_written_as_what_it_stands_for(value: object, told: object) -> None:
    event = stamped({"value": value})
    assert event.payload == {"value": told}
    assert type(event.payload["value"]) is type(told)


def test_half_a_character_is_written_as_a_question_mark_and_the_record_verifies() -> None:
    event = stamped({"reason": "caf\udce9", "\ud800": 1})
    assert event.payload == {"reason": "caf?", "?": 1}
    assert isinstance(event_in(record_of(event), GENESIS), Recorded)


@pytest.mark.parametrize("reason", ["año €", "\U0001f4c8", "half \udce9"])
def test_a_record_in_ascii_is_read_and_holds_as_it_was_written(reason: str) -> None:
    content = {
        "format": 1,
        "sequence": 1,
        "kind": "reset",
        "id": "e",
        "at": timestamp(AT),
        "day": "2026-03-02",
        "actor": "tester",
        "key": None,
        "payload": {"reason": reason, "small": 1e-07, "great": 2**70},
    }
    body = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    assert body.isascii()
    event = Event(1, EventKind.RESET, GENESIS, GENESIS, body)
    assert event.payload == content["payload"]
    assert (event.at, event.day, event.actor) == (AT, date(2026, 3, 2), "tester")


@given(at=st.datetimes(min_value=EARLIEST, timezones=st.timezones()))
def test_a_time_is_written_in_utc_whatever_its_zone(at: datetime) -> None:
    written = timestamp(at)
    assert written == at.astimezone(UTC).isoformat(timespec="microseconds")
    assert timestamp(datetime.fromisoformat(written)) == written


def test_the_two_passes_of_a_clock_that_is_set_back_are_two_times() -> None:
    first = datetime(2026, 11, 1, 1, 30, tzinfo=ZoneInfo("America/New_York"))
    assert timestamp(first) == "2026-11-01T05:30:00.000000+00:00"
    assert timestamp(first.replace(fold=1)) == "2026-11-01T06:30:00.000000+00:00"


@given(
    at=st.datetimes(min_value=EARLIEST, timezones=st.just(UTC)),
    random=st.binary(min_size=10, max_size=10),
)
def test_a_name_is_a_uuid_of_version_7_that_begins_with_its_time(
    at: datetime, random: bytes
) -> None:
    name = new_identifier(at, random)
    read = uuid.UUID(name)
    assert (str(read), read.version, read.variant) == (name, 7, uuid.RFC_4122)
    assert read.int >> 80 == int(at.timestamp() * 1000)
    assert read.bytes[7] == random[1]
    assert read.bytes[9:] == random[3:]
