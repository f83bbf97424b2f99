"""Several models, one decision: a weighted average of probabilities, or a vote by weight."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from config.settings import EnsembleStrategy
from errors import ConfigurationError, InferenceFault, InvalidRequest
from features.evidence import Evidence
from features.reference import Reference
from features.vetoes import Veto, vetoes
from runners.signal import ACTIONS, Signal

__all__ = ["ENSEMBLE_NAME", "Ensemble", "ModelOutput", "Prediction", "Voter", "decide"]

ENSEMBLE_NAME = "ensemble"
"""`Prediction.model_name` when all models decided together."""

_HOLD = ACTIONS.index(Signal.HOLD)

_TIE_TOLERANCE = 1e-9
"""A lead smaller than this is rounding: weights 1 + 2 against 3 must tie."""


class Voter(Protocol):
    """What the ensemble needs of a model; `runners.runner.Runner` is one."""

    @property
    def name(self) -> str:
        """Name in requests and on record."""
        ...

    @property
    def tag(self) -> str:
        """`name:version`."""
        ...

    @property
    def version(self) -> str:
        """Version in the model store."""
        ...

    @property
    def weight(self) -> float:
        """Share before normalisation; 0 is a shadow."""
        ...

    @property
    def is_shadow(self) -> bool:
        """Whether it runs and is recorded, but has no vote."""
        ...

    @property
    def reference(self) -> Reference | None:
        """What the model knows; None when nobody has said."""
        ...

    def probabilities(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, observation_dim) to (n, 3) in the order of ACTIONS, or InferenceFault."""
        ...

    def probabilities_apart(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        """The same, each row to the bit as if it were alone."""
        ...


class ModelOutput(NamedTuple):
    """What one model said.

    Args:
        name: of the model.
        tag: `name:version`.
        version: in the model store.
        weight: as configured; 0 is a shadow.
        probabilities: (n, 3) in the order of ACTIONS; None when the model failed.
        fault: why it failed; only a shadow may have one.
    """

    name: str
    tag: str
    version: str
    weight: float
    probabilities: NDArray[np.float64] | None
    fault: str | None = None


class Prediction(NamedTuple):
    """What the models say about n observations.

    Args:
        model_name: `ensemble`, or the one model that was asked.
        probabilities: (n, 3) in the order of ACTIONS, rows summing to 1.
        signals: n signals.
        confidence: (n,) the probability of each signal, in [0, 1].
        outputs: of every model that ran, in configured order.
    """

    model_name: str
    probabilities: NDArray[np.float64]
    signals: tuple[Signal, ...]
    confidence: NDArray[np.float64]
    outputs: tuple[ModelOutput, ...]


class Ensemble:
    """The enabled models and the rule that makes one decision of them.

    Args:
        runners: the models, in configured order; at least one with a weight above 0.
        strategy: how they are combined.

    Raises:
        ConfigurationError: no model has a vote, two share a name, or the weights have no
            finite sum.
    """

    def __init__(self, runners: Sequence[Voter], strategy: EnsembleStrategy) -> None:
        self.runners = tuple(runners)
        self.names = tuple(runner.name for runner in self.runners)
        self.strategy = strategy
        if len(set(self.names)) != len(self.names):
            raise ConfigurationError(f"two models share a name: {', '.join(self.names)}")
        weight = sum(runner.weight for runner in self.runners)
        if not weight > 0:
            raise ConfigurationError(
                f"no model has a weight above 0 ({', '.join(self.names) or 'there are none'}); "
                "a shadow cannot decide"
            )
        if not math.isfinite(weight):
            raise ConfigurationError(
                f"the weights of {', '.join(self.names)} have no finite sum; they are shares, "
                "such as 0.6 and 0.4"
            )
        self._shares = tuple(runner.weight / weight for runner in self.runners)
        voting = [runner for runner in self.runners if not runner.is_shadow]
        self._references = {None: _references_of(voting)} | {
            runner.name: _references_of([runner]) for runner in self.runners
        }

    @property
    def first_name(self) -> str:
        """The first configured model: the one that answers `use_ensemble: false`."""
        return self.names[0]

    def runner(self, name: str) -> Voter:
        """The model of this name.

        Raises:
            InvalidRequest: no model has it.
        """
        if name not in self.names:
            raise InvalidRequest(
                f"model {name!r} is not loaded; there are {', '.join(self.names)}",
                code="unknown_model",
                detail={"models": list(self.names)},
            )
        return self.runners[self.names.index(name)]

    def references(self, name: str | None) -> tuple[Reference, ...]:
        """What those know that decide, each once: the named model, or all that have a vote."""
        return self._references.get(name, ())

    def vetoes(
        self, vector: NDArray[np.float32], evidence: Evidence | None, name: str | None
    ) -> tuple[Veto, ...]:
        """What those that decide say against a vector: the named model, or all with a vote.

        Args:
            vector: (m,), without what the book says.
            evidence: what it was made of; None for a vector that a caller sent.
            name: of the model that decides alone; None for the ensemble.
        """
        return vetoes(vector, evidence, self.references(name))

    def predict(self, observations: NDArray[np.float32]) -> Prediction:
        """Ask every model and combine those that have a vote.

        Args:
            observations: (n, observation_dim) float32, n at least 1.

        Raises:
            InvalidRequest: the array is not (n, observation_dim) or holds no finite numbers.
            InferenceFault: a model that has a vote failed; the message names it.
        """
        observations = _checked(observations)
        outputs = tuple(_ask(runner, observations) for runner in self.runners)
        return self._decided(outputs, len(observations))

    def predict_apart(self, observations: NDArray[np.float32]) -> Prediction:
        """What `predict` says of each row alone, to the bit, for many rows at once.

        Args:
            observations: (n, observation_dim) float32, n at least 1.

        Raises:
            InvalidRequest, InferenceFault: as `predict`; also where a shadow failed.
        """
        observations = _checked(observations)
        outputs = tuple(
            ModelOutput(
                runner.name,
                runner.tag,
                runner.version,
                runner.weight,
                runner.probabilities_apart(observations),
            )
            for runner in self.runners
        )
        return self._decided(outputs, len(observations))

    def _decided(self, outputs: tuple[ModelOutput, ...], rows: int) -> Prediction:
        ballots = [
            (share, output.probabilities)
            for share, output in zip(self._shares, outputs, strict=True)
            if share > 0.0 and output.probabilities is not None
        ]
        combined = self._combine(ballots, rows)
        signals, confidence = decide(combined)
        return Prediction(ENSEMBLE_NAME, combined, signals, confidence, outputs)

    def predict_one(self, observations: NDArray[np.float32], name: str) -> Prediction:
        """Ask one model alone.

        Args:
            observations: (n, observation_dim) float32, n at least 1.
            name: of the model. A shadow may be asked: the weight in `outputs` says that it is.

        Raises:
            InvalidRequest: no model has this name, or the array is unusable.
            InferenceFault: the model failed.
        """
        runner = self.runner(name)
        observations = _checked(observations)
        probabilities = runner.probabilities(observations)
        signals, confidence = decide(probabilities)
        output = ModelOutput(runner.name, runner.tag, runner.version, runner.weight, probabilities)
        return Prediction(name, probabilities, signals, confidence, (output,))

    def _combine(
        self, ballots: Sequence[tuple[float, NDArray[np.float64]]], rows: int
    ) -> NDArray[np.float64]:
        votes = self.strategy is EnsembleStrategy.MAJORITY_VOTE
        if rows == 1:  # floats are ten times faster than NumPy on one row
            return np.array([_combine_row(ballots, votes=votes)])
        combined = np.zeros((rows, 3))
        for share, probabilities in ballots:
            combined += share * (np.eye(3)[_winners(probabilities)] if votes else probabilities)
        return combined


def _references_of(runners: Sequence[Voter]) -> tuple[Reference, ...]:
    """Their references; models of one training share one."""
    found = [runner.reference for runner in runners if runner.reference is not None]
    distinct = {json.dumps(reference.to_json(), sort_keys=True): reference for reference in found}
    return tuple(distinct.values())


def _combine_row(
    ballots: Sequence[tuple[float, NDArray[np.float64]]], *, votes: bool
) -> list[float]:
    combined = [0.0, 0.0, 0.0]
    for share, probabilities in ballots:
        row: list[float] = probabilities[0].tolist()
        if votes:
            combined[_winner(row)] += share
        else:
            for action in (0, 1, 2):
                combined[action] += share * row[action]
    return combined


def decide(probabilities: NDArray[np.float64]) -> tuple[tuple[Signal, ...], NDArray[np.float64]]:
    """The likeliest action of each row; a tie for it, whoever ties, is HOLD.

    Args:
        probabilities: (n, 3) in the order of ACTIONS.

    Returns:
        n signals, and the probability (n,) of each.

    >>> signals, confidence = decide(np.array([[0.1, 0.2, 0.7], [0.4, 0.2, 0.4]]))
    >>> [signal.value for signal in signals], confidence.tolist()
    (['BUY', 'HOLD'], [0.7, 0.2])
    """
    if len(probabilities) == 1:
        row: list[float] = probabilities[0].tolist()
        winner = _winner(row)
        return (ACTIONS[winner],), np.array([row[winner]])
    winners = _winners(probabilities)
    confidence = probabilities[np.arange(len(winners)), winners]
    return tuple(ACTIONS[winner] for winner in winners.tolist()), confidence


def _winner(row: Sequence[float]) -> int:
    highest = max(row)
    leaders = [action for action in (0, 1, 2) if row[action] >= highest - _TIE_TOLERANCE]
    return leaders[0] if len(leaders) == 1 else _HOLD


def _winners(probabilities: NDArray[np.float64]) -> NDArray[np.intp]:
    winners: NDArray[np.intp] = probabilities.argmax(axis=1)
    highest = probabilities.max(axis=1, keepdims=True)
    tied = (probabilities >= highest - _TIE_TOLERANCE).sum(axis=1) > 1
    winners[tied] = _HOLD
    return winners


def _ask(runner: Voter, observations: NDArray[np.float32]) -> ModelOutput:
    try:
        probabilities = runner.probabilities(observations)
    except (InferenceFault, InvalidRequest) as fault:
        if not runner.is_shadow:
            raise
        return ModelOutput(runner.name, runner.tag, runner.version, runner.weight, None, str(fault))
    return ModelOutput(runner.name, runner.tag, runner.version, runner.weight, probabilities)


def _checked(observations: NDArray[np.float32]) -> NDArray[np.float32]:
    if not isinstance(observations, np.ndarray) or observations.dtype != np.float32:
        observations = _as_float32(observations)
    if observations.ndim != 2 or not len(observations):
        raise InvalidRequest(
            f"observations have shape {observations.shape}; they must be (n, observation_dim) "
            "with n at least 1"
        )
    if not np.logical_and.reduce(np.isfinite(observations), axis=None):
        raise InvalidRequest("an observation holds a number that is not finite")
    return observations


def _as_float32(observations: object) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            return np.asarray(observations, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(
            f"observations are no (n, observation_dim) array of float32: {error}"
        ) from error
