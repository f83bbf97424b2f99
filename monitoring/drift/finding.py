"""What a rule finds: which column, how far beyond its limit, and why, in words."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

__all__ = ["Finding", "Kind"]


class Kind(StrEnum):
    """What is wrong with a column, or with the market."""

    CLOCK = "clock"
    """A clock feature is not what the time says."""
    PATH = "path"
    """A feature of the closes is not what the returns on record make it."""
    MACRO = "macro"
    """A macro feature or value cannot be true."""
    BROKEN = "broken"
    """A column is constant, or far outside of anything it ever was."""
    FROZEN = "frozen"
    """The feed stands still."""
    VOLATILITY = "volatility"
    """Returns are larger than the past lets expect."""
    DRIFTED = "drifted"
    """The distribution is farther from the reference than past sessions strayed."""

    @property
    def decides(self) -> bool:
        """Whether one such finding is an alarm by itself."""
        return self is not Kind.DRIFTED


class Finding(NamedTuple):
    """One column, or one series, to look at.

    Attributes:
        kind: which rule found it.
        name: the feature or macro series.
        score: how far it is, in units of its limit: above 1.
        reason: in words.
    """

    kind: Kind
    name: str
    score: float
    reason: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**self._asdict(), "kind": self.kind.value}
