"""The shipped models, on a simulated market that neither trained nor measured them."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from config.settings import EnsembleStrategy
from examples.evaluate import Figures, figures_of, load_exported, typical_buy
from examples.simulate import simulate
from examples.trading_data import HORIZON_BARS, TradingData, following_returns, prepare
from features.compute import WINDOW
from features.reference import Reference
from runners.ensemble import Ensemble
from runners.runner import Runner
from runners.signal import Signal

ROOT = Path(__file__).parents[2]
NAMES = ("ppo_usdcop_v3", "sac_usdcop_v2", "a2c_macro_v1")


class Holder:
    """A model that always says HOLD."""

    name, tag, version, weight, is_shadow = "holder", "holder:1", "1", 1.0, False
    reference: Reference | None = None

    def probabilities(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.tile([0.0, 1.0, 0.0], (len(observations), 1))

    probabilities_apart = probabilities


@pytest.fixture(scope="module")
def shipped() -> list[Runner]:
    return [load_exported(ROOT / "models" / "onnx" / f"{name}.onnx") for name in NAMES]


@pytest.fixture(scope="module")
def another_market() -> TradingData:
    _, held_out = prepare(days=10, held_out_days=80, seed=1234)
    return held_out


@pytest.fixture(scope="module")
def figures(shipped: list[Runner], another_market: TradingData) -> tuple[Figures, ...]:
    return figures_of(shipped, another_market)


def test_every_model_and_the_ensemble_say_sell_hold_and_buy(figures: tuple[Figures, ...]) -> None:
    assert [row.name for row in figures] == [*NAMES, "ensemble"]
    for row in figures:
        assert min(row.shares) > 0.05


def test_the_ensemble_is_sure_often_enough_to_trade_and_not_always(
    figures: tuple[Figures, ...],
) -> None:
    low, _, high = figures[-1].confidence

    assert 0.20 < figures[-1].actionable < 0.80
    assert low < 0.60
    assert high > 0.80


def test_what_the_ensemble_is_sure_of_comes_true_more_often_than_not(
    figures: tuple[Figures, ...],
) -> None:
    assert figures[-1].right > 0.55


def test_the_shipped_observation_is_bought_with_confidence(shipped: list[Runner]) -> None:
    body = json.loads((ROOT / "examples" / "observation.json").read_text(encoding="utf-8"))
    observation = np.array([body["observation"]], dtype=np.float32)

    prediction = Ensemble(shipped, EnsembleStrategy.WEIGHTED_AVERAGE).predict(observation)

    assert set(body) == {"observation"}
    assert observation.shape == (1, 45)
    assert prediction.signals == (Signal.BUY,)
    assert prediction.confidence[0] > 0.70


def test_no_typical_buy_is_made_up_where_nothing_is_bought() -> None:
    flat = TradingData(np.zeros((2, 45), dtype=np.float32), np.zeros(2), cost=0.1)

    with pytest.raises(ValueError, match="buys no held-out bar"):
        typical_buy([Holder()], flat)


def test_no_return_of_a_training_bar_reaches_into_the_held_out_days() -> None:
    training, held_out = prepare(days=8, held_out_days=3, seed=5)
    market = simulate(days=11, seed=5)
    closes = market.prices[:, 3]
    days = market.starts // 86_400
    first_held_out = int(np.searchsorted(days, np.unique(days)[-3]))
    last_training = WINDOW - 1 + len(training.returns) - 1

    assert last_training + HORIZON_BARS < first_held_out
    assert held_out.returns[0] == pytest.approx(
        100 * np.log(closes[first_held_out + HORIZON_BARS] / closes[first_held_out])
    )


def test_a_position_earns_the_return_that_follows_minus_its_cost() -> None:
    data = TradingData(np.zeros((2, 1), dtype=np.float32), np.array([0.5, -0.2]), cost=0.1)

    assert data.reward(1.0, 0) == pytest.approx(0.4)
    assert data.reward(-1.0, 0) == pytest.approx(-0.6)
    assert data.reward(-0.5, 1) == pytest.approx(0.05)
    assert data.reward(0.0, 1) == 0.0


def test_following_returns_look_ahead_by_the_horizon_and_no_further() -> None:
    closes = np.array([100.0, 101.0, 102.0, 103.0])

    assert following_returns(closes, 2) == pytest.approx(100 * np.log([1.02, 103 / 101]))


def test_data_without_a_return_for_each_row_is_refused() -> None:
    with pytest.raises(ValueError, match="got 3 observations and 2 returns"):
        TradingData(np.zeros((3, 1), dtype=np.float32), np.zeros(2), cost=0.1)
