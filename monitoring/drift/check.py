"""One decision on whether the market or the feed has left what the models know.

An alarm is any finding of a rule that decides by itself (a broken feature, a macro value that
cannot be true, a frozen feed, volatility), or a share of drifted features above the threshold.
Suspects are ranked: what is certainly wrong first, then by how far it is beyond its limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from config.settings import TradingHours
from monitoring.drift.broken_rule import broken_findings
from monitoring.drift.clock_rule import CLOCK_NAMES, clock_findings
from monitoring.drift.distribution_rule import LEAST_WINDOWS, distribution_findings
from monitoring.drift.finding import Finding, Kind
from monitoring.drift.frozen_rule import frozen_findings
from monitoring.drift.macro_rule import MACRO_NAMES, macro_findings
from monitoring.drift.path_rule import PATH_NAMES, Path, path_findings
from monitoring.drift.sessions import (
    HOUR_ROWS,
    MOVING_ZEROS,
    Session,
    session_rows,
    slots,
)
from monitoring.drift.volatility_rule import (
    LEAST_SESSIONS,
    SizedSession,
    volatility_findings,
)

__all__ = ["REFERENCE_SESSIONS", "Past", "Verdict", "judge", "sized", "usual"]

REFERENCE_SESSIONS: Final = 30
"""Sessions that features are held against."""

_RETURN: Final = "log_return_5m"
_DAY_ROWS: Final = 60
"""Bars of the day that features of volatility look back on."""

_RANK: Final = (
    Kind.FROZEN,
    Kind.PATH,
    Kind.CLOCK,
    Kind.MACRO,
    Kind.BROKEN,
    Kind.VOLATILITY,
    Kind.DRIFTED,
)

Rows = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Past:
    """What a session is held against.

    Attributes:
        names: of the columns.
        hours: of the session.
        sessions: the last days, in order of time, whatever they were.
        reference: ordinary sessions of a feed that moved, in order of time.
        returns: absolute returns of such sessions, over a longer time, in order of time.
        ignored: columns that are not judged: those of the book.
    """

    names: tuple[str, ...]
    hours: TradingHours
    sessions: Sequence[Session]
    reference: tuple[Session, ...]
    returns: Sequence[SizedSession]
    ignored: frozenset[str] = frozenset()

    @cached_property
    def recent(self) -> tuple[Session, ...]:
        """The ordinary sessions among the last days."""
        return usual(self.sessions, self.names)

    @cached_property
    def typical(self) -> Rows:
        """Standard deviation of each column within a session, shape (m,)."""
        sessions = self.reference or self.sessions
        if not sessions:
            return np.zeros(len(self.names))
        middle: Rows = np.median([one.matrix.std(axis=0) for one in sessions], axis=0)
        return middle

    @cached_property
    def offsets(self) -> tuple[NDArray[np.int64], ...]:
        """Which bar of its session each row of the reference is."""
        return tuple(slots(session.starts, self.hours) for session in self.reference)

    @cached_property
    def rows(self) -> int:
        """Bars of a full session."""
        return session_rows(self.hours)


def usual(sessions: Sequence[Session], names: Sequence[str]) -> tuple[Session, ...]:
    """The newest `REFERENCE_SESSIONS` ordinary sessions of a feed that moved."""
    kept = [session for session in sessions if session.ordinary and session.moves(names)]
    return tuple(kept[-REFERENCE_SESSIONS:])


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a check says.

    Attributes:
        findings: what each rule found; the first to look at comes first.
        features: how many features were judged.
        threshold: share of drifted features above which an alarm is due.
        not_judged: rules that lack the past they need, and what they lack.
    """

    findings: tuple[Finding, ...]
    features: int
    threshold: float
    not_judged: dict[str, str]

    @property
    def suspects(self) -> tuple[Finding, ...]:
        """What to look at, in this order: the weightiest finding of each feature or series."""
        first: dict[str, Finding] = {}
        for finding in self.findings:
            first.setdefault(finding.name, finding)
        return tuple(first.values())

    @property
    def drifted_share(self) -> float:
        """Share of the features that drifted."""
        names = {finding.name for finding in self.findings if finding.kind is Kind.DRIFTED}
        return len(names) / self.features if self.features else 0.0

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is an alarm, in words; empty when it is none."""
        told = []
        if self.drifted_share > self.threshold:
            told.append(
                f"{self.drifted_share:.0%} of the features drifted; the threshold is "
                f"{self.threshold:.0%}"
            )
        told += [f"{found.name}: {found.reason}" for found in self.findings if found.kind.decides]
        return tuple(told)

    @property
    def alarm(self) -> bool:
        """Whether anything decides."""
        return bool(self.reasons)


def judge(today: Session, past: Past, *, threshold: float) -> Verdict:
    """Hold a session so far against the sessions before it.

    Args:
        today: the session so far.
        past: what came before.
        threshold: share of drifted features above which an alarm is due, in (0, 1].
    """
    names = past.names
    path = Path.of(past.sessions, today)
    of_path, checked = path_findings(path, names, past.hours, past.typical)
    known = checked | past.ignored | {*CLOCK_NAMES, *MACRO_NAMES}
    found = [
        *frozen_findings(today, names),
        *of_path,
        *clock_findings(today, names, past.hours),
        *macro_findings(today, past.recent, names),
        *broken_findings(today, past.reference, names, known, _may_stand_still(path, names)),
        *_volatility(today, past),
        *_distribution(today, past),
    ]
    return Verdict(
        findings=tuple(sorted(found, key=lambda one: (_RANK.index(one.kind), -one.score))),
        features=len(names) - len(past.ignored),
        threshold=threshold,
        not_judged=_not_judged(past),
    )


def _may_stand_still(path: Path, names: Sequence[str]) -> frozenset[str]:
    """Features of the closes, while the day that they look back on hardly moved."""
    if _RETURN not in names:
        return frozenset()
    returns = path.matrix[-(HOUR_ROWS + _DAY_ROWS) :, names.index(_RETURN)]
    still = float(np.mean(returns == 0.0)) >= MOVING_ZEROS
    return PATH_NAMES if still else frozenset()


def sized(session: Session, names: Sequence[str], hours: TradingHours) -> SizedSession | None:
    """The absolute returns of a session; None when there are none to learn from."""
    returns = session.returns(names)
    if returns is None or len(returns) < 2:
        return None
    of_day = slots(session.starts[1:], hours)
    return SizedSession(session.day, of_day, np.abs(returns[1:]))


def _volatility(today: Session, past: Past) -> list[Finding]:
    so_far = sized(today, past.names, past.hours)
    return [] if so_far is None else volatility_findings(so_far, past.returns, past.rows)


def _distribution(today: Session, past: Past) -> list[Finding]:
    kept = [column for column, name in enumerate(past.names) if name not in past.ignored]
    now = int(slots(today.starts[-1:], past.hours)[0])
    windows = [
        session.matrix[offsets <= now][:, kept]
        for session, offsets in zip(past.reference, past.offsets, strict=True)
    ]
    names = [past.names[column] for column in kept]
    return distribution_findings(today.matrix[:, kept], windows, names)


def _not_judged(past: Past) -> dict[str, str]:
    lacking = {}
    if len(past.reference) < LEAST_WINDOWS:
        lacking["distribution"] = f"{len(past.reference)} of {LEAST_WINDOWS} sessions"
    if len(past.returns) < LEAST_SESSIONS:
        lacking["volatility"] = f"{len(past.returns)} of {LEAST_SESSIONS} sessions"
    return lacking
