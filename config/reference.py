"""Every setting on one page, made of the types themselves: `usdcop config reference`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, cast

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.environment import API_KEYS, API_KEYS_PATH, PREFIX, SHORT_NAMES
from config.settings import Settings
from config.shape import KeyPath, Place, allowed, dotted, locate

__all__ = ["configuration_reference"]

_HEAD: Final = """\
# Every setting

Made by `usdcop config reference` of the types in [config/settings.py](../config/settings.py);
a test holds this page against them. `usdcop config` prints the values in force and where each
came from.

A value comes from the environment, else from the file, else it is the default. The file is
[config/mlops.yaml](../config/mlops.yaml), or the one that `MLOPS_CONFIG_PATH` names. A list or a
mapping in a variable is JSON: `MLOPS__TRADING_HOURS__TRADING_DAYS='[0, 1, 2]'`; one entry of a list
has its number in the name. An empty variable counts as not set, except where a setting may be
none: there it means none. A key or a variable beginning with `MLOPS_` that is no setting stops the
start, as does a value that is not allowed. Fractions are fractions: -0.02 is -2%.
"""


def configuration_reference() -> str:
    """The page, as Markdown."""
    return "\n".join([_HEAD, *_section("The service", Settings, ())]).rstrip() + "\n"


def _section(title: str, section: type[BaseModel], path: KeyPath) -> Iterator[str]:
    """A heading, what it is about, a table of its values; then the sections inside of it."""
    fields = section.model_fields.items()
    inner = {name: place for name, _ in fields if (place := _section_of((*path, name)))}
    yield f"## {title}\n"
    yield f"{_first_line(section)}\n"
    yield "| setting | allowed | default | variable | meaning |"
    yield "|---|---|---|---|---|"
    for name, field in fields:
        if name not in inner or isinstance(inner[name][0][-1], int):
            yield _row((*path, name), field)
    yield ""
    for at, kind in inner.values():
        yield from _section(f"`{dotted(at)}`", kind, at)


def _section_of(path: KeyPath) -> tuple[KeyPath, type[BaseModel]] | None:
    """The section at a path, or of the first entry of a list there."""
    for at in (path, (*path, 0)):
        place = locate(at)
        if place is not None and place.section is not None:
            return at, place.section
    return None


def _row(path: KeyPath, field: FieldInfo) -> str:
    cells = (
        f"`{dotted(path)}`",
        _allowed(path),
        _default(field),
        " or ".join(f"`{name}`" for name in _variables(path)),
        _one_line(field.description or ""),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _allowed(path: KeyPath) -> str:
    place = cast(Place, locate(path))  # there is one: it is the path of a field
    words = allowed(place)
    entry = locate((*path, 0))
    if entry is not None and entry.section is None:
        words += f", each {allowed(entry)}"
    for limit in place.limits:
        if isinstance(limit, annotated_types.MaxLen):
            words += f", at most {limit.max_length} entries"
        if isinstance(limit, annotated_types.MinLen):
            words += f", at least {limit.min_length} entry"
    return f"{words}, or none" if place.optional else words


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    return "`{}`".format(json.dumps(value, default=str).strip('"'))


def _variables(path: KeyPath) -> Iterator[str]:
    if path == API_KEYS_PATH:
        yield API_KEYS
    yield from (name for name, short in SHORT_NAMES.items() if short == path)
    yield PREFIX + "__".join(str(part).upper() for part in path)


def _first_line(section: type[BaseModel]) -> str:
    return _one_line((section.__doc__ or "").split("\n\n")[0])


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
