"""A simulated market, by session, and what a session of it is held against."""

from __future__ import annotations

from functools import cache

from config.settings import TradingHours
from examples.trading_data import simulated_series
from features.schema import USDCOP_M5
from monitoring.drift.check import Past, Verdict, judge, sized, usual
from monitoring.drift.faults import Market
from monitoring.drift.finding import Finding, Kind
from monitoring.drift.market_sessions import market_sessions
from monitoring.drift.sessions import Session

HOURS = TradingHours()
NAMES = USDCOP_M5.names
THRESHOLD = 0.15


@cache
def market() -> Market:
    """Bars and macro values of some months."""
    bars, macro, _ = _series()
    return Market(bars, macro, HOURS, NAMES)


@cache
def sessions() -> list[Session]:
    """Its sessions, in order of time."""
    _, macro, series = _series()
    return market_sessions(series, macro, HOURS, lambda _: True)


@cache
def _series():  # type: ignore[no-untyped-def]  # three types of the features
    return simulated_series(140, seed=11)


def past_of(today: Session, among: list[Session] | None = None) -> Past:
    """What a session is held against: all that came before it."""
    before = [one for one in among or sessions() if one.day < today.day]
    returns = [
        of_day
        for one in before
        if one.ordinary and one.moves(NAMES) and (of_day := sized(one, NAMES, HOURS)) is not None
    ]
    return Past(NAMES, HOURS, before[-45:], usual(before, NAMES), tuple(returns))


def judged(today: Session, past: Past | None = None) -> Verdict:
    """The verdict of a session."""
    return judge(today, past or past_of(today), threshold=THRESHOLD)


def found(verdict: Verdict, *kinds: Kind) -> list[Finding]:
    """What rules of these kinds found."""
    return [finding for finding in verdict.findings if finding.kind in kinds]


def ordinary(count: int = 12) -> list[Session]:
    """The newest ordinary sessions of a feed that moved."""
    return [one for one in sessions() if one.ordinary and one.moves(NAMES)][-count:]
