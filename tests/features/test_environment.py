"""The environment that the demonstration policies are trained in."""

import numpy as np
import pytest

pytest.importorskip(
    "gymnasium",
    reason="gymnasium belongs to `make export-env`",
    exc_type=ModuleNotFoundError,
)

from gymnasium.utils.env_checker import check_env

from examples.environment import TradingEnvironment
from examples.trading_data import TradingData


def data() -> TradingData:
    observations = np.arange(20 * 45, dtype=np.float32).reshape(20, 45)
    return TradingData(observations, np.linspace(-1.0, 1.0, 20), cost=0.1)


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.filterwarnings("ignore:.*infinity:UserWarning", "ignore:.*not within the:UserWarning")
def test_it_is_an_environment_as_gymnasium_defines_one(*, continuous: bool) -> None:
    check_env(TradingEnvironment(data(), continuous=continuous), skip_render_check=True)


def test_a_position_earns_what_follows_its_own_bar_minus_its_cost() -> None:
    environment = TradingEnvironment(data(), continuous=False, episode_bars=5)
    observation, _ = environment.reset(seed=3)
    row = int(observation[0]) // 45
    for action, position in ((0, -1.0), (1, 0.0), (2, 1.0)):
        observation, reward, terminated, _, _ = environment.step(action)
        assert reward == pytest.approx(position * data().returns[row] - 0.1 * abs(position))
        assert not terminated
        row += 1
        assert observation.tolist() == data().observations[row].tolist()


def test_an_episode_ends_after_its_bars() -> None:
    environment = TradingEnvironment(data(), continuous=True, episode_bars=4)
    environment.reset(seed=1)
    assert [environment.step(np.array([0.5]))[3] for _ in range(4)] == [False, False, False, True]


def test_the_same_seed_begins_at_the_same_bar() -> None:
    environment = TradingEnvironment(data(), continuous=False, episode_bars=4)
    first, again = (environment.reset(seed=5)[0].tolist() for _ in range(2))
    assert first == again
