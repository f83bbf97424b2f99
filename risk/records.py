"""The event in a record, or what is wrong with the record: one record and its predecessor.

The hash is computed again here from its definition, not by the code that wrote it. A body is
decoded once, and for most events without its payload: what was decided, and on what, fills
nearly all of a body, and the state does not depend on it.
"""

from hashlib import sha256
from typing import Any, NamedTuple, cast

from pydantic_core import SchemaValidator, from_json
from pydantic_core import core_schema as schema

from risk.events import GENESIS, Event, EventKind
from risk.fold import changes_state
from risk.ledger.protocol import Record

__all__ = ["GLIMPSED", "Recorded", "event_in"]

GLIMPSED = "order"
"""The one key of a payload on which it depends whether an event changes the state."""

_FORMAT = 1
_BESIDE = ("sequence", "kind", "id", "key")
_KINDS = {kind.value: kind for kind in EventKind}


class Recorded(NamedTuple):
    """An event that is as it was written.

    Attributes:
        event: with its content decoded, if it changes the state.
        changes_state: whether it does.
    """

    event: Event
    changes_state: bool


def event_in(record: Record, previous_hash: str | None) -> Recorded | str:
    """The event in a record; or, in words, what is wrong with the record.

    Args:
        record: as stored.
        previous_hash: of the record before it; None when that is not known, and whether this
            one follows it cannot be told.
    """
    body = cast(object, record.body)
    if not isinstance(body, bytes):  # a damaged page can make it text
        return "its body is not bytes"
    try:
        content = _ENVELOPE.validate_json(body)
    except ValueError:
        return _fault(record, previous_hash)
    kind = _KINDS.get(record.kind)
    if (
        kind is None
        or content["format"] != _FORMAT
        or tuple(map(content.get, _BESIDE)) != record[:4]
        or (previous_hash is not None and record.hash != _hash(previous_hash, body))
    ):
        return _fault(record, previous_hash)
    event = Event(record.sequence, kind, previous_hash or GENESIS, record.hash, body)
    changes = changes_state(kind, content["payload"])
    if changes:
        vars(event)["content"] = from_json(body)  # or it would be decoded with every look at it
    return Recorded(event, changes)


def _field(wanted: schema.CoreSchema, *, required: bool = True) -> schema.TypedDictField:
    return schema.typed_dict_field(wanted, required=required)


def _fields(**fields: schema.TypedDictField) -> schema.CoreSchema:
    return schema.typed_dict_schema(fields, extra_behavior="ignore")


_TEXT = schema.str_schema(strict=True)
_NUMBER = schema.int_schema(strict=True)
_ENVELOPE = SchemaValidator(
    _fields(
        format=_field(_NUMBER),
        sequence=_field(_NUMBER),
        kind=_field(_TEXT),
        id=_field(_TEXT),
        key=_field(schema.nullable_schema(_TEXT)),
        at=_field(_TEXT),
        day=_field(_TEXT),
        actor=_field(_TEXT),
        payload=_field(_fields(**{GLIMPSED: _field(schema.any_schema(), required=False)})),
    )
)


def _fault(record: Record, previous_hash: str | None) -> str:
    """What is wrong with a record that is not as it was written; the hash is told first."""
    content = _decoded(record.body)
    if previous_hash is not None and record.hash != _hash(previous_hash, record.body):
        return _unfit(record, content)
    if content is None:
        return "its body is no JSON object"
    if content.get("format") != _FORMAT:
        return f"its format {content.get('format')!r} is not known to this version"
    if record.kind not in _KINDS:
        return f"its kind {record.kind!r} is not known to this version"
    for name, stored in zip(_BESIDE, record[:4], strict=True):
        if content.get(name) != stored:
            return f"its {name} is stored as {stored!r}, but its body says {content.get(name)!r}"
    return "its body lacks what every event has"


def _unfit(record: Record, content: dict[str, Any] | None) -> str:
    told = None if content is None else content.get("sequence")
    if isinstance(told, int) and told != record.sequence:
        return f"its body is that of record {told}"
    return "its hash does not fit its body and its predecessor"


def _decoded(body: bytes) -> dict[str, Any] | None:
    try:
        content = from_json(body, allow_inf_nan=False)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _hash(previous_hash: str, body: bytes) -> str:
    digest = sha256(previous_hash.encode())
    digest.update(body)
    return digest.hexdigest()
