"""The kinds of fields that messages are made of.

Requests refuse what they do not know. Fractions are fractions: 0.08 is 8%. Times are
ISO 8601 with a zone.
"""

import re
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "TIME_IN_WORDS",
    "Answer",
    "Day",
    "Fraction",
    "Name",
    "Number",
    "Number32",
    "Price",
    "Reason",
    "Request",
    "Text",
    "Time",
    "example",
]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 1971, 2199
_LARGEST32 = 3.4028235677973362e38
"""The largest number that a 32-bit float can hold, once it is rounded."""


def _only_text(value: object) -> object:
    # pydantic would read a number, also one in quotes, as seconds since 1970.
    if value is not None and not (isinstance(value, str) and value[4:5] == "-"):
        raise ValueError("a time is ISO 8601 text with a zone, e.g. 2026-03-02T13:05:00Z")
    return value


def _near_the_present(value: datetime) -> datetime:
    # Years at the ends of the calendar overflow when they change zone.
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError(f"the year must be {_FIRST_YEAR} to {_LAST_YEAR}, not {value.year}")
    return value


def _only_a_day(value: object) -> object:
    # pydantic would read a number as seconds since 1970, and a time as its day.
    if not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise ValueError("a date is text, year first, without a time: 2026-03-02")
    return value


Day = Annotated[date, BeforeValidator(_only_a_day)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Number32 = Annotated[
    float,
    # Larger ones are refused by the vector, which is of 32-bit floats: said here for the document.
    Field(
        strict=True,
        allow_inf_nan=False,
        json_schema_extra={"minimum": -_LARGEST32, "maximum": _LARGEST32},
    ),
]
TIME_IN_WORDS: dict[str, Any] = {
    "pattern": r"^(197[1-9]|19[89][0-9]|2[01][0-9][0-9])-",
    "examples": ["2026-03-02T13:05:00Z"],
}
"""What a schema says of a `Time` beside its format: the years."""
Time = Annotated[
    AwareDatetime,
    BeforeValidator(_only_text),
    AfterValidator(_near_the_present),
    Field(json_schema_extra=TIME_IN_WORDS),
]
Text = Annotated[str, Field(strict=True, min_length=1, max_length=200)]
Name = Annotated[Text, Field(pattern=r"^[!-~]([ -~]*[!-~])?$")]
"""A caller's name for a trade or an order: printable ASCII, no blank at its ends."""
Fraction = Annotated[Number, Field(ge=-10, le=10)]
Reason = Annotated[
    str,
    Field(strict=True, max_length=500, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"),
]
"""What a person has to say; of control characters line breaks and tabs: a terminal obeys others."""
Price = Annotated[Number, Field(json_schema_extra={"exclusiveMinimum": 0})]
"""Positive; the screen of the bars refuses any other, and names its bar."""


class Request(BaseModel):
    """Base of every body: nothing unknown."""

    model_config = ConfigDict(
        extra="forbid", protected_namespaces=(), use_attribute_docstrings=True
    )


def example(**fields: Any) -> ConfigDict:
    """What a body of a message may look like, for the document.

    It is called as BentoML knows it, which reads the schema too when a Bento is built.
    """
    return ConfigDict(json_schema_extra={"example": fields})


class Answer(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(protected_namespaces=(), use_attribute_docstrings=True)
