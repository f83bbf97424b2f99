"""A schema of one's own: names of the built-in tables, in any order, and numbers of one's own.

::

    version: desk-m5-1
    features:
      - log_return_5m               # a feature of the market, by its name in docs/features.md
      - rsi_14
      - position                    # of the book: position, unrealized_pnl, minutes_left
      - name: order_flow            # a number that callers send with `features`
        formula: signed volume of the last bar over its average of 60 bars
        unit: ratio
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from errors import InvalidRequest
from features.schema import USDCOP_M5, Feature, Schema
from features.state_features import STATE_FEATURES

__all__ = ["schema_from_document"]

_TABLE: Final = {feature.name: feature for feature in (*USDCOP_M5.features, *STATE_FEATURES)}
_OWN_KEYS: Final = {"name", "formula", "unit"}


def schema_from_document(document: object) -> Schema:
    """Read a schema.

    Args:
        document: what a YAML file holds.

    Raises:
        InvalidRequest: it is none; the message names the place.
    """
    if not isinstance(document, Mapping) or set(document) != {"version", "features"}:
        raise InvalidRequest("a schema has the keys `version` and `features`, and no others")
    version, entries = document["version"], document["features"]
    if not isinstance(version, str) or not version or version == USDCOP_M5.version:
        raise InvalidRequest(
            f"version is {version!r}; it must be a name of your own, not {USDCOP_M5.version!r}"
        )
    if not isinstance(entries, list) or not entries:
        raise InvalidRequest("features must be a list with at least one entry")
    features = tuple(_feature(entry, place) for place, entry in enumerate(entries, start=1))
    try:
        return Schema(version, features)
    except ValueError as error:
        raise InvalidRequest(str(error)) from error


def _feature(entry: Any, place: int) -> Feature:
    if isinstance(entry, str):
        if entry in _TABLE:
            return _TABLE[entry]
        close = get_close_matches(entry, _TABLE, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise InvalidRequest(
            f"feature {place} is {entry!r}, which is not built in; {hint}a number of your own is "
            "written with its name, formula and unit"
        )
    if not isinstance(entry, Mapping) or set(entry) != _OWN_KEYS:
        raise InvalidRequest(
            f"feature {place} must be the name of a built-in feature, or have the keys name, "
            "formula and unit"
        )
    texts = {key: entry[key] for key in _OWN_KEYS}
    wrong = [key for key, text in texts.items() if not isinstance(text, str) or not text.strip()]
    if wrong:
        raise InvalidRequest(f"feature {place}: {wrong[0]} must be text")
    if entry["name"] in _TABLE:
        raise InvalidRequest(
            f"feature {place}: {entry['name']!r} is built in, with a formula of its own; take "
            "another name"
        )
    return Feature(entry["name"], entry["formula"], entry["unit"], 1, "caller")
