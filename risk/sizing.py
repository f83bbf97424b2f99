"""How large an approved position should be.

size = `max_position_size`
     x (1 if confidence >= `high_confidence_threshold` else confidence / threshold)
     x max(0.5, 1 - |drawdown| / |max_drawdown|)
     x max(0.5, 1 - 0.1 x losses in a row)
     x (0.5 for the probe of a half-open breaker)
     x (0.5 while a drift alarm stands that nobody has acknowledged, if `on_drift` is halve)

and no more than the room that the position and the open orders leave. An exit is sized by what
there is to close, whatever the losses.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

from config.settings import OnDrift, RiskLimits
from risk.fixed_point import from_nano
from risk.state import RiskState

__all__ = ["PositionRecommendation", "RiskLevel", "close_out", "drift_halves", "recommend"]

_MEDIUM_FROM = 0.03
_HIGH_FROM = 0.09
_LEAST_SHARE = 0.5
_PROBE_SHARE = 0.5
_DRIFT_SHARE = 0.5
_PER_LOSS = 0.1
_STEP = 1_000_000  # sizes are cut, never rounded up, to 10⁻⁶ of capital
_CENTS = 100


class RiskLevel(StrEnum):
    """Size of a position in a word: low < 3% <= medium < 9% <= high, of capital."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class PositionRecommendation:
    """What to trade.

    Attributes:
        position_size_percent: fraction of capital; 0.08 is 8%.
        position_size_usd: the same in US dollars, whole cents.
        risk_level: low, medium or high.
        factors: what the largest size was multiplied by, by name.
    """

    position_size_percent: float
    position_size_usd: float
    risk_level: RiskLevel
    factors: dict[str, float]


def recommend(
    confidence: float,
    state: RiskState,
    limits: RiskLimits,
    capital_usd: float,
    *,
    probe: bool = False,
    room: int | None = None,
) -> PositionRecommendation:
    """Size an approved entry.

    Args:
        confidence: 0 to 1.
        state: rolled to the session date.
        limits: in force.
        capital_usd: what fractions refer to, above 0.
        probe: whether it probes a half-open breaker.
        room: what the position and open orders leave, nano; None when nothing is held.
    """
    factors = {
        "confidence": min(1.0, confidence / limits.high_confidence_threshold),
        "drawdown": max(_LEAST_SHARE, 1 - from_nano(-state.drawdown) / -limits.max_drawdown),
        "loss_streak": max(_LEAST_SHARE, 1 - _PER_LOSS * state.loss_streak),
    }
    if probe:
        factors["probe"] = _PROBE_SHARE
    if drift_halves(state, limits):
        factors["drift"] = _DRIFT_SHARE
    size = limits.max_position_size * math.prod(factors.values())
    if room is not None:
        size = min(size, from_nano(room))
    return _recommendation(_cut(size, _STEP), capital_usd, factors)


def drift_halves(state: RiskState, limits: RiskLimits) -> bool:
    """Whether a drift alarm has entries at half size: nobody has acknowledged it yet.

    Half of the smallest size is still one: the least `max_position_size` and the worst of all
    factors leave two steps of it.
    """
    if state.drift is None or limits.on_drift is not OnDrift.HALVE:
        return False
    return state.drift.acknowledged_at is None


def close_out(left: int, capital_usd: float) -> PositionRecommendation:
    """Size an approved exit: all that is left to close.

    Args:
        left: of the position, nano, above 0.
        capital_usd: what fractions refer to, above 0.
    """
    return _recommendation(from_nano(left), capital_usd, {})


def _recommendation(
    size: float, capital_usd: float, factors: dict[str, float]
) -> PositionRecommendation:
    return PositionRecommendation(
        position_size_percent=size,
        position_size_usd=_cut(size * capital_usd, _CENTS),
        risk_level=_level(size),
        factors=factors,
    )


def _cut(value: float, steps: int) -> float:
    # 0.29 is 0.28999999999999998 in binary: what is a whole step but for that stays one.
    return math.floor(value * steps * (1 + 1e-12)) / steps


def _level(size: float) -> RiskLevel:
    if size < _MEDIUM_FROM:
        return RiskLevel.LOW
    return RiskLevel.MEDIUM if size < _HIGH_FROM else RiskLevel.HIGH
