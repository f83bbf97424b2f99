"""Keeps what happens at each bar of a replay, in columns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from risk.state import CauseKind, OperatorMode, RiskState
from simulation.history import History
from simulation.router import Step
from simulation.run import DECISION_COLUMNS, Episode, decision_columns

__all__ = ["Recorder"]

_NO_SIZE: Final = float("nan")
_MICROSECONDS: Final = 1_000_000


class Recorder:
    """Takes one step after another.

    Args:
        history: that is replayed.
        latency: of decisions.
        days: local date of each bar, days since 1970-01-01, shape (n,).

    Attributes:
        equity: realised and open P&L after each bar.
        positions: held after each bar.
    """

    def __init__(self, history: History, latency: timedelta, days: list[int]) -> None:
        self._starts = history.starts.tolist()
        self._known_at = history.known_at.tolist()
        self._closes = history.closes.tolist()
        self._days, self._latency = days, latency // timedelta(microseconds=1)
        self._rows: dict[str, list[Any]] = {name: [] for name in DECISION_COLUMNS}
        self._standing: dict[str, int] = {}
        self.equity: list[float] = []
        self.positions: list[float] = []
        self._ended: list[tuple[str, int, int | None]] = []

    def take(self, step: Step, state: RiskState) -> None:
        """Keep a step and what of the risk state keeps entries out after it."""
        self.equity.append(step.equity)
        self.positions.append(step.position)
        if step.answer is not None:
            self._keep(step.index, step.answer, step.position_then)
        self._watch(step.index, state)

    def decisions(self) -> dict[str, Any]:
        """Columns by the names in `DECISION_COLUMNS`."""
        return decision_columns(self._rows)

    def _keep(self, index: int, answer: Mapping[str, Any], position: float) -> None:
        rows, recommendation = self._rows, answer["position_recommendation"]
        probabilities = answer["action_probs"]
        decided_at = self._known_at[index] * _MICROSECONDS + self._latency
        size = _NO_SIZE if recommendation is None else recommendation["position_size_percent"]
        rows["decision_id"].append(answer["decision_id"])
        rows["decided_at"].append(decided_at)
        rows["bar_at"].append(self._starts[index] * _MICROSECONDS)
        rows["close"].append(self._closes[index])
        rows["size"].append(size)
        rows["position"].append(position)
        rows["sell"].append(probabilities["SELL"])
        rows["hold"].append(probabilities["HOLD"])
        rows["buy"].append(probabilities["BUY"])
        rows["reasons"].append("; ".join(answer["reasons"]))
        for name in _AS_ANSWERED:
            rows[name].append(answer[name])

    def _watch(self, index: int, state: RiskState) -> None:
        standing = _standing(state, self._days[index])
        if standing == self._standing.keys():
            return
        at = self._known_at[index]
        for kind in [kind for kind in self._standing if kind not in standing]:
            self._ended.append((kind, self._standing.pop(kind), at))
        for kind in standing - self._standing.keys():
            self._standing[kind] = at

    def episodes(self) -> tuple[Episode, ...]:
        """What kept entries out, and when; oldest first."""
        standing = [(kind, since, None) for kind, since in self._standing.items()]
        found = sorted([*self._ended, *standing], key=lambda episode: (episode[1], episode[0]))
        return tuple(
            Episode(kind, _instant(since), None if until is None else _instant(until))
            for kind, since, until in found
        )


_AS_ANSWERED: Final = (
    "raw_signal", "signal", "confidence", "risk_status", "approved", "reduces", "probe",
)  # fmt: skip
_EPOCH: Final = date(1970, 1, 1)


def _standing(state: RiskState, day: int) -> set[str]:
    """What keeps entries out on a day. A daily loss does so on its own day only."""
    if not state.causes and state.operator.mode is OperatorMode.ACTIVE:
        return set()
    found = {cause.kind.value for cause in state.causes}
    recorded = state.today.day
    if recorded is not None and (recorded - _EPOCH).days < day:
        found.discard(CauseKind.DAILY_LOSS.value)
    if state.operator.mode is not OperatorMode.ACTIVE:
        found.add(state.operator.mode.value.lower())
    return found


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
