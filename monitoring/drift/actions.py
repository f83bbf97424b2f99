"""Have the models' actions collapsed onto one, or has their mix changed?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitoring.drift.recorded import SIGNALS

__all__ = ["ACTIONS", "ActionMix", "action_mix"]

ACTIONS: Final = 200
"""Decisions that are looked at: the newest, one per bar."""

LEAST_BEFORE: Final = 1_000
"""Fewer decisions before those say nothing about how much a mix varies."""

_STEP: Final = 50
_MARGIN: Final = 1.25
_LEAST_CHANGE: Final = 0.2


@dataclass(frozen=True)
class ActionMix:
    """The newest actions.

    Attributes:
        decisions: how many; fewer than `ACTIONS` are not judged.
        shares: by action.
        entropy: of the shares, in nats: 0 when there is one action only, ln 3 = 1.0986 when the
            three are equally frequent (Shannon 1948).
        change: total variation distance from the mix before them, 0 to 1; None without enough.
        change_limit: what the change may be; None without enough.
        reasons: why it is a collapse, in words; empty when it is none.
    """

    decisions: int
    shares: dict[str, float]
    entropy: float
    change: float | None
    change_limit: float | None
    reasons: tuple[str, ...]

    @property
    def collapsed(self) -> bool:
        """Whether anything speaks for it."""
        return bool(self.reasons)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "decisions": self.decisions,
            "shares": self.shares,
            "entropy": self.entropy,
            "change": self.change,
            "change_limit": self.change_limit,
            "collapsed": self.collapsed,
            "reasons": list(self.reasons),
        }


def action_mix(signals: NDArray[np.int8], *, most_of_one: float, least_entropy: float) -> ActionMix:
    """Judge the newest `ACTIONS` of a series of raw signals.

    Args:
        signals: places in `SIGNALS`, oldest first, -1 for none, shape (n,).
        most_of_one: share of one action above which it is a collapse.
        least_entropy: entropy in nats below which it is a collapse.
    """
    said = signals[signals >= 0]
    newest, before = said[-ACTIONS:], said[:-ACTIONS]
    shares = _shares(newest)
    entropy = _entropy(shares)
    change, limit = _change(newest, before)
    reasons: Sequence[str] = ()
    if len(newest) == ACTIONS:
        reasons = _reasons(shares, entropy, change, limit, most_of_one, least_entropy)
    return ActionMix(
        decisions=len(newest),
        shares=dict(zip(SIGNALS, shares.tolist(), strict=True)),
        entropy=entropy,
        change=change,
        change_limit=limit,
        reasons=tuple(reasons),
    )


def _reasons(
    shares: NDArray[np.float64],
    entropy: float,
    change: float | None,
    limit: float | None,
    most_of_one: float,
    least_entropy: float,
) -> Sequence[str]:
    told = []
    if shares.max() > most_of_one:
        told.append(
            f"{SIGNALS[int(shares.argmax())]} is {shares.max():.0%} of the last {ACTIONS} "
            f"decisions; more than {most_of_one:.0%} of one action is a collapse"
        )
    if entropy < least_entropy:
        told.append(f"the entropy of the actions is {entropy:.2f} nats, below {least_entropy:g}")
    if change is not None and limit is not None and change > limit:
        told.append(
            f"{change:.0%} of the last {ACTIONS} decisions are other actions than before; up to "
            f"{limit:.0%} is within what earlier ones varied"
        )
    return told


def _change(
    newest: NDArray[np.int8], before: NDArray[np.int8]
) -> tuple[float | None, float | None]:
    """How far the mix is from that before, and how far it may be."""
    if len(newest) < ACTIONS or len(before) < LEAST_BEFORE:
        return None, None
    mix = _shares(before)
    past = [
        _distance(_shares(before[begin : begin + ACTIONS]), mix)
        for begin in range(0, len(before) - ACTIONS + 1, _STEP)
    ]
    return _distance(_shares(newest), mix), max(_LEAST_CHANGE, _MARGIN * max(past))


def _shares(signals: NDArray[np.int8]) -> NDArray[np.float64]:
    return np.bincount(signals, minlength=len(SIGNALS)) / max(len(signals), 1)


def _entropy(shares: NDArray[np.float64]) -> float:
    return math.fsum(-share * math.log(share) for share in map(float, shares) if share > 0.0)


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.abs(one - other).sum() / 2)
