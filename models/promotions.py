"""Which version of a model is live: a matter of record, not of the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from errors import Conflict, StoreUnavailable

__all__ = ["NoPromotions", "Promotion", "Promotions", "version_before"]


@dataclass(frozen=True, slots=True)
class Promotion:
    """One act on record: from now on this version is live.

    Args:
        name: of the model.
        version: that became live.
        reason: in the words of who did it.
        actor: who did it.
        at: when, with a zone.
    """

    name: str
    version: str
    reason: str
    actor: str
    at: datetime


class Promotions(Protocol):
    """The promotions on record; the ledger implements it."""

    @property
    def absence(self) -> str | None:
        """Why nothing is on record here, and what would help; None when there is a record."""
        ...

    def current(self) -> Mapping[str, str]:
        """Model name to its live version, for every model that was ever promoted."""
        ...

    def history(self, name: str) -> Sequence[Promotion]:
        """Every promotion of a model, oldest first."""
        ...

    def served(self, name: str) -> Sequence[str]:
        """Versions that services started with, on record, oldest first."""
        ...

    def promote(self, name: str, version: str, reason: str, actor: str) -> None:
        """Put on record that a version is live."""
        ...

    def versions_on_record(self) -> AbstractSet[tuple[str, str]]:
        """(name, version) of every model that some event names."""
        ...


class NoPromotions:
    """Nothing is on record, and nothing can be put there.

    Args:
        reason: why not, and what would help.
    """

    def __init__(self, reason: str) -> None:
        self.absence = reason

    def current(self) -> Mapping[str, str]:
        """None."""
        return {}

    def history(self, name: str) -> Sequence[Promotion]:
        """None."""
        del name
        return ()

    def served(self, name: str) -> Sequence[str]:
        """None."""
        del name
        return ()

    def versions_on_record(self) -> AbstractSet[tuple[str, str]]:
        """None."""
        return frozenset()

    def promote(self, name: str, version: str, reason: str, actor: str) -> None:
        """Raises StoreUnavailable with the reason."""
        del name, version, reason, actor
        raise StoreUnavailable(self.absence)


def version_before(history: Sequence[Promotion], served: Sequence[str] = ()) -> str:
    """The version that was live before the present one: what a roll-back goes back to.

    Args:
        history: promotions of one model, oldest first; the last is live.
        served: versions of it that services started with, oldest first; they count where no
            earlier promotion tells, as for the model that was served before the first one.

    Raises:
        Conflict: nothing was live before.
    """
    promoted = [promotion.version for promotion in history]
    past = (*reversed(promoted), *reversed(served))
    if not past:
        raise Conflict("this model was never served; there is nothing to roll back to")
    present = past[0]
    for version in past:
        if version != present:
            return version
    raise Conflict(f"only {present} was ever live; there is nothing to roll back to")
