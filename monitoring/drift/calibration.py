"""How often a check is wrong on a market, and what it finds: the table of `usdcop drift calibrate`.

Every ordinary session of a period is judged after each of its hours against the sessions before
it, as it is and with faults drawn uniformly over features, pairs of features and macro series.
A fault counts as found when one of the session's checks is an alarm; one of a single column only
with that column among the first five suspects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from features.bars import BAR_SECONDS
from features.macro import MACRO_COLUMNS
from monitoring.drift.check import Past, Verdict, judge, sized, usual
from monitoring.drift.faults import (
    Market,
    scaled_column,
    scaled_series,
    scaled_volatility,
    shifted,
    swapped,
)
from monitoring.drift.finding import Kind
from monitoring.drift.macro_rule import MACRO_NAMES
from monitoring.drift.sessions import HOUR_ROWS, Session
from monitoring.drift.share import Share
from monitoring.drift.volatility_rule import LEAST_SESSIONS, SizedSession

__all__ = ["Calibration", "calibrate", "found_after"]

_SUSPECTS: Final = 5
_PATH_SESSIONS: Final = 45
"""Sessions behind a check: the reference, with those in between that were left out."""


@dataclass
class Calibration:
    """What was counted.

    Attributes:
        sessions: judged.
        checks: share of alarms of all checks with nothing put in.
        moving: the same without checks after an hour of constant closes.
        by_kind: checks of those in which each kind decided.
        alarms: (day, hour, reasons) of each alarm with nothing put in.
        still: (day, hour) of checks after an hour of constant closes.
        found: fault → share found.
        by_feature: fault and feature → share found.
    """

    sessions: int = 0
    checks: Share = field(default_factory=Share)
    moving: Share = field(default_factory=Share)
    by_kind: dict[str, int] = field(default_factory=dict)
    alarms: list[tuple[int, int, tuple[str, ...]]] = field(default_factory=list)
    still: list[tuple[int, int]] = field(default_factory=list)
    found: dict[str, Share] = field(default_factory=dict)
    by_feature: dict[tuple[str, str], Share] = field(default_factory=dict)

    def count(self, fault: str, *, found: bool, feature: str | None = None) -> None:
        """Count one fault."""
        one = Share(int(found), 1)
        self.found[fault] = self.found.get(fault, Share()) + one
        if feature is not None:
            key = (fault, feature)
            self.by_feature[key] = self.by_feature.get(key, Share()) + one


def calibrate(
    sessions: Sequence[Session],
    market: Market,
    judged: Callable[[int], bool],
    *,
    threshold: float,
    draws: int,
    seed: int,
    progress: Callable[[int], object] | None = None,
) -> Calibration:
    """Judge the ordinary sessions of a period that have enough behind them.

    Args:
        sessions: of the market, in order of time.
        market: what they are made of.
        judged: whether a date (days since 1970-01-01) is in the period.
        threshold: of drifted features.
        draws: faults of each kind that are drawn for a session.
        seed: of the draws.
        progress: called with 1 after each session.
    """
    counted, chance = Calibration(), np.random.default_rng(seed)
    for today, past in _with_past(sessions, market):
        if not judged(today.day):
            continue
        checks = _Checks(today, past, threshold)
        _as_it_is(counted, checks)
        _faulty(counted, checks, market, draws, chance)
        if progress is not None:
            progress(1)
    return counted


def found_after(
    sessions: Sequence[Session], market: Market, day: int, *, threshold: float
) -> tuple[int | None, tuple[str, ...]]:
    """Which of its checks finds a day as it was, and why; None when none does.

    Args:
        sessions: of the market, in order of time.
        market: what they are made of.
        day: days since 1970-01-01.
        threshold: of drifted features.
    """
    for today, past in _with_past(sessions, market):
        if today.day == day:
            checks = _Checks(today, past, threshold)
            for number, verdict in enumerate(checks.hours(today), start=1):
                if verdict.alarm:
                    return number, verdict.reasons
    return None, ()


def _with_past(sessions: Sequence[Session], market: Market) -> Iterator[tuple[Session, Past]]:
    returns: list[SizedSession] = []
    for position, today in enumerate(sessions):
        if today.ordinary and len(returns) >= LEAST_SESSIONS:
            before = sessions[max(position - _PATH_SESSIONS, 0) : position]
            reference = usual(before, market.names)
            yield today, Past(market.names, market.hours, before, reference, tuple(returns))
        if today.ordinary and today.moves(market.names):
            of_today = sized(today, market.names, market.hours)
            returns += [] if of_today is None else [of_today]


@dataclass(frozen=True, eq=False)
class _Checks:
    """The hourly checks of one session."""

    today: Session
    past: Past
    threshold: float

    def hours(self, session: Session) -> Iterator[Verdict]:
        """One after each hour, and one at the end."""
        opened = int(session.starts[0]) // 3600 * 3600
        for hour in range(1, 25):
            known_at = opened + 3600 * hour
            yield judge(session.until(known_at), self.past, threshold=self.threshold)
            if known_at > session.starts[-1] + BAR_SECONDS - 1:
                return

    def find(self, session: Session, column: str | None = None) -> bool:
        """Whether one of them is an alarm, with this column among its suspects."""
        return any(
            verdict.alarm and (column is None or column in _first_suspects(verdict))
            for verdict in self.hours(session)
        )


def _first_suspects(verdict: Verdict) -> list[str]:
    return [finding.name for finding in verdict.suspects[:_SUSPECTS]]


def _as_it_is(counted: Calibration, checks: _Checks) -> None:
    counted.sessions += 1
    for hour, verdict in enumerate(checks.hours(checks.today), start=1):
        alarm = Share(int(verdict.alarm), 1)
        counted.checks += alarm
        if any(finding.kind is Kind.FROZEN for finding in verdict.findings):
            counted.still.append((checks.today.day, hour))
            continue
        counted.moving += alarm
        if verdict.alarm:
            counted.alarms.append((checks.today.day, hour, verdict.reasons))
            kinds = {finding.kind.value for finding in verdict.findings if finding.kind.decides}
            if verdict.drifted_share > verdict.threshold:
                kinds.add(Kind.DRIFTED.value)
            for kind in kinds:
                counted.by_kind[kind] = counted.by_kind.get(kind, 0) + 1


def _faulty(counted: Calibration, checks: _Checks, market: Market, draws: int, chance: Any) -> None:
    today, names = checks.today, market.names
    counted.count("all features +1 sd", found=checks.find(shifted(today, checks.past)))
    counted.count("frozen feed", found=checks.find(scaled_volatility(today, market, 0.0)))
    still = not today.moves(names) or _has_still_hour(today, names)
    for factor in (3, 4, 5):
        found = checks.find(scaled_volatility(today, market, factor))
        apart = ", an hour of constant closes" if still else ""
        counted.count(f"volatility x{factor}{apart}", found=found)
    for _ in range(draws):
        for words, scale in (("one feature x100", 100.0), ("one feature zeroed", 0.0)):
            column = int(chance.integers(len(names)))
            found = checks.find(scaled_column(today, column, scale), names[column])
            counted.count(words, found=found, feature=names[column])
        first, second = chance.choice(len(names), 2, replace=False).tolist()
        pair = f"{names[first]}, {names[second]}"
        found = checks.find(swapped(today, first, second))
        counted.count("two features swapped", found=found, feature=pair)
        if market.macro is not None and set(MACRO_NAMES) <= set(names):
            for words, scale in (("a macro series x100", 100.0), ("a macro series /100", 0.01)):
                series = MACRO_COLUMNS[int(chance.integers(len(MACRO_COLUMNS)))]
                found = checks.find(scaled_series(today, market, series, scale))
                counted.count(words, found=found, feature=series)


def _has_still_hour(session: Session, names: Sequence[str]) -> bool:
    returns = session.returns(names)
    if returns is None:
        return False
    return any(
        not returns[max(end - HOUR_ROWS + 1, 1) : end].any()
        for end in range(HOUR_ROWS, len(returns) + 1, HOUR_ROWS)
    )
