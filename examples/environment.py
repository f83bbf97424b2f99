"""A trading environment over a matrix of features, for the demonstration policies.

An episode walks through a stretch of consecutive bars. The observation is the feature vector and
nothing else, so that a policy decides from what the service can give it. The reward of a decision
is the position times the return that follows, minus the cost of opening and closing it; positions
are judged one by one, and what was held before does not matter.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from examples.trading_data import POSITIONS, TradingData

__all__ = ["TradingEnvironment"]


class TradingEnvironment(gymnasium.Env[NDArray[np.float32], Any]):  # type: ignore[misc]
    """One decision per bar, over `episode_bars` bars from a random row.

    Args:
        data: what to walk through.
        continuous: one action in [-1, 1], the position, instead of SELL, HOLD and BUY.
        episode_bars: decisions per episode.
    """

    def __init__(self, data: TradingData, *, continuous: bool, episode_bars: int = 60) -> None:
        self._data = data
        self._continuous = continuous
        self._episode_bars = min(episode_bars, len(data.returns) - 1)
        self._row = 0
        self._last_row = 0
        features = data.observations.shape[1]
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (features,), np.float32)
        self.action_space = (
            gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
            if continuous
            else gymnasium.spaces.Discrete(len(POSITIONS))
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin at a random row. The generator is seeded by `seed`, as gymnasium defines it."""
        super().reset(seed=seed, options=options)
        begins = len(self._data.returns) - self._episode_bars
        self._row = int(self.np_random.integers(begins))
        self._last_row = self._row + self._episode_bars
        return self._data.observations[self._row].copy(), {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Take a position at the current bar, earn what follows, go on to the next bar."""
        reward = self._data.reward(self._position(action), self._row)
        self._row += 1
        observation = self._data.observations[self._row].copy()
        # Truncated, not terminated: the market goes on after an episode.
        return observation, reward, False, self._row == self._last_row, {}

    def _position(self, action: Any) -> float:
        if self._continuous:
            return float(np.clip(np.asarray(action).item(), -1.0, 1.0))
        return POSITIONS[int(action)]
