"""What a look before the session says: one line for each thing that trading rests on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from risk.events import timestamp

__all__ = ["Check", "Preflight", "Readiness", "armed", "not_armed", "warned"]


class Readiness(StrEnum):
    """Whether trading can begin; the later is the worse."""

    ARMED = "armed"
    WARNING = "warning"
    NOT_ARMED = "not armed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: of the thing, few words.
        state: whether it is as it should be.
        found: what it is, in a line.
        right: what would be right; empty where it is.
    """

    name: str
    state: Readiness
    found: str
    right: str = ""

    def to_json(self) -> dict[str, str]:
        """JSON values."""
        return {
            "name": self.name,
            "state": self.state.value,
            "found": self.found,
            "right": self.right,
        }


def armed(name: str, found: str) -> Check:
    """It is as it should be."""
    return Check(name, Readiness.ARMED, found)


def warned(name: str, found: str, right: str) -> Check:
    """It lets trading begin, and somebody should know."""
    return Check(name, Readiness.WARNING, found, right)


def not_armed(name: str, found: str, right: str) -> Check:
    """It keeps trading from beginning, or makes it blind."""
    return Check(name, Readiness.NOT_ARMED, found, right)


@dataclass(frozen=True, slots=True)
class Preflight:
    """A whole look.

    Attributes:
        book: whose it is.
        at: when, aware.
        by: who looked.
        session: date of the session that it is about; None when none is known of.
        checks: in order.
    """

    book: str
    at: datetime
    by: str
    session: date | None
    checks: tuple[Check, ...]

    @property
    def state(self) -> Readiness:
        """The worst of all checks.

        >>> from datetime import UTC
        >>> at = datetime(2026, 3, 2, tzinfo=UTC)
        >>> checks = (armed("disk", "9 GiB are free"), warned("macro", "vix is old", "send it"))
        >>> Preflight("default", at, "desk", at.date(), checks).state
        <Readiness.WARNING: 'warning'>
        """
        order = list(Readiness)
        states = [check.state for check in self.checks]
        return max(states, key=order.index, default=Readiness.NOT_ARMED)

    @property
    def may_begin(self) -> bool:
        """Whether nothing keeps trading from beginning."""
        return self.state is not Readiness.NOT_ARMED

    def named(self, state: Readiness) -> list[str]:
        """Names of the checks in this state."""
        return [check.name for check in self.checks if check.state is state]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "state": self.state.value,
            "book": self.book,
            "session": None if self.session is None else self.session.isoformat(),
            "at": timestamp(self.at),
            "by": self.by,
            "checks": [check.to_json() for check in self.checks],
        }
