"""What is asked: single decisions on either path, mixed, and batches; vectors sorted for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.connection import Connection
from benchmarks.observations import known_vectors
from benchmarks.serving.servers import Running

__all__ = ["BATCHES", "SINGLES", "Case", "Work", "disagreements", "works"]

SINGLES: Final = ("refused", "approved", "mixed")
BATCHES: Final = {"batch of 64": 64, "batch of 4,096": 4096}

_SINGLE, _BATCH = "/v1/inference", "/v1/inference/batch"
_PER_KIND = 300
_OF_FIVE = "arrar"
"""Which of five mixed requests are approved: 40%."""

_TOLERANCE = 1e-6
"""Between probabilities here and there: the rivals decode plainly, to the same numbers."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured.

    Attributes:
        kind: one of `SINGLES` or `BATCHES`.
        clients: at once.
        beside: what else goes on; empty when nothing does.
    """

    kind: str
    clients: int = 1
    beside: str = ""

    @property
    def rows(self) -> int:
        """Observations in a request."""
        return BATCHES.get(self.kind, 1)

    @property
    def name(self) -> str:
        """In a table."""
        clients = f"{self.clients} client{'s' if self.clients > 1 else ''}"
        return ", ".join(filter(None, (self.kind, clients, self.beside)))


@dataclass(frozen=True, slots=True)
class Work:
    """Requests of one kind.

    Attributes:
        bodies: path and JSON.
        mark: what is counted in the answers of the service.
        least: share of answers that have it, at least.
        most: and at most.
    """

    bodies: Sequence[tuple[str, str]]
    mark: str
    least: float
    most: float

    def complaint(self, marked: int, answered: int) -> str | None:
        """What is wrong with this many marked ones; None when nothing is."""
        share = marked / answered if answered else 0.0
        if answered and self.least <= share <= self.most:
            return None
        return (
            f"{marked:,} of {answered:,} answers hold {self.mark}: {share:.1%}, "
            f"not {self.least:.0%} to {self.most:.0%}"
        )


def works(service: Running) -> Mapping[str, Work]:
    """Requests by kind, the vectors sorted by what the service itself would do with them.

    Raises:
        RuntimeError: it does not answer, or there are too few of a sort.
    """
    rows = known_vectors()
    would = np.array([row["would_approve"] for row in _asked(service, rows)], dtype=bool)
    approved, refused = _bodies(rows[would]), _bodies(rows[~would])
    sorts = {"a": cycle(approved), "r": cycle(refused)}
    mixed = [next(sorts[sort]) for sort in islice(cycle(_OF_FIVE), 2 * _PER_KIND)]
    approving = '"approved":true'
    batches = {
        name: Work(_batches(rows, size), '"errors":0', 1.0, 1.0) for name, size in BATCHES.items()
    }
    return {
        "refused": Work(refused, approving, 0.0, 0.0),
        "approved": Work(approved, approving, 1.0, 1.0),
        "mixed": Work(mixed, approving, 0.3, 0.5),
        **batches,
    }


def disagreements(servers: Sequence[Running]) -> list[str]:
    """Servers that find other probabilities than the first one: they would be no rivals."""
    rows = known_vectors()[:64]
    first, *others = [(server.name, _probabilities(_asked(server, rows))) for server in servers]
    return [
        f"{name} finds other probabilities than {first[0]}, up to {difference:.2g} apart"
        for name, found in others
        if (difference := float(np.abs(found - first[1]).max())) > _TOLERANCE
    ]


def _probabilities(answers: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    return np.array([list(answer["action_probs"].values()) for answer in answers])


def _asked(server: Running, rows: NDArray[np.float32]) -> list[dict[str, Any]]:
    connection = Connection(server.port)
    status, content = connection.post(_BATCH, {"observations": rows.tolist()})
    connection.close()
    if status != 200 or len(content["results"]) != len(rows):
        raise RuntimeError(f"{server.name} answered a batch with {status}: {content}")
    found: list[dict[str, Any]] = content["results"]
    return found


def _bodies(rows: NDArray[np.float32]) -> list[tuple[str, str]]:
    """From all over the history."""
    if len(rows) < _PER_KIND:
        raise RuntimeError(f"only {len(rows)} vectors of a sort, {_PER_KIND} are needed")
    chosen = rows[np.linspace(0, len(rows) - 1, _PER_KIND).astype(int)]
    return [(_SINGLE, json.dumps({"observation": row})) for row in chosen.tolist()]


def _batches(rows: NDArray[np.float32], size: int) -> list[tuple[str, str]]:
    """A few different ones; the vectors begin again when they are used up."""
    endless = cycle(rows.tolist())
    count = max(1, min(8, len(rows) // size))
    return [
        (_BATCH, json.dumps({"observations": list(islice(endless, size))})) for _ in range(count)
    ]
