"""What an alert can be about, and how urgent it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["HOST_CAUSES", "Cause", "Condition", "Look", "Severity", "severity_of"]


class Cause(StrEnum):
    """What is wrong."""

    DRIFT = "drift"
    COLLAPSE = "collapse"
    BREAKER = "breaker"
    HALT = "halt"
    LIMIT = "limit"
    LEDGER = "ledger"
    CACHE = "cache"
    MARKET = "market"
    VETO_RATE = "veto_rate"
    SILENCE = "silence"
    FEED = "feed"
    MARK = "mark"
    ORDER = "order"
    PREFLIGHT = "preflight"
    CLOSE = "close"
    DELIVERY = "delivery"


class Severity(StrEnum):
    """Whether somebody is to get up for it (`page`) or to read it (`report`)."""

    PAGE = "page"
    REPORT = "report"


HOST_CAUSES: Final = frozenset({Cause.LEDGER, Cause.CACHE, Cause.MARKET})
"""What is wrong with the store itself, as one host sees it: never kept in that store."""

_PAGES: Final = frozenset(
    {
        Cause.BREAKER,
        Cause.HALT,
        Cause.LEDGER,
        Cause.FEED,
        Cause.MARK,
        Cause.ORDER,
        Cause.PREFLIGHT,
    }
)


def severity_of(cause: Cause) -> Severity:
    """How urgent a cause is; statistics never get anybody out of bed.

    A session without decisions is a report. Who asks for them may have stopped on purpose; where
    it is a fault, a feed that is silent, a mark that is old, or a heartbeat that stops is a page
    of its own.

    >>> severity_of(Cause.BREAKER), severity_of(Cause.DRIFT)
    (<Severity.PAGE: 'page'>, <Severity.REPORT: 'report'>)
    """
    return Severity.PAGE if cause in _PAGES else Severity.REPORT


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that stands now.

    Attributes:
        cause: what is wrong.
        key: which of several of that cause, e.g. the name of a limit; few words.
        message: in words, for a person.
        opens: False keeps an open episode open and opens none: the message of something worse
            tells it already.
        escalates: it is told again and again until somebody acknowledges it.
    """

    cause: Cause
    key: str
    message: str
    opens: bool = True
    escalates: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one time.

    Attributes:
        conditions: what stands.
        judged: causes that could be judged; what was not seen of any other may still stand.
    """

    conditions: tuple[Condition, ...] = ()
    judged: frozenset[Cause] = frozenset()

    def of(self, causes: frozenset[Cause]) -> Look:
        """The part of it that is about some causes."""
        conditions = tuple(found for found in self.conditions if found.cause in causes)
        return Look(conditions, self.judged & causes)
