"""Each formula, against a second calculation that takes no short cut."""

import numpy as np
import pytest
from numpy.typing import NDArray

from features.compute import compute_vector
from features.schema import USDCOP_M5
from tests.features.market import random_bars, random_macro

# Longer than the window: the recursions below begin where nobody remembers.
BARS = random_bars(3000)
CLOSES = BARS.closes
LAST = CLOSES[-1]
VALUES = dict(
    zip(
        USDCOP_M5.names,
        compute_vector(BARS.closes, BARS.starts, random_macro()).tolist(),
        strict=True,
    )
)
# What the recursions hold beyond the window, as a share of the averaged range.
CUT_OFF = 3.4e-4
TOLERANCE = CUT_OFF * (CLOSES.max() - CLOSES.min()) / LAST


def recursive_average(values: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
    averages = [values[0]]
    for value in values[1:]:
        averages.append(averages[-1] + weight * (value - averages[-1]))
    return np.array(averages)


def exponential(span: int) -> NDArray[np.float64]:
    return recursive_average(CLOSES, 2 / (span + 1))


@pytest.mark.parametrize(
    ("span", "bars"),
    [("5m", 1), ("15m", 3), ("30m", 6), ("1h", 12), ("2h", 24), ("4h", 48), ("1d", 60)],
)
def test_log_returns(span: str, bars: int) -> None:
    expected = np.log(LAST / CLOSES[-1 - bars])

    assert VALUES[f"log_return_{span}"] == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("span", "bars"), [("30m", 6), ("1h", 12), ("4h", 48), ("1d", 60)])
def test_volatility(span: str, bars: int) -> None:
    expected = np.sqrt((np.diff(np.log(CLOSES))[-bars:] ** 2).mean())

    assert VALUES[f"volatility_{span}"] == pytest.approx(expected, rel=1e-6)


def test_the_ratio_of_volatilities() -> None:
    expected = VALUES["volatility_1h"] / VALUES["volatility_1d"]

    assert VALUES["volatility_ratio_1h_1d"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("period", [9, 14, 21])
def test_rsi_is_wilders_up_to_the_cut_off(period: int) -> None:
    changes = np.diff(CLOSES)
    up = recursive_average(np.maximum(changes, 0.0), 1 / period)[-1]
    down = recursive_average(np.maximum(-changes, 0.0), 1 / period)[-1]
    expected = 100.0 - 100.0 / (1.0 + up / down)

    assert VALUES[f"rsi_{period}"] == pytest.approx(expected, abs=100 * CUT_OFF)


def test_macd_is_the_recursion_up_to_the_cut_off() -> None:
    line = exponential(12) - exponential(26)
    signal = recursive_average(line, 2 / 10)

    assert VALUES["macd"] == pytest.approx(line[-1] / LAST, abs=TOLERANCE)
    assert VALUES["macd_signal"] == pytest.approx(signal[-1] / LAST, abs=TOLERANCE)
    assert VALUES["macd_histogram"] == pytest.approx(
        VALUES["macd"] - VALUES["macd_signal"], abs=1e-9
    )


@pytest.mark.parametrize("bars", [12, 20, 50, 100])
def test_ratio_to_the_simple_average(bars: int) -> None:
    expected = LAST / CLOSES[-bars:].mean() - 1

    assert VALUES[f"sma_ratio_{bars}"] == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_ratio_of_two_simple_averages() -> None:
    expected = CLOSES[-12:].mean() / CLOSES[-50:].mean() - 1

    assert VALUES["sma_ratio_12_50"] == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("span", [12, 26, 60])
def test_ratio_to_the_exponential_average_up_to_the_cut_off(span: int) -> None:
    expected = LAST / exponential(span)[-1] - 1

    assert VALUES[f"ema_ratio_{span}"] == pytest.approx(expected, abs=TOLERANCE)


def test_bollinger_bands_and_the_z_score() -> None:
    mean, deviation = CLOSES[-20:].mean(), CLOSES[-20:].std()
    day = CLOSES[-60:]

    assert VALUES["bollinger_z_20"] == pytest.approx((LAST - mean) / deviation, rel=1e-5)
    assert VALUES["bollinger_width_20"] == pytest.approx(4 * deviation / mean, rel=1e-5)
    assert VALUES["z_score_60"] == pytest.approx((LAST - day.mean()) / day.std(), rel=1e-5)


def test_the_stochastic_oscillator() -> None:
    windows = [CLOSES[len(CLOSES) - 14 - ago : len(CLOSES) - ago] for ago in range(3)]
    lines = [100 * (w[-1] - w.min()) / (w.max() - w.min()) for w in windows]

    assert VALUES["stochastic_k_14"] == pytest.approx(lines[0], rel=1e-5)
    assert VALUES["stochastic_d_3"] == pytest.approx(np.mean(lines), rel=1e-5)


def test_the_t_statistic_of_the_trend() -> None:
    steps, closes = np.arange(60.0), CLOSES[-60:]
    design = np.column_stack([np.ones(60), steps])
    coefficients, residuals, *_ = np.linalg.lstsq(design, closes, rcond=None)
    error = np.sqrt(residuals[0] / 58 / ((steps - steps.mean()) ** 2).sum())

    assert VALUES["trend_t_60"] == pytest.approx(coefficients[1] / error, rel=1e-5)
