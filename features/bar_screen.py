"""What becomes of a bar that arrives: every case has one stated answer.

==================================  ==============================================================
start not on a full five minutes    refused
bar not complete yet                refused: its close may still change
low above high, close beyond them   refused
close that is no price              refused
one start twice with two closes     refused, with `confirm` too: order would decide
outside the session                 `outside_session`: not kept
the same start and close again      `duplicate`: nothing changes
the same start, another close       refused as a conflict; with `confirm` `corrected`
older than all that is kept         `too_old`: not kept
older than the newest               `late`: put in its place
price jump beyond the bound         refused; with `confirm` taken as it stands
anything else                       `stored`
==================================  ==============================================================

A request is taken whole or not at all: one bar that is refused refuses the others with it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from config.settings import TradingHours
from errors import Conflict, InvalidRequest
from features.bars import BAR_SECONDS, GREATEST_PRICE, LEAST_PRICE, BarSeries, utc_text
from features.clock import in_session, local_days

__all__ = ["EMPTY_BARS", "Bar", "BarRules", "BarState", "Screened", "missing_bars", "screen"]

EMPTY_BARS: Final = BarSeries(np.array([], dtype=np.int64), np.array([], dtype=np.float64))
"""No bar yet."""

_AHEAD_SECONDS: Final = 5
"""How far a sender's clock may be ahead of this one."""


class BarState(StrEnum):
    """What became of a bar."""

    STORED = "stored"
    LATE = "late"
    DUPLICATE = "duplicate"
    CORRECTED = "corrected"
    OUTSIDE_SESSION = "outside_session"
    TOO_OLD = "too_old"


@dataclass(frozen=True, slots=True)
class Bar:
    """One five-minute bar as it was sent.

    Attributes:
        start: seconds since 1970-01-01 UTC.
        close: price.
        open, high, low: prices; None where not sent. They are checked and not kept.
    """

    start: int
    close: float
    open: float | None = None
    high: float | None = None
    low: float | None = None


@dataclass(frozen=True, slots=True)
class BarRules:
    """What bars are held against.

    Attributes:
        hours: the session.
        capacity: how many bars are kept, the newest ones.
        greatest_jump: largest log return between two bars that is believed without being confirmed.
        now: seconds since 1970-01-01 UTC.
        confirm: corrections and jumps are meant as they stand.
        remedy: what to do about a jump that is meant.
    """

    hours: TradingHours
    capacity: int
    greatest_jump: float
    now: int
    confirm: bool = False
    remedy: str = "Send `confirm: true`"


@dataclass(frozen=True, eq=False)
class Screened:
    """The bars that are kept now, and what became of each that was sent.

    Attributes:
        bars: the kept ones, at most `capacity`.
        states: one for each bar sent, in the order sent.
        confirmed: in words, what only `confirm` let through.
    """

    bars: BarSeries
    states: tuple[BarState, ...]
    confirmed: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether any bar is kept that was not, or with another close."""
        return any(state in _KEPT for state in self.states)

    @property
    def counts(self) -> dict[str, int]:
        """State to how many bars it befell; every state is there."""
        counted = Counter(self.states)
        return {state.value: counted[state] for state in BarState}


def screen(sent: Sequence[Bar], known: BarSeries, rules: BarRules) -> Screened:
    """Put bars in their places among the known ones.

    Args:
        sent: in any order.
        known: what is kept so far.
        rules: what they are held against.

    Raises:
        InvalidRequest: a bar is none, is not complete, has two closes, or jumps; nothing is taken.
        Conflict: a start is there with another close.
    """
    if not sent:
        return Screened(known, ())
    for bar in sent:
        _require_sound(bar, rules.now)
    _require_one_close_each(sent)
    closes = dict(zip(known.starts.tolist(), known.closes.tolist(), strict=True))
    newest = max(closes, default=0)
    oldest = min(closes) if len(closes) >= rules.capacity else 0
    confirmed: list[str] = []
    states = []
    inside = in_session(np.array([bar.start for bar in sent], dtype=np.int64), rules.hours)
    for bar, counts in zip(sent, inside.tolist(), strict=True):
        state = _state_of(bar, closes, newest, oldest, in_hours=counts)
        if state is BarState.CORRECTED:
            confirmed.append(_confirmed_conflict(bar, closes[bar.start], confirm=rules.confirm))
        if state in _KEPT:
            closes[bar.start] = bar.close
        states.append(state)
    starts = sorted(closes)
    merged = BarSeries(np.array(starts, np.int64), np.array([closes[start] for start in starts]))
    changed = {bar.start for bar, state in zip(sent, states, strict=True) if state in _KEPT}
    confirmed += _jumps(merged, changed, rules)
    kept = BarSeries(merged.starts[-rules.capacity :], merged.closes[-rules.capacity :])
    return Screened(kept, tuple(states), tuple(confirmed))


def missing_bars(bars: BarSeries, hours: TradingHours, newest: int | None = None) -> int:
    """Five-minute steps without a bar between two bars of one local date.

    Args:
        bars: of the session.
        hours: whose time zone has the dates.
        newest: look at so many of the newest bars; None at all of them.
    """
    starts = bars.starts if newest is None else bars.starts[-newest:]
    if len(starts) < 2:
        return 0
    same_day = np.diff(local_days(starts, hours.zone)) == 0
    steps = np.diff(starts)[same_day] // BAR_SECONDS
    return int((steps - 1).sum())


_KEPT: Final = (BarState.STORED, BarState.LATE, BarState.CORRECTED)


def _state_of(
    bar: Bar, closes: dict[int, float], newest: int, oldest: int, *, in_hours: bool
) -> BarState:
    if not in_hours:
        return BarState.OUTSIDE_SESSION
    if bar.start in closes:
        return BarState.DUPLICATE if closes[bar.start] == bar.close else BarState.CORRECTED
    if bar.start < oldest:
        return BarState.TOO_OLD
    return BarState.LATE if bar.start < newest else BarState.STORED


def _confirmed_conflict(bar: Bar, stored: float, *, confirm: bool) -> str:
    told = f"the bar at {utc_text(bar.start)} is there with the close {stored}, not {bar.close}"
    if not confirm:
        raise Conflict(
            f"{told}; nothing was stored. Send `confirm: true` if this corrects it",
            code="bar_conflict",
        )
    return told


def _require_sound(bar: Bar, now: int) -> None:
    told = f"the bar at {utc_text(bar.start)}"
    if bar.start % BAR_SECONDS:
        raise InvalidRequest(f"{told} does not start on a full five minutes; bars are of 300 s")
    complete_at = bar.start + BAR_SECONDS
    if complete_at > now + _AHEAD_SECONDS:
        raise InvalidRequest(
            f"{told} is complete at {utc_text(complete_at)}, and now it is {utc_text(now)}; send "
            "a bar once its close is final",
            code="bar_not_complete",
        )
    prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
    for name, price in prices.items():
        if price is not None and not LEAST_PRICE <= price <= GREATEST_PRICE:
            raise InvalidRequest(f"{told}: {name} is {price}; it must be a positive, finite price")
    given = [price for price in prices.values() if price is not None]
    if (bar.high is not None and bar.high < max(given)) or (
        bar.low is not None and bar.low > min(given)
    ):
        raise InvalidRequest(
            f"{told}: open {bar.open}, high {bar.high}, low {bar.low} and close {bar.close} do not "
            "fit together; low is the least and high the greatest of them"
        )


def _require_one_close_each(sent: Sequence[Bar]) -> None:
    closes: dict[int, float] = {}
    for bar in sent:
        if closes.setdefault(bar.start, bar.close) != bar.close:
            raise InvalidRequest(
                f"the bar at {utc_text(bar.start)} is there twice, with the closes "
                f"{closes[bar.start]} and {bar.close}; keep the right one"
            )


def _jumps(bars: BarSeries, changed: set[int], rules: BarRules) -> list[str]:
    """Jumps that touch a changed bar: refused, or in words when they are confirmed."""
    steps = np.abs(np.diff(np.log(bars.closes)))
    found = []
    for index in np.flatnonzero(steps > rules.greatest_jump).tolist():
        before, after = int(bars.starts[index]), int(bars.starts[index + 1])
        if not changed & {before, after}:
            continue
        told = (
            f"from {bars.closes[index]} at {utc_text(before)} to {bars.closes[index + 1]} at "
            f"{utc_text(after)} the price jumps by {math.expm1(steps[index]):.1%}"
        )
        if not rules.confirm:
            raise InvalidRequest(
                f"{told}; without being confirmed it may jump by "
                f"{math.expm1(rules.greatest_jump):.1%}. Nothing was stored. {rules.remedy} if it "
                "is meant",
                code="price_jump",
            )
        found.append(told)
    return found
