"""What the document of a lease holds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Final

__all__ = ["LeaseBody"]

_MOST_REMEMBERED: Final = 500


@dataclass(frozen=True, slots=True)
class LeaseBody:
    """Who runs what, and what was run.

    Attributes:
        tick: the newest piece of work that was begun; empty before the first.
        holder: who runs it; empty when nobody does.
        resume: whether somebody else runs it when its holder dies.
        beat: counts the writes, so that no two are alike.
        failures: how often it failed.
        done: what is done or was given up, the newest five hundred.
    """

    tick: str = ""
    holder: str = ""
    resume: bool = False
    beat: int = 0
    failures: int = 0
    done: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether there is a piece of work that is not done."""
        return self.tick != "" and self.tick not in self.done

    def closed(self) -> LeaseBody:
        """The same with that piece of work done."""
        done = (*self.done, self.tick)[-_MOST_REMEMBERED:]
        return replace(self, holder="", beat=self.beat + 1, done=done)

    def encoded(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decoded(cls, text: bytes) -> LeaseBody:
        """What `encoded` wrote.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        told = json.loads(text)
        return cls(
            tick=str(told["tick"]),
            holder=str(told["holder"]),
            resume=bool(told["resume"]),
            beat=int(told["beat"]),
            failures=int(told["failures"]),
            done=tuple(str(tick) for tick in told["done"]),
        )
