"""Where a setting lives in the types of `config.settings`, and what it may be."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from config.settings import Settings

__all__ = [
    "KeyPath",
    "Place",
    "allowed",
    "bounds",
    "dotted",
    "locate",
    "setting_keys",
    "suggestion",
]

KeyPath = tuple[str | int, ...]
"""Keys and list indices, from the top level inwards."""


@dataclass(frozen=True)
class Place:
    """One position in the settings: a section, a list, an entry of a list, or a value.

    Attributes:
        kind: its type without `Annotated` and without `None`.
        limits: the constraints that its type carries.
        example: one value in words, or empty.
        optional: whether it may be `None`.
        secret: whether it is a secret, or holds one.
        beside_secret: whether it is part of a list entry that holds a secret.
    """

    kind: object
    limits: tuple[object, ...] = ()
    example: str = ""
    optional: bool = False
    secret: bool = False
    beside_secret: bool = False

    @property
    def section(self) -> type[BaseModel] | None:
        """The model whose fields may follow here."""
        if isinstance(self.kind, type) and issubclass(self.kind, BaseModel):
            return self.kind
        return None

    @property
    def entry(self) -> object | None:
        """The type of one entry, if this is a list."""
        return get_args(self.kind)[0] if get_origin(self.kind) is tuple else None

    @property
    def textual(self) -> bool:
        """Whether text is meant as it stands: `123` is a password here, not a number."""
        choices = get_args(self.kind) if get_origin(self.kind) is Literal else ()
        return all(isinstance(choice, str) for choice in choices) and (
            bool(choices)
            or (
                isinstance(self.kind, type)
                and get_origin(self.kind) is None
                and issubclass(self.kind, str | SecretStr | date)
            )
        )

    def step(self, part: str | int) -> Place | None:
        """The position one key or index further in, or None if there is no such thing."""
        if self.section is not None:
            field = self.section.model_fields.get(str(part))
            return None if field is None else _of_field(field)
        if self.entry is not None and isinstance(part, int):
            entry = _of_annotation(self.entry)
            return replace(entry, beside_secret=_holds_secret(entry.kind))
        return None


def locate(path: KeyPath) -> Place | None:
    """The position that a path of keys and indices leads to, or None if it leads nowhere.

    >>> locate(("risk_limits", "max_daily_loss")).kind
    <class 'float'>
    >>> locate(("risk_limits", "max_dayly_loss")) is None
    True
    """
    place = Place(Settings, secret=True)
    beside_secret = False
    for part in path:
        inner = place.step(part)
        if inner is None:
            return None
        place, beside_secret = inner, beside_secret or inner.beside_secret
    return replace(place, beside_secret=beside_secret)


def dotted(path: Sequence[str | int]) -> str:
    """A path as errors and listings write it.

    >>> dotted(("models", 0, "weight"))
    'models.0.weight'
    """
    return ".".join(str(part) for part in path)


def suggestion(path: KeyPath) -> str:
    """What was probably meant by a path whose last key does not exist.

    >>> suggestion(("risk_limits", "max_dayly_loss"))
    'did you mean max_daily_loss?'
    >>> suggestion(("max_daily_loss",))
    'did you mean risk_limits.max_daily_loss?'
    """
    *above, name = path
    place = locate(tuple(above))
    if place is None or place.section is None:
        return f"{dotted(above)} takes no keys"
    siblings = list(place.section.model_fields)
    if close := difflib.get_close_matches(str(name), siblings, n=1, cutoff=0.7):
        return f"did you mean {close[0]}?"
    everywhere = {key.rsplit(".", 1)[-1]: key for key in setting_keys()}
    if close := difflib.get_close_matches(str(name), everywhere, n=1, cutoff=0.8):
        return f"did you mean {everywhere[close[0]]}?"
    return f"{dotted(above) or 'the top level'} takes {', '.join(siblings)}"


def allowed(place: Place) -> str:
    """What may stand at a position, in words.

    >>> allowed(locate(("risk_limits", "max_daily_loss")))
    'a number below 0 and at least -1 (-0.02 is -2%)'
    """
    words = " ".join(part for part in (_kind_in_words(place), bounds(place)) if part)
    return f"{words} ({place.example})" if place.example else words


def bounds(place: Place) -> str:
    """The range of a number, in words; empty if it has none.

    >>> bounds(locate(("redis", "port")))
    'at most 65535 and at least 1'
    """
    found = {
        name: getattr(limit, attribute)
        for limit in place.limits
        for kind, attribute, name in LIMITS
        if isinstance(limit, kind)
    }
    return " and ".join(f"{name} {found[name]:g}" for *_, name in LIMITS if name in found)


LIMITS: tuple[tuple[type, str, str], ...] = (
    (annotated_types.Lt, "lt", "below"),
    (annotated_types.Le, "le", "at most"),
    (annotated_types.Gt, "gt", "above"),
    (annotated_types.Ge, "ge", "at least"),
)

KINDS: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    SecretStr: "text",
    date: "a date, year first: 2026-12-24",
}


def _kind_in_words(place: Place) -> str:
    kind = place.kind
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return "one of " + ", ".join(kind)
    if place.section is not None:
        return "a section with " + ", ".join(place.section.model_fields)
    if place.entry is not None:
        return "a list"
    return KINDS.get(kind, "a mapping")


def _of_field(field: FieldInfo) -> Place:
    kind, optional = _without_none(field.annotation)
    example = str(field.examples[0]) if field.examples else ""
    secret = not field.repr or _holds_secret(kind)
    return Place(kind, tuple(field.metadata), example, optional, secret)


def _of_annotation(annotation: object) -> Place:
    if get_origin(annotation) is not Annotated:
        return Place(annotation)
    kind, *extras = get_args(annotation)
    limits = [
        limit
        for extra in extras
        for limit in (extra.metadata if isinstance(extra, FieldInfo) else [extra])
    ]
    return Place(kind, tuple(limits))


def _without_none(annotation: object) -> tuple[object, bool]:
    if get_origin(annotation) not in (Union, UnionType):
        return annotation, False
    (kind,) = [member for member in get_args(annotation) if member is not type(None)]
    return kind, True


def _holds_secret(kind: object) -> bool:
    if kind is SecretStr:
        return True
    if get_origin(kind) is tuple:
        return _holds_secret(get_args(kind)[0])
    if isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, BaseModel):
        return any(
            not field.repr or _holds_secret(_without_none(field.annotation)[0])
            for field in kind.model_fields.values()
        )
    return False


def setting_keys(section: type[BaseModel] = Settings, above: str = "") -> Iterator[str]:
    """Dotted keys of all settings, a list as one.

    >>> next(setting_keys(), None)
    'environment'
    """
    for name, field in section.model_fields.items():
        kind, _ = _without_none(field.annotation)
        if isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, BaseModel):
            yield from setting_keys(kind, f"{above}{name}.")
        else:
            yield above + name
