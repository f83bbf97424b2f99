"""Hand-written stand-ins that several tests share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from config.settings import EnsembleStrategy
from desk import Desk
from errors import InferenceFault, StoreUnavailable
from features.reference import Reference
from monitoring.observer import Observation
from risk.events import Draft, Event, EventKind
from risk.ledger.memory import MemoryLedger
from risk.ledger.protocol import Head, Ledger
from runners.ensemble import Ensemble
from tests.book import Book

BUY = (0.1, 0.05, 0.85)
SELL = (0.7, 0.2, 0.1)
HOLD = (0.1, 0.8, 0.1)


@dataclass
class FixedVoter:
    """A model that always says the same, or fails; it remembers how many rows it was asked."""

    name: str = "fixed"
    says: tuple[float, float, float] = BUY
    weight: float = 1.0
    fault: str | None = None
    version: str = "1"
    reference: Reference | None = None
    asked: list[int] = field(default_factory=list)

    @property
    def tag(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def is_shadow(self) -> bool:
        return self.weight == 0

    def probabilities(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        self.asked.append(len(observations))
        if self.fault is not None:
            raise InferenceFault(self.fault)
        return np.tile(np.array(self.says), (len(observations), 1))

    def probabilities_apart(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.probabilities(observations)


class SignedVoter(FixedVoter):
    """A model that buys on a positive first number, sells on a negative one, holds on zero."""

    def probabilities(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        strength = np.clip(np.abs(observations[:, 0].astype(np.float64)), 0, 0.99)
        rows = np.empty((len(observations), 3))
        rest = (1 - strength) / 2
        rows[:, 1] = 1 - strength - rest
        rows[:, 0] = np.where(observations[:, 0] < 0, strength, rest)
        rows[:, 2] = np.where(observations[:, 0] < 0, rest, strength)
        return rows


@dataclass
class RecordingObserver:
    """Keeps what it is told."""

    seen: list[Observation] = field(default_factory=list)

    def observe(self, observation: Observation) -> None:
        self.seen.append(observation)


class TroubledLedger(MemoryLedger):
    """A ledger that can be made to fail, or to be changed by somebody else at a bad moment."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable = False
        self.unwritable = False
        self.before_append: Callable[[], object] | None = None

    def head(self) -> Head:
        if self.unreadable:
            raise StoreUnavailable("the store cannot be read")
        return super().head()

    def append(
        self, drafts: Sequence[Draft], *, expected: int | None = None, durable: bool = False
    ) -> tuple[Event, ...]:
        if self.unreadable or self.unwritable:
            raise StoreUnavailable("the store cannot be written")
        interfere, self.before_append = self.before_append, None
        if interfere is not None:
            interfere()
        return super().append(drafts, expected=expected, durable=durable)


def desk_of(
    book: Book,
    *voters: FixedVoter,
    observer: RecordingObserver | None = None,
    strategy: EnsembleStrategy = EnsembleStrategy.WEIGHTED_AVERAGE,
) -> Desk:
    """A desk on a test's book; its clock is the book's."""
    return Desk(
        models=Ensemble(voters or (FixedVoter(),), strategy),
        ledger=book.ledger,
        limits=book.limits,
        calendar=book.calendar,
        capital_usd=100_000.0,
        configuration=book.configuration,
        clock=lambda: book.now,
        timer=lambda: 0,
        new_id=book.new_id,
        halt_requested=lambda: book.halt_file,
        observer=observer or RecordingObserver(),
    )


def decisions_of(ledger: Ledger) -> list[Event]:
    return ledger.recent([EventKind.DECISION], limit=1000)
