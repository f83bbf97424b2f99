"""Figures of exported models on days they were not trained on, read as the service reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from config.settings import EnsembleStrategy, ModelSettings
from examples.trading_data import POSITIONS, TradingData
from features.schema import USDCOP_M5
from models.stored import declared_reference, reference_beside
from runners.ensemble import Ensemble, Voter
from runners.loading import inspect_model, load_runner
from runners.metadata import ModelMetadata
from runners.runner import Runner
from runners.signal import ACTIONS, Signal

__all__ = ["Figures", "figures_of", "load_exported", "table", "typical_buy", "write_observation"]

MIN_CONFIDENCE: Final = 0.60
"""From which confidence a decision counts as actionable: the shipped `min_confidence`."""


@dataclass(frozen=True)
class Figures:
    """How one model, or the ensemble, decided on the held-out bars.

    Attributes:
        name: of the model.
        shares: of SELL, HOLD and BUY among all bars.
        confidence: its 5%, 50% and 95% quantile.
        actionable: share of bars with SELL or BUY and a confidence of `MIN_CONFIDENCE` or more.
        right: share of the actionable ones whose return had the right sign.
        profit: mean of position times return minus cost over the actionable ones, in percent.
    """

    name: str
    shares: tuple[float, float, float]
    confidence: tuple[float, float, float]
    actionable: float
    right: float
    profit: float


@dataclass(frozen=True)
class _ModelFile:
    """An ONNX file, presented as the model store would present it."""

    name: str
    version: str
    sha256: str
    metadata: ModelMetadata
    model: bytes
    profile: bytes | None

    def content(self) -> bytes:
        return self.model

    def reference(self) -> bytes | None:
        return self.profile


def load_exported(path: Path) -> Runner:
    """Load an exported model with every check that the service makes."""
    content, reference = path.read_bytes(), reference_beside(path)
    metadata = inspect_model(content, source=str(path), declared=declared_reference(reference))
    settings = ModelSettings(
        name=path.stem,
        algorithm=metadata.algorithm,
        onnx_path=path.name,
        action_space_size=1 if metadata.output.is_continuous else 3,
    )
    digest = sha256(content).hexdigest()
    source = _ModelFile(path.stem, "exported", digest, metadata, content, reference)
    return load_runner(settings, source, feature_schema=USDCOP_M5.hash)


def figures_of(runners: Sequence[Voter], held_out: TradingData) -> tuple[Figures, ...]:
    """Figures of each model and, last, of their weighted average."""
    ensemble = Ensemble(runners, EnsembleStrategy.WEIGHTED_AVERAGE)
    prediction = ensemble.predict(held_out.observations)
    alone = [
        _figures(output.name, output.probabilities, held_out)
        for output in prediction.outputs
        if output.probabilities is not None
    ]
    return (*alone, _figures("ensemble", prediction.probabilities, held_out))


def typical_buy(runners: Sequence[Voter], held_out: TradingData) -> NDArray[np.float32]:
    """Find an ordinary observation that the ensemble clearly buys, shape (features,).

    Among the bars bought with a confidence between 0.75 and 0.90 it is the one whose most
    unusual feature is the least unusual, so that it lies well within what the models know.

    Raises:
        ValueError: the ensemble buys no bar so.
    """
    prediction = Ensemble(runners, EnsembleStrategy.WEIGHTED_AVERAGE).predict(held_out.observations)
    bought = np.array([signal is Signal.BUY for signal in prediction.signals])
    rows = np.flatnonzero(
        bought & (prediction.confidence >= 0.75) & (prediction.confidence <= 0.90)
    )
    if not len(rows):
        raise ValueError("the ensemble buys no held-out bar with a confidence of 0.75 to 0.90")
    centre, spread = held_out.observations.mean(axis=0), held_out.observations.std(axis=0)
    unusual = np.abs((held_out.observations[rows] - centre) / np.where(spread > 0, spread, 1.0))
    row = rows[int(unusual.max(axis=1).argmin())]
    observation: NDArray[np.float32] = held_out.observations[row]
    return observation


def write_observation(path: Path, observation: NDArray[np.float32]) -> None:
    """Write the body of a request; 9 digits name each float32 exactly."""
    numbers = [float(f"{value:.9g}") for value in observation.tolist()]
    path.write_text(json.dumps({"observation": numbers}) + "\n", encoding="utf-8")


def table(figures: Sequence[Figures]) -> str:
    """Lay the figures out as a Markdown table."""
    head = (
        "| model | SELL / HOLD / BUY | confidence 5% / 50% / 95% | actionable | right sign | "
        "profit per actionable bar |\n|---|---|---|---|---|---|\n"
    )
    return head + "\n".join(
        f"| {row.name} | {_percents(row.shares)} | "
        f"{' / '.join(f'{quantile:.2f}' for quantile in row.confidence)} | "
        f"{row.actionable:.0%} | {row.right:.0%} | {row.profit:+.3f}% |"
        for row in figures
    )


def _figures(name: str, probabilities: NDArray[np.float64], held_out: TradingData) -> Figures:
    chosen = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    positions = np.array(POSITIONS)[chosen]
    actionable = (positions != 0) & (confidence >= MIN_CONFIDENCE)
    earned = (positions * held_out.returns)[actionable]
    shares = np.bincount(chosen, minlength=len(ACTIONS)) / len(chosen)
    low, middle, high = np.quantile(confidence, [0.05, 0.5, 0.95])
    return Figures(
        name=name,
        shares=(float(shares[0]), float(shares[1]), float(shares[2])),
        confidence=(float(low), float(middle), float(high)),
        actionable=float(actionable.mean()),
        right=float((earned > 0).mean()) if len(earned) else 0.0,
        profit=float(earned.mean() - held_out.cost) if len(earned) else 0.0,
    )


def _percents(shares: Sequence[float]) -> str:
    return " / ".join(f"{share:.0%}" for share in shares)
