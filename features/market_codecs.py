"""How bars and macro values are stored for all processes of a book, and how two versions join."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

import numpy as np

from errors import InvalidRequest
from features.bar_screen import EMPTY_BARS
from features.bars import BAR_SECONDS, BarSeries
from features.macro import MACRO_COLUMNS, DailySeries, MacroSeries
from features.shared_value import Codec

__all__ = ["MACRO_DAYS_KEPT", "bars_codec", "count_of", "macro_codec", "news", "updated"]

MACRO_DAYS_KEPT: Final = 400
"""Values of each macro series that are kept; a vector reads at most 60."""

_LAST_START: Final = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp())
_NO_MACRO: Final = MacroSeries({name: DailySeries.of({}) for name in MACRO_COLUMNS})


def count_of(macro: MacroSeries) -> int:
    """How many values there are of all series together."""
    return sum(len(series.days) for series in macro.columns.values())


def updated(macro: MacroSeries, by: MacroSeries) -> MacroSeries:
    """Both together; where both have a date, the second holds."""
    return MacroSeries(
        {name: DailySeries.of(macro.by_day(name) | by.by_day(name)) for name in MACRO_COLUMNS}
    )


def news(before: MacroSeries, after: MacroSeries) -> MacroSeries:
    """The values of the second that the first has not, or has otherwise."""
    return MacroSeries(
        {
            name: DailySeries.of(dict(after.by_day(name).items() - before.by_day(name).items()))
            for name in MACRO_COLUMNS
        }
    )


def bars_codec(capacity: int) -> Codec[BarSeries]:
    """Bars as JSON: `{"bars": [[start, close], ...]}`, at most `capacity` of them."""

    def encode(bars: BarSeries) -> bytes:
        pairs = list(zip(bars.starts.tolist(), bars.closes.tolist(), strict=True))
        return json.dumps({"bars": pairs}, separators=(",", ":")).encode()

    def decode(body: bytes) -> BarSeries:
        try:
            return _bars_of(json.loads(body)["bars"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise InvalidRequest(f"they are no bars: {error}") from error

    def join(stored: BarSeries, own: BarSeries) -> BarSeries:
        return _in_order(_closes_of(stored) | _closes_of(own), capacity)

    def since(before: BarSeries, after: BarSeries) -> BarSeries:
        return _in_order(dict(_closes_of(after).items() - _closes_of(before).items()), capacity)

    return Codec(EMPTY_BARS, encode, decode, join, since)


def _closes_of(bars: BarSeries) -> dict[int, float]:
    return dict(zip(bars.starts.tolist(), bars.closes.tolist(), strict=True))


def _in_order(closes: dict[int, float], capacity: int) -> BarSeries:
    starts = sorted(closes)[-capacity:]
    return BarSeries(np.array(starts, np.int64), np.array([closes[at] for at in starts]))


def _bars_of(pairs: object) -> BarSeries:
    """Bars of [start, close] pairs; numbers are taken as they are or not at all.

    Raises:
        ValueError, TypeError, OverflowError, InvalidRequest: they are none.
    """
    if not isinstance(pairs, list):
        raise TypeError("they are no list")
    if not pairs:
        return EMPTY_BARS
    starts, closes = (np.array(column) for column in zip(*pairs, strict=True))
    if starts.dtype.kind != "i" or closes.dtype.kind not in "fi":
        raise TypeError("they hold something else than numbers")
    if (starts % BAR_SECONDS).any() or starts.min() < 0 or starts.max() > _LAST_START:
        raise ValueError("they hold something else than starts of bars")
    return BarSeries(starts, closes)


def macro_codec() -> Codec[MacroSeries]:
    """Macro values as JSON: `{series: [[date, value], ...]}`."""

    def encode(macro: MacroSeries) -> bytes:
        return json.dumps(macro.to_json(), separators=(",", ":")).encode()

    def decode(body: bytes) -> MacroSeries:
        try:
            return MacroSeries.from_json(json.loads(body))
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(f"they are no macro values: {error}") from error

    def join(stored: MacroSeries, own: MacroSeries) -> MacroSeries:
        return updated(stored, own).newest(MACRO_DAYS_KEPT)

    return Codec(_NO_MACRO, encode, decode, join, news)
